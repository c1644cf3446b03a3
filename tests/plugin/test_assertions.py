"""What a test may say of executions, and what it is told where that is not so."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import stamina

from idempotency_manager import NOT_EXECUTED, AsyncIdempotencyManager, IdempotencyManager, idempotent
from tests.plugin.helpers import Board, cards, create_card, create_card_and_say, say

if TYPE_CHECKING:
    from idempotency_manager.testing import Idempotency


def test_an_execution_has_its_key_params_outcome_and_replays(idempotency: Idempotency) -> None:
    create_card("evt_1", title="Hi")
    create_card("evt_1", "Hi")
    (execution,) = idempotency.executions
    assert execution.key == create_card.key("evt_1", "Hi")
    assert (execution.signal_id, execution.action, execution.target) == ("evt_1", "create_card", "trello")
    assert execution.params == {"title": "Hi"}
    assert (execution.outcome, execution.result, execution.error) == ("completed", "card-1", None)
    assert execution.replays == 1
    assert str(execution) == "create_card on trello for 'evt_1' with {'title': 'Hi'}: completed: 'card-1', 1 replay"


def test_executions_are_found_by_helper_call_or_fields(idempotency: Idempotency) -> None:
    create_card_and_say("evt_1")
    assert idempotency.assert_executed_once(create_card).action == "create_card"
    assert idempotency.assert_executed_once(create_card, "evt_1", title="Hello").result == "card-1"
    assert idempotency.assert_executed_once(action="say").target == "slack"
    assert idempotency.assert_executed_once(target="slack", signal_id="evt_1").action == "say"
    assert idempotency.assert_executed_once(key=say.key("evt_1")).action == "say"
    idempotency.assert_not_executed(create_card, "evt_2")
    idempotency.assert_not_executed(target="drive")


def test_a_helper_is_found_behind_what_wraps_it(idempotency: Idempotency) -> None:
    retried = stamina.retry(on=LookupError)(create_card)
    retried("evt_1")
    idempotency.assert_executed_once(retried, "evt_1")
    idempotency.assert_executed_once(partial(create_card, "evt_1"))
    Board().move("evt_1")
    idempotency.assert_executed_once(Board().move, "evt_1")
    idempotency.assert_executed_once(Board.move)


def test_a_failure_is_no_execution_that_counts(idempotency: Idempotency) -> None:
    failures = [LookupError("no board"), None]

    @idempotent(target="trello")
    def fail_once(signal_id: str) -> str:
        failure = failures.pop(0)
        if failure:
            raise failure
        return "card-1"

    with pytest.raises(LookupError):
        fail_once("evt_1")
    idempotency.assert_not_executed(fail_once)
    assert idempotency.executions[0].error == "LookupError: no board"
    with pytest.raises(AssertionError, match=r"called, but without effect"):
        idempotency.assert_executed_once(fail_once)
    fail_once("evt_1")
    assert idempotency.assert_executed_once(fail_once, "evt_1").result == "card-1"
    assert [execution.outcome for execution in idempotency.executions] == ["failed", "completed"]


def test_a_failure_that_is_the_answer_counts(idempotency: Idempotency) -> None:
    @idempotent(target="bank", replay_errors=(LookupError,))
    def charge(signal_id: str) -> None:
        raise LookupError("declined")

    for _ in range(2):
        with pytest.raises(LookupError):
            charge("evt_1")
    execution = idempotency.assert_executed_once(charge)
    assert (execution.outcome, execution.replays) == ("failure_kept", 1)


def test_a_timeout_is_in_doubt_and_counts(idempotency: Idempotency) -> None:
    @idempotent(target="bank", on_in_doubt=lambda _: NOT_EXECUTED)
    def charge(signal_id: str) -> None:
        raise TimeoutError

    for _ in range(2):
        with pytest.raises(TimeoutError):
            charge("evt_1")
    assert [execution.outcome for execution in idempotency.executions] == ["in_doubt", "in_doubt"]


def test_a_released_claim_does_not_count(idempotency: Idempotency) -> None:
    with idempotency.manager.claim({"signal_id": "evt_1", "action": "a", "target": "t"}) as attempt:
        assert idempotency.executions[0].outcome == "running"
        attempt.release()
    idempotency.assert_not_executed()
    assert idempotency.executions[0].outcome == "released"


def test_what_ran_in_a_transaction_is_seen(idempotency: Idempotency) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(":memory:")) as connection:
        for _ in range(2):
            action = {"signal_id": "evt_1", "action": "book", "target": "ledger"}
            idempotency.manager.execute_in_transaction(connection, action, lambda: cards.append("row"))
    assert idempotency.assert_executed_once(action="book").replays == 1


def test_what_was_not_executed_is_shown_beside_what_was(idempotency: Idempotency) -> None:
    create_card("evt_1", title="Hello")
    say("evt_1")
    with pytest.raises(AssertionError) as caught:
        idempotency.assert_executed_once(create_card, "evt_2", title="hello")
    assert str(caught.value) == "\n".join(
        [
            "create_card('evt_2', title='hello') was not executed",
            "  these were:",
            "  1. create_card on trello for 'evt_1' with {'title': 'Hello'}: completed: 'card-1'",
            f"     key {create_card.key('evt_1')}",
            "  2. say on slack for 'evt_1' with {}: completed: 'card-2'",
            f"     key {say.key('evt_1')}",
            "  the nearest, 1, differs in what it was called for (- asked for, + executed):",
            "    - signal_id: 'evt_2'",
            "    + signal_id: 'evt_1'",
            "    - title: 'hello'",
            "    + title: 'Hello'",
        ]
    )


def test_two_executions_are_shown_with_what_differs(idempotency: Idempotency) -> None:
    create_card("evt_1", title="10:00:00")
    create_card("evt_1", title="10:00:01")
    with pytest.raises(AssertionError) as caught:
        idempotency.assert_executed_once(create_card)
    lines = str(caught.value).splitlines()
    assert lines[0] == "create_card was executed 2 times, not once"
    assert lines[-3:] == [
        "  2 differs from 1 (- first, + second):",
        "    - title: '10:00:00'",
        "    + title: '10:00:01'",
    ]


def test_two_executions_of_one_key_are_shown_with_the_reason(idempotency: Idempotency) -> None:
    create_card("evt_1")
    idempotency.clock.advance("24h")
    create_card("evt_1")
    with pytest.raises(AssertionError, match=r"have the same key: before the second, the record expired"):
        idempotency.assert_executed_once(create_card, "evt_1")


def test_what_should_not_have_been_executed_is_shown(idempotency: Idempotency) -> None:
    create_card("evt_1")
    with pytest.raises(
        AssertionError, match=r"^any action was executed once, and should not have been\n  1\. create_card"
    ):
        idempotency.assert_not_executed()
    with pytest.raises(AssertionError, match=r"^an action with action='say' was not executed"):
        idempotency.assert_executed_once(action="say")


def test_many_executions_are_shown_up_to_a_number(idempotency: Idempotency) -> None:
    for number in range(30):
        create_card(f"evt_{number}")
    with pytest.raises(AssertionError, match="… and 10 more"):
        idempotency.assert_not_executed()


def test_nothing_at_all_is_said_so(idempotency: Idempotency) -> None:
    with pytest.raises(AssertionError, match=r"was not executed\n  nothing was$"):
        idempotency.assert_executed_once(create_card)


def test_a_function_that_is_not_decorated_is_refused(idempotency: Idempotency) -> None:
    with pytest.raises(TypeError, match="len is not decorated with @idempotent; name the function that is"):
        idempotency.assert_executed_once(len)
    with pytest.raises(TypeError, match="there is no 'signal' to look for"):
        idempotency.assert_executed_once(signal="evt_1")
    with pytest.raises(TypeError, match="signal_id=1 is of type int"):
        idempotency.assert_not_executed(signal_id=1)


@pytest.mark.parametrize("kind", [IdempotencyManager, AsyncIdempotencyManager])
async def test_a_manager_of_the_applications_own_is_adopted_for_the_test(
    idempotency: Idempotency, kind: type[IdempotencyManager | AsyncIdempotencyManager]
) -> None:
    own = kind(default_ttl="1h")

    @own.idempotent(target="trello")
    def create(signal_id: str) -> str:
        return signal_id

    with pytest.raises(TypeError, match=r"a manager of its own, which this test does not see; say idempotency\.adopt"):
        idempotency.assert_not_executed(create)
    idempotency.adopt(own)
    create("evt_1")
    idempotency.assert_executed_once(create, "evt_1")
    idempotency.clock.advance("1h")
    create("evt_1")
    assert len(idempotency.executions) == 2
    with idempotency.crash_after_effect(create):
        create("evt_2")
    closing = own.close()
    if closing is not None:
        await closing
