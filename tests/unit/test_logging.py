"""What the package says of itself: log records, and events for `on_event`."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import Event, IdempotencyManager, State
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from idempotency_manager.testing import ManualClock

NAME = "idempotency_manager"
SECRET = "tok-5ecret"  # noqa: S105 - it opens nothing
CARD = {"signal_id": "inv-1", "action": "create_card", "target": "trello", "params": {"token": SECRET}}


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


def execute(flavour: Flavour, manager: Any, error: BaseException | None = None) -> None:
    def body() -> str:
        if error is not None:
            raise error
        return SECRET

    flavour.get(manager.execute(CARD, flavour.function(body)))


def fields(record: logging.LogRecord) -> dict[str, Any]:
    names = ("idempotency_key", "action_type", "target", "signal_id", "attempt_count")
    return {name: getattr(record, name) for name in names}


@both_flavours
def test_a_prevented_duplicate_is_told_at_info_with_its_names(
    flavour: Flavour, made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    execute(flavour, made)
    with caplog.at_level(logging.INFO, NAME):
        execute(flavour, made)
    (record,) = caplog.records
    key = made.generate_key(CARD)
    assert (record.name, record.levelno) == (NAME, logging.INFO)
    assert record.getMessage() == f"duplicate execution prevented: {key}"
    assert fields(record) == {
        "idempotency_key": key,
        "action_type": "create_card",
        "target": "trello",
        "signal_id": "inv-1",
        "attempt_count": 2,
    }


def test_a_decorated_function_s_duplicate_is_told_the_same_way(
    manager: IdempotencyManager, caplog: pytest.LogCaptureFixture
) -> None:
    @im.idempotent(target="trello")
    def create_card(signal_id: str) -> int:
        return 1

    with caplog.at_level(logging.INFO, NAME):
        for _ in range(3):
            create_card("inv-1")
    assert [fields(record)["attempt_count"] for record in caplog.records] == [2, 3]
    assert fields(caplog.records[0])["idempotency_key"] == create_card.key("inv-1") == manager.get_keys()[0]


@both_flavours
def test_a_first_execution_is_told_at_debug(flavour: Flavour, made: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, NAME):
        execute(flavour, made)
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "executed" in record.getMessage()
    assert fields(record)["attempt_count"] == 1


@both_flavours
def test_a_doubt_is_told_at_warning(flavour: Flavour, made: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, NAME), pytest.raises(TimeoutError):
        execute(flavour, made, TimeoutError("no answer"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "in doubt" in record.getMessage()
    assert fields(record)["signal_id"] == "inv-1"


def test_a_lost_claim_is_told_at_warning(manager: IdempotencyManager, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(im.LeaseLostError), caplog.at_level(logging.WARNING, NAME):
        manager.execute(CARD, manager.clear_all)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "lease was lost" in record.getMessage()


@pytest.mark.parametrize("by_hand", [False, True])
def test_an_eviction_is_told_once_for_each_burst(
    manager: IdempotencyManager, caplog: pytest.LogCaptureFixture, by_hand: bool
) -> None:
    manager.configure(max_cache_size=10)
    with caplog.at_level(logging.WARNING, NAME):
        for number in range(14):
            action = {**CARD, "signal_id": f"inv-{number}"}
            if by_hand:
                manager.mark_executed(manager.generate_key(action), number)
            else:
                manager.execute(action, lambda: 1)
    assert manager.stats().evicted == 4
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert all("2 live records were evicted" in record.getMessage() for record in caplog.records)
    assert fields(caplog.records[0])["signal_id"] == "inv-10"


def test_a_level_that_is_changed_counts_from_the_next_call(
    manager: IdempotencyManager, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger(NAME)
    told = []
    for level in (logging.WARNING, logging.INFO, logging.ERROR, logging.DEBUG):
        with caplog.at_level(level, NAME):
            manager.execute(CARD, lambda: 1)
            told.append(len(caplog.records))
        caplog.clear()
    assert told == [0, 1, 0, 1]
    with caplog.at_level(logging.DEBUG, NAME):
        logger.disabled = True
        manager.execute(CARD, lambda: 1)
        logger.disabled = False
        assert caplog.records == []
        logging.disable(logging.INFO)
        manager.execute(CARD, lambda: 1)
        logging.disable(logging.NOTSET)
    assert caplog.records == []


def test_no_log_record_holds_params_or_results(manager: IdempotencyManager, caplog: pytest.LogCaptureFixture) -> None:
    manager.configure(store_params=True)
    with caplog.at_level(logging.DEBUG, NAME):
        for _ in range(2):
            manager.execute(CARD, lambda: SECRET)
    assert len(caplog.records) == 2
    assert not [record for record in caplog.records if SECRET in str(record.__dict__)]


def test_a_handler_that_raises_does_not_break_the_call(
    manager: IdempotencyManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError(record.name)

    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    logger, handler = logging.getLogger(NAME), Broken()
    caplog.set_level(logging.DEBUG, NAME)
    logger.addHandler(handler)
    try:
        assert manager.execute(CARD, lambda: 5) == manager.execute(CARD, lambda: 6) == 5
    finally:
        logger.removeHandler(handler)
    assert [str(report.exc_value) for report in reported] == [NAME] * 2
    assert manager.get_record(manager.generate_key(CARD)).state is State.COMPLETED


# ---------------------------------------------------------------- events


def told(manager: Any) -> list[Event]:
    events: list[Event] = []
    manager.configure(on_event=events.append)
    return events


@both_flavours
def test_an_event_for_each_thing_that_happens(flavour: Flavour, made: Any) -> None:
    events = told(made)
    execute(flavour, made)
    execute(flavour, made)
    flavour.get(made.clear_all())
    for error in (ValueError("no"), TimeoutError("no answer")):
        with pytest.raises(type(error)):
            execute(flavour, made, error)
    flavour.get(made.resolve_in_doubt(made.generate_key(CARD), result=1))
    assert [event.kind for event in events] == ["executed", "replayed", "failed", "in_doubt", "resolved"]
    assert {event.key for event in events} == {made.generate_key(CARD)}
    assert [event.record and event.record.state for event in events] == [
        State.COMPLETED,
        State.COMPLETED,
        None,
        State.IN_DOUBT,
        State.COMPLETED,
    ]
    assert [event.duration is not None for event in events] == [True, False, True, True, False]


def test_events_of_claims_that_are_lost_or_released_or_make_room(manager: IdempotencyManager) -> None:
    events = told(manager)
    with manager.claim(CARD) as attempt:
        attempt.release()
    with pytest.raises(im.LeaseLostError):
        manager.execute(CARD, manager.clear_all)
    manager.configure(max_cache_size=1)
    manager.mark_executed("one", 1)
    manager.mark_executed("two", 2)
    assert [(event.kind, event.key) for event in events] == [
        ("released", manager.generate_key(CARD)),
        ("lease_lost", manager.generate_key(CARD)),
        ("evicted", "two"),
    ]


def test_an_event_does_not_change_and_shows_no_result(manager: IdempotencyManager) -> None:
    events = told(manager)
    manager.execute(CARD, lambda: SECRET)
    with pytest.raises(AttributeError):
        events[0].kind = "other"  # type: ignore[misc]
    assert SECRET not in repr(events[0])
    assert "executed" in repr(events[0])


@both_flavours
def test_a_listener_that_raises_does_not_break_the_call(
    flavour: Flavour, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)

    def listener(event: Event) -> None:
        raise RuntimeError(event.kind)

    made.configure(on_event=listener)
    for _ in range(2):
        execute(flavour, made)
    with pytest.raises(TimeoutError):
        flavour.get(made.execute({**CARD, "signal_id": "2"}, flavour.function(_time_out)))
    assert [str(report.exc_value) for report in reported] == ["executed", "replayed", "in_doubt"]


def _time_out() -> None:
    raise TimeoutError


def test_a_listener_may_use_the_manager(manager: IdempotencyManager) -> None:
    seen: list[int] = []
    manager.configure(on_event=lambda event: seen.append(manager.check_executed(event.key).cached_result))
    manager.execute(CARD, lambda: 5)
    assert seen == [5]
