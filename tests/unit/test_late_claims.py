"""Claims that end late: the latch, lapsed leases, late holders."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, State, current_execution
from tests.unit.cards import CARD, execute, leave_in_doubt, raiser, state_of
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.testing import ManualClock


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


# ---------------------------------------------------------------- the latch


def before_the_effect(error: BaseException) -> Callable[[], Any]:
    return raiser(error)


def after_dispatch(error: BaseException) -> Callable[[], Any]:
    def body() -> Any:
        execution = current_execution()
        assert execution is not None
        execution.dispatched()
        raise error

    return body


@both_flavours
@pytest.mark.parametrize("error", [TimeoutError(), ValueError(), GeneratorExit()], ids=repr)
def test_before_dispatch_any_exception_means_that_nothing_happened(
    flavour: Flavour, made: Any, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        execute(flavour, made, CARD, before_the_effect(error), latch=True)
    assert state_of(flavour, made) is None


@both_flavours
@pytest.mark.parametrize("error", [TimeoutError(), ValueError(), ConnectionRefusedError(), GeneratorExit()], ids=repr)
def test_after_dispatch_any_exception_means_in_doubt(flavour: Flavour, made: Any, error: BaseException) -> None:
    with pytest.raises(type(error)):
        execute(flavour, made, CARD, after_dispatch(error), latch=True)
    assert state_of(flavour, made) is State.IN_DOUBT


@both_flavours
def test_after_dispatch_not_executed_on_still_proves_that_nothing_happened(flavour: Flavour, made: Any) -> None:
    with pytest.raises(ConnectionRefusedError):
        execute(
            flavour,
            made,
            CARD,
            after_dispatch(ConnectionRefusedError()),
            latch=True,
            not_executed_on=(ConnectionRefusedError,),
        )
    assert state_of(flavour, made) is None


@both_flavours
def test_a_latched_function_that_returns_is_completed(flavour: Flavour, made: Any) -> None:
    def body() -> str:
        execution = current_execution()
        assert execution is not None
        execution.dispatched()
        return "sent"

    assert execute(flavour, made, CARD, body, latch=True) == "sent"
    assert state_of(flavour, made) is State.COMPLETED


def test_a_lapsed_claim_that_never_dispatched_is_run_by_the_next_caller(
    manager: IdempotencyManager, clock: ManualClock
) -> None:
    def overtaken() -> str:
        clock.advance("31s")
        assert manager.get_in_doubt() == []
        assert manager.execute(CARD, lambda: "second", latch=True) == "second"
        return "late"

    with pytest.raises(im.LeaseLostError, match="completed now") as caught:
        manager.execute(CARD, overtaken, latch=True)
    assert caught.value.result == "late"
    assert manager.execute(CARD, raiser(AssertionError("ran"))) == "second"


def test_a_lapsed_claim_that_dispatched_is_in_doubt(manager: IdempotencyManager, clock: ManualClock) -> None:
    def overtaken() -> str:
        execution = current_execution()
        assert execution is not None
        execution.dispatched()
        clock.advance("31s")
        with pytest.raises(im.InDoubtError):
            manager.execute(CARD, raiser(AssertionError("ran")), latch=True)
        return "late"

    assert manager.execute(CARD, overtaken, latch=True) == "late"


def test_dispatched_says_so_where_the_claim_is_lost_and_the_effect_must_not_happen(manager: IdempotencyManager) -> None:
    def body() -> None:
        manager.clear_all()
        execution = current_execution()
        assert execution is not None
        execution.dispatched()
        raise AssertionError("the effect happened")

    with pytest.raises(im.LeaseLostError, match="must not have its effect") as caught:
        manager.execute(CARD, body, latch=True)
    assert "inv-1" in str(caught.value)


def test_dispatched_without_a_latch_changes_nothing(manager: IdempotencyManager) -> None:
    with pytest.raises(ValueError, match="no"):
        manager.execute(CARD, after_dispatch(ValueError("no")))
    assert manager.get_record(manager.generate_key(CARD)) is None


def test_the_current_execution_is_the_innermost_and_gone_afterwards(manager: IdempotencyManager) -> None:
    seen: list[str] = []

    def note() -> None:
        execution = current_execution()
        assert execution is not None
        seen.append(execution.key)

    def outer() -> None:
        note()
        manager.execute({**CARD, "action": "inner"}, note)
        note()

    assert current_execution() is None
    manager.execute(CARD, outer)
    assert current_execution() is None
    outer_key, inner_key = manager.generate_key(CARD), manager.generate_key({**CARD, "action": "inner"})
    assert seen == [outer_key, inner_key, outer_key]


def test_the_uuid_of_an_execution_is_the_same_on_every_retry(manager: IdempotencyManager) -> None:
    seen: list[tuple[str, int]] = []

    def body() -> None:
        execution = current_execution()
        assert execution is not None
        assert timedelta(seconds=20) < execution.remaining() <= timedelta(seconds=30)
        seen.append((execution.uuid, execution.attempt_count))
        raise TimeoutError

    for _ in range(2):
        with pytest.raises(TimeoutError):
            manager.execute(CARD, body, on_in_doubt="retry")
    (first, one), (second, two) = seen
    assert first == second
    assert first[14] == "5"
    assert (one, two) == (1, 2)


# ---------------------------------------------------------------- time and lapsed leases


def test_a_doubt_never_ends_by_itself(manager: IdempotencyManager, clock: ManualClock) -> None:
    key = leave_in_doubt(manager)
    clock.advance("3650d")
    assert manager.cleanup_expired() == 0
    assert manager.cleanup_oldest_entries(10) == 0
    assert [record.key for record in manager.get_in_doubt()] == [key]


def test_a_lapsed_claim_is_in_doubt_for_every_reader(manager: IdempotencyManager, clock: ManualClock) -> None:
    key = manager.generate_key(CARD)

    def body() -> str:
        assert manager.get_record(key).state is State.IN_PROGRESS
        assert (manager.stats().in_progress, manager.stats().in_doubt) == (1, 0)
        clock.advance(timedelta(seconds=29.999999))
        assert manager.get_record(key).state is State.IN_PROGRESS
        clock.advance(timedelta(microseconds=1))
        assert manager.get_record(key).state is State.IN_DOUBT
        assert [record.key for record in manager.get_in_doubt()] == [key]
        assert [record.key for record in manager.iter_records(state=State.IN_DOUBT)] == [key]
        assert list(manager.iter_records(state=State.IN_PROGRESS)) == []
        assert (manager.stats().in_progress, manager.stats().in_doubt) == (0, 1)
        assert not manager.check_executed(key).executed
        return "late"

    # Nobody else has claimed it, so its holder may still complete it.
    assert manager.execute(CARD, body) == "late"
    assert manager.get_record(key).state is State.COMPLETED


def test_nothing_but_time_renews_a_lease(manager: IdempotencyManager, clock: ManualClock) -> None:
    def body() -> str:
        clock.advance("31s")
        for _ in range(200):
            manager.start_auto_cleanup()  # wakes the thread that renews leases, too
            assert len(manager.get_in_doubt()) == 1
        return "late"

    assert manager.execute(CARD, body) == "late"


def test_a_lease_is_renewed_while_the_action_runs(manager: IdempotencyManager) -> None:
    manager.configure(clock=None, lease="400ms")

    def body() -> str:
        execution = current_execution()
        assert execution is not None
        manager.configure(lease="30s")  # a longer one for what comes does not starve the one that is held
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert execution.remaining() > timedelta(0)
            time.sleep(0.01)
        return "done"

    assert manager.execute(CARD, body) == "done"
    assert manager.stats().in_doubt == 0


def test_a_lapsed_claim_that_was_resolved_is_lost_to_its_late_holder(
    manager: IdempotencyManager, clock: ManualClock
) -> None:
    key = manager.generate_key(CARD)

    def body() -> str:
        clock.advance("31s")
        manager.resolve_in_doubt(key, result="by hand")
        return "late"

    with pytest.raises(im.LeaseLostError, match="completed now") as caught:
        manager.execute(CARD, body)
    assert caught.value.result == "late"
    assert caught.value.record is not None
    assert caught.value.record.result == "by hand"
    assert manager.execute(CARD, raiser(AssertionError("ran"))) == "by hand"


@both_flavours
def test_a_claim_that_was_cleared_while_it_ran_is_lost_and_its_result_is_not(flavour: Flavour, made: Any) -> None:
    def body() -> dict[str, int]:
        assert made._core.clear(made.generate_key(CARD)).wait()
        return {"id": 7}

    with pytest.raises(im.LeaseLostError, match="was cleared while it ran") as caught:
        execute(flavour, made, CARD, body)
    assert (caught.value.result, caught.value.record) == ({"id": 7}, None)
    assert made.generate_key(CARD) in str(caught.value)
    assert state_of(flavour, made) is None


def test_a_lapsed_claim_meets_the_policy_of_the_next_caller(manager: IdempotencyManager, clock: ManualClock) -> None:
    def overtaken() -> str:
        clock.advance("31s")
        with pytest.raises(im.InDoubtError):
            manager.execute(CARD, raiser(AssertionError("ran")))
        assert manager.execute(CARD, raiser(AssertionError("ran")), on_in_doubt=lambda _: "found") == "found"
        return "late"

    with pytest.raises(im.LeaseLostError) as caught:
        manager.execute(CARD, overtaken)
    assert caught.value.result == "late"
    assert manager.check_executed(manager.generate_key(CARD)).cached_result == "found"


def test_a_mark_by_hand_beats_the_holder_that_is_late(manager: IdempotencyManager) -> None:
    def body() -> str:
        manager.mark_executed(manager.generate_key(CARD), "by hand")
        return "late"

    with pytest.raises(im.LeaseLostError) as caught:
        manager.execute(CARD, body)
    assert caught.value.result == "late"
    assert manager.execute(CARD, raiser(AssertionError("ran"))) == "by hand"


def test_a_late_holder_that_fails_raises_its_own_error_and_changes_nothing(manager: IdempotencyManager) -> None:
    def body() -> str:
        manager.mark_executed(manager.generate_key(CARD), "by hand")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        manager.execute(CARD, body)
    assert manager.check_executed(manager.generate_key(CARD)).cached_result == "by hand"
