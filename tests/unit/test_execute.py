"""`execute`: one execution for each key, for its time, with what is kept of it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import Action, IdempotencyManager, State
from tests.unit.cards import CARD, Counted, execute
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from idempotency_manager.testing import ManualClock


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


@both_flavours
def test_an_action_runs_once_and_its_duplicate_gets_its_result(flavour: Flavour, made: Any) -> None:
    body = Counted({"id": 7})
    assert execute(flavour, made, CARD, body) == {"id": 7}
    assert execute(flavour, made, CARD, body) == {"id": 7}
    assert body.runs == 1


@both_flavours
@pytest.mark.parametrize("result", [None, False, 0, "", {}, [], 0.0, b"", ()], ids=repr)
def test_a_result_that_is_false_is_a_result(flavour: Flavour, made: Any, result: Any) -> None:
    body = Counted(result)
    first, second = (execute(flavour, made, CARD, body) for _ in range(2))
    assert (first, type(first)) == (second, type(second)) == (result, type(result))
    assert body.runs == 1


def test_a_mapping_an_action_and_keywords_name_the_same_action(manager: IdempotencyManager) -> None:
    action = Action("inv-1", "create_card", "trello", {"title": "Pay"})
    body = Counted()
    manager.execute(action, body)
    manager.execute(CARD, body)
    manager.execute(OrderedDict(reversed(CARD.items())), body)
    assert body.runs == 1
    assert manager.generate_key(action) == manager.generate_key(**CARD)


@pytest.mark.parametrize(
    "changed", [{"signal_id": "inv-2"}, {"action": "x"}, {"target": "x"}, {"params": {"title": "x"}}]
)
def test_an_action_that_differs_in_one_field_is_another(manager: IdempotencyManager, changed: dict[str, Any]) -> None:
    body = Counted()
    manager.execute(CARD, body)
    manager.execute({**CARD, **changed}, body)
    assert body.runs == 2


@both_flavours
@pytest.mark.parametrize("field", ["signal_id", "action", "target"])
@pytest.mark.parametrize("value", ["", None, 5])
def test_an_action_without_a_name_is_refused_by_that_name(flavour: Flavour, made: Any, field: str, value: Any) -> None:
    body = Counted()
    with pytest.raises(im.InvalidActionError, match=field):
        execute(flavour, made, {**CARD, field: value}, body)
    with pytest.raises(im.InvalidActionError, match=field):
        execute(flavour, made, {name: given for name, given in CARD.items() if name != field}, body)
    assert body.runs == 0


def test_an_action_with_an_unknown_field_is_refused(manager: IdempotencyManager) -> None:
    with pytest.raises(im.InvalidActionError, match="parms"):
        manager.execute({**CARD, "parms": {}}, Counted())


@both_flavours
def test_params_that_can_t_be_hashed_are_refused_before_anything_runs(flavour: Flavour, made: Any) -> None:
    body = Counted()
    with pytest.raises(im.UnsupportedParamError) as caught:
        execute(flavour, made, {**CARD, "params": {"items": [1, {"due": object()}]}}, body)
    assert caught.value.path == "params.items[1].due"
    assert body.runs == 0
    assert flavour.get(made.stats()).total_cached == flavour.get(made.stats()).in_progress == 0


# ---------------------------------------------------------------- time to live


@both_flavours
def test_a_result_is_kept_for_its_ttl_and_no_longer(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    body = Counted()
    execute(flavour, made, CARD, body, ttl="1h")
    clock.advance(3599.999999)
    execute(flavour, made, CARD, body, ttl="1h")
    assert body.runs == 1
    clock.advance(0.000001)
    execute(flavour, made, CARD, body, ttl="1h")
    assert body.runs == 2


def test_the_ttl_starts_when_the_executor_ends(manager: IdempotencyManager, clock: ManualClock) -> None:
    def slow() -> str:
        clock.advance("20s")
        return "done"

    manager.execute(CARD, slow, ttl="1m")
    record = manager.get_record(manager.generate_key(CARD))
    assert record is not None
    assert record.executed_at == clock.now()
    assert record.started_at == clock.now() - timedelta(seconds=20)
    assert record.expires_at == clock.now() + timedelta(minutes=1)


def test_a_replay_does_not_lengthen_the_ttl(manager: IdempotencyManager, clock: ManualClock) -> None:
    manager.execute(CARD, Counted(), ttl="1h")
    clock.advance("30m")
    manager.execute(CARD, Counted(), ttl="2h")
    assert manager.check_executed(manager.generate_key(CARD)).ttl == timedelta(minutes=30)


@pytest.mark.parametrize("ttl", [0, -1, "5", "x", "1s", True, float("nan")])
def test_a_ttl_that_can_t_be_is_refused_and_claims_nothing(manager: IdempotencyManager, ttl: Any) -> None:
    body = Counted()
    with pytest.raises(im.ConfigurationError, match="ttl"):
        manager.execute(CARD, body, ttl=ttl)
    assert body.runs == manager.stats().in_progress == 0


def test_an_unknown_option_is_refused_by_name(manager: IdempotencyManager) -> None:
    with pytest.raises(im.ConfigurationError, match="'retries'"):
        manager.execute(CARD, Counted(), retries=3)


# ---------------------------------------------------------------- params that are no part of the key


def test_without_params_in_the_key_other_params_are_a_duplicate(manager: IdempotencyManager) -> None:
    manager.configure(include_params_in_key=False)
    body = Counted()
    manager.execute(CARD, body)
    assert manager.execute({**CARD, "params": {"title": "Other"}}, body) == "done"
    assert body.runs == 1
    assert manager.generate_key(CARD) == "inv-1:create_card:trello"


@both_flavours
def test_with_verify_params_other_params_are_an_error(flavour: Flavour, made: Any) -> None:
    made.configure(include_params_in_key=False, verify_params=True)
    body = Counted()
    execute(flavour, made, CARD, body)
    with pytest.raises(im.ParamsMismatchError, match="other params") as caught:
        execute(flavour, made, {**CARD, "params": {"title": "Other"}}, body)
    assert caught.value.record.state is State.COMPLETED
    assert "Pay" not in str(caught.value)
    assert body.runs == 1
    assert execute(flavour, made, CARD, body) == "done"


def test_other_params_are_an_error_before_the_state_is_looked_at(manager: IdempotencyManager) -> None:
    manager.configure(include_params_in_key=False, verify_params=True)
    with pytest.raises(KeyboardInterrupt):
        manager.execute(CARD, Counted(KeyboardInterrupt()))
    with pytest.raises(im.ParamsMismatchError):
        manager.execute({**CARD, "params": {}}, Counted())
    with pytest.raises(im.InDoubtError):
        manager.execute(CARD, Counted())


def test_an_expired_record_of_other_params_is_no_mismatch(manager: IdempotencyManager, clock: ManualClock) -> None:
    manager.configure(include_params_in_key=False, verify_params=True)
    manager.execute(CARD, Counted())
    clock.advance("24h")
    assert manager.execute({**CARD, "params": {}}, lambda: "new") == "new"


# ---------------------------------------------------------------- what is kept of the action


class Colour(Enum):
    """A param with a canonical form and no encoding of its own."""

    RED = "red"


@dataclass
class Line:
    """The same."""

    amount: int


def test_params_are_kept_only_where_that_is_asked_for(manager: IdempotencyManager) -> None:
    key = manager.generate_key(CARD)
    manager.execute(CARD, Counted())
    assert manager.get_record(key).params is None
    manager.clear_all()
    manager.configure(store_params=True)
    manager.execute(CARD, Counted())
    assert manager.get_record(key).params == {"title": "Pay"}


def test_params_of_every_type_that_can_be_hashed_can_be_kept(manager: IdempotencyManager) -> None:
    manager.configure(store_params=True)
    when = datetime(2026, 1, 2, tzinfo=UTC)
    action = {**CARD, "params": {"colour": Colour.RED, "lines": [Line(3)], "when": when}}
    manager.execute(action, Counted())
    kept = manager.get_record(manager.generate_key(action)).params
    assert kept == {"colour": "red", "lines": [{"amount": 3}], "when": when}


def test_params_whose_canonical_form_is_no_json_are_kept_as_that_text(manager: IdempotencyManager) -> None:
    @dataclass
    class Invoice:
        due: datetime

    manager.configure(store_params=True)
    invoice = Invoice(datetime(2026, 1, 2, tzinfo=UTC))
    action = {**CARD, "params": {"invoice": invoice}}
    manager.execute(action, Counted())
    kept = manager.get_record(manager.generate_key(action)).params
    assert kept == {"invoice": im.canonicalize(invoice).decode()}
    assert "2026-01-02" in kept["invoice"]


def test_the_context_is_kept_and_is_no_part_of_the_key(manager: IdempotencyManager) -> None:
    key = manager.generate_key(CARD)
    assert manager.generate_key({**CARD, "context": {"trace": "t-1"}}) == key
    manager.execute({**CARD, "context": {"trace": "t-1"}}, Counted())
    assert manager.get_record(key).context == {"trace": "t-1"}
    assert manager.execute({**CARD, "context": {"trace": "t-2"}}, lambda: "again") == "done"
    assert manager.get_record(key).context == {"trace": "t-1"}


@both_flavours
def test_a_context_that_can_t_be_kept_is_refused_with_its_path(flavour: Flavour, made: Any) -> None:
    body = Counted()
    with pytest.raises(im.UnsupportedParamError, match=r"context\.user can't be kept") as caught:
        execute(flavour, made, {**CARD, "context": {"user": object()}}, body)
    assert caught.value.path == "context.user"
    assert "result" not in str(caught.value)
    with pytest.raises(im.InvalidActionError, match="context is of type list"):
        execute(flavour, made, {**CARD, "context": [1]}, body)
    assert body.runs == 0
