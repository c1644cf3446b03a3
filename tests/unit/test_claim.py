"""`claim` and `aclaim`: the right to execute for a block of code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import NOT_EXECUTED, Attempt, IdempotencyManager, State, current_execution
from tests.unit.cards import CARD, state_of
from tests.unit.flavours import Async, Flavour, Sync, both_flavours

if TYPE_CHECKING:
    from idempotency_manager.testing import ManualClock


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


@both_flavours
def test_the_first_block_completes_and_the_next_one_gets_the_result(flavour: Flavour, made: Any) -> None:
    def first(attempt: Attempt) -> None:
        assert (attempt.executed, attempt.result, attempt.key) == (False, None, made.generate_key(CARD))
        attempt.complete({"id": 7})

    def second(attempt: Attempt) -> Any:
        assert attempt.executed
        return attempt.result

    flavour.run_block(made.claim(CARD), first)
    assert flavour.run_block(made.claim(CARD), second) == {"id": 7}


@both_flavours
@pytest.mark.parametrize("result", [None, False, 0, "", {}], ids=repr)
def test_a_result_that_is_false_is_an_execution(flavour: Flavour, made: Any, result: Any) -> None:
    flavour.run_block(made.claim(CARD), lambda attempt: attempt.complete(result))
    seen = flavour.run_block(made.claim(CARD), lambda attempt: (attempt.executed, attempt.result))
    assert seen == (True, result)


@both_flavours
def test_a_block_that_releases_leaves_nothing(flavour: Flavour, made: Any) -> None:
    flavour.run_block(made.claim(CARD), lambda attempt: attempt.release())
    assert state_of(flavour, made) is None
    assert not flavour.run_block(made.claim(CARD), lambda attempt: [attempt.executed, attempt.release()][0])


@both_flavours
@pytest.mark.parametrize(
    ("error", "state"),
    [(ValueError("no"), None), (TimeoutError("?"), State.IN_DOUBT), (GeneratorExit(), State.IN_DOUBT)],
    ids=repr,
)
def test_a_block_left_with_an_exception_is_judged_like_an_executor(
    flavour: Flavour, made: Any, error: BaseException, state: State | None
) -> None:
    def body(_: Attempt) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        flavour.run_block(made.claim(CARD), body)
    assert caught.value is error
    assert state_of(flavour, made) is state


@both_flavours
def test_a_block_left_without_a_word_is_an_error_that_says_so_and_in_doubt(flavour: Flavour, made: Any) -> None:
    with pytest.raises(im.InvalidActionError, match=r"attempt\.complete\(result\) or attempt\.release\(\)"):
        flavour.run_block(made.claim(CARD), lambda _: None)
    assert state_of(flavour, made) is State.IN_DOUBT
    with pytest.raises(im.InDoubtError):
        flavour.run_block(made.claim(CARD), lambda _: None)


@both_flavours
def test_an_exception_after_complete_changes_nothing(flavour: Flavour, made: Any) -> None:
    def body(attempt: Attempt) -> None:
        attempt.complete(1)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        flavour.run_block(made.claim(CARD), body)
    assert state_of(flavour, made) is State.COMPLETED


@both_flavours
@pytest.mark.parametrize("first", ["complete", "release"])
@pytest.mark.parametrize("second", ["complete", "release"])
def test_an_attempt_ends_once(flavour: Flavour, made: Any, first: str, second: str) -> None:
    def end(attempt: Attempt, how: str) -> None:
        if how == "complete":
            attempt.complete(1)
        else:
            attempt.release()

    def body(attempt: Attempt) -> None:
        end(attempt, first)
        with pytest.raises(im.InvalidActionError, match="ended already"):
            end(attempt, second)

    flavour.run_block(made.claim(CARD), body)
    assert state_of(flavour, made) is (State.COMPLETED if first == "complete" else None)


@both_flavours
def test_an_attempt_can_t_be_ended_outside_its_block(flavour: Flavour, made: Any) -> None:
    kept: list[Attempt] = []
    with pytest.raises(im.InvalidActionError, match="nobody knows"):
        flavour.run_block(made.claim(CARD), kept.append)
    with pytest.raises(im.InvalidActionError, match="inside its block"):
        kept[0].complete(2)
    assert state_of(flavour, made) is State.IN_DOUBT


@both_flavours
def test_a_replay_has_nothing_to_complete(flavour: Flavour, made: Any) -> None:
    flavour.run_block(made.claim(CARD), lambda attempt: attempt.complete(1))
    with pytest.raises(im.InvalidActionError):
        flavour.run_block(made.claim(CARD), lambda attempt: attempt.complete(2))
    assert flavour.run_block(made.claim(CARD), lambda attempt: attempt.result) == 1


@both_flavours
def test_a_block_is_entered_once(flavour: Flavour, made: Any) -> None:
    block = made.claim(CARD)
    flavour.run_block(block, lambda attempt: attempt.complete(1))
    with pytest.raises(im.InvalidActionError, match="entered once"):
        flavour.run_block(block, lambda _: None)


@both_flavours
def test_a_block_that_is_never_entered_claims_nothing(flavour: Flavour, made: Any) -> None:
    made.claim(CARD)
    assert state_of(flavour, made) is None


@both_flavours
def test_a_bad_action_is_refused_before_the_block(flavour: Flavour, made: Any) -> None:
    assert flavour is not None
    with pytest.raises(im.InvalidActionError, match="target"):
        made.claim({**CARD, "target": ""})
    with pytest.raises(im.ConfigurationError, match="ttl"):
        made.claim(CARD, ttl=0)


@both_flavours
def test_the_ttl_of_a_block_holds_for_its_result(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    flavour.run_block(made.claim(CARD, ttl="1h"), lambda attempt: attempt.complete(1))
    clock.advance("1h")
    assert state_of(flavour, made) is None


@both_flavours
def test_a_reconciler_settles_a_doubt_before_the_block(flavour: Flavour, made: Any) -> None:
    with pytest.raises(im.InvalidActionError):
        flavour.run_block(made.claim(CARD), lambda _: None)
    block = made.claim(CARD, on_in_doubt=flavour.function(lambda _: "found"))
    assert flavour.run_block(block, lambda attempt: (attempt.executed, attempt.result)) == (True, "found")


@both_flavours
def test_a_reconciler_that_finds_nothing_lets_the_block_execute(flavour: Flavour, made: Any) -> None:
    with pytest.raises(im.InvalidActionError):
        flavour.run_block(made.claim(CARD), lambda _: None)
    block = made.claim(CARD, on_in_doubt=flavour.function(lambda _: NOT_EXECUTED))
    flavour.run_block(block, lambda attempt: attempt.complete(attempt.executed))
    assert state_of(flavour, made) is State.COMPLETED


@both_flavours
def test_a_failure_that_is_final_is_raised_by_the_next_block(flavour: Flavour, made: Any) -> None:
    made.configure(replay_errors=(LookupError,))

    def body(_: Attempt) -> None:
        raise KeyError("board")

    for _ in range(2):
        with pytest.raises(KeyError, match="board"):
            flavour.run_block(made.claim(CARD), body)
    assert state_of(flavour, made) is State.FAILED


def test_completing_a_claim_that_was_cleared_loses_no_result(manager: IdempotencyManager) -> None:
    def body(attempt: Attempt) -> None:
        manager.clear_key(attempt.key)
        attempt.complete({"id": 7})

    with pytest.raises(im.LeaseLostError) as caught:
        Sync().run_block(manager.claim(CARD), body)
    assert caught.value.result == {"id": 7}


def test_releasing_a_claim_that_was_taken_over_says_so(manager: IdempotencyManager) -> None:
    def body(attempt: Attempt) -> None:
        manager.mark_executed(attempt.key, "by hand")
        attempt.release()

    with pytest.raises(im.LeaseLostError, match="must not have its effect"):
        Sync().run_block(manager.claim(CARD), body)
    assert manager.check_executed(manager.generate_key(CARD)).cached_result == "by hand"


def test_a_block_has_a_current_execution_and_leaves_none(manager: IdempotencyManager) -> None:
    with manager.claim(CARD) as attempt:
        execution = current_execution()
        assert execution is not None
        assert execution.key == attempt.key
        attempt.complete(1)
        assert current_execution() is None
    assert current_execution() is None


def test_a_latched_block_that_fails_after_dispatch_is_in_doubt(manager: IdempotencyManager) -> None:
    def run(*, dispatch: bool) -> None:
        with manager.claim(CARD, latch=True):
            execution = current_execution()
            assert execution is not None
            if dispatch:
                execution.dispatched()
            raise ValueError("no")

    for dispatch in (False, True):
        with pytest.raises(ValueError, match="no"):
            run(dispatch=dispatch)
        assert len(manager.get_in_doubt()) == dispatch


def test_a_synchronous_manager_has_asynchronous_blocks_too(manager: IdempotencyManager) -> None:
    Async().run_block(manager.aclaim(CARD), lambda attempt: attempt.complete(1))
    assert Sync().run_block(manager.claim(CARD), lambda attempt: attempt.result) == 1


def test_the_repr_of_an_attempt_shows_no_result(manager: IdempotencyManager) -> None:
    with manager.claim(CARD) as attempt:
        attempt.complete("tok-5ecret")
    with manager.claim(CARD) as attempt:
        assert "executed=True" in repr(attempt)
        assert "5ecret" not in repr(attempt)
