"""Records, and what is made of them: what they say, what they hide, and that they survive a pickle."""

from __future__ import annotations

import copy
import os
import pickle
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, IdempotencyRecord, State

if TYPE_CHECKING:
    from idempotency_manager.testing import ManualClock

SECRET = "tok-5ecret"  # noqa: S105 - it opens nothing
CARD = {
    "signal_id": "inv-1",
    "action": "create_card",
    "target": "trello",
    "params": {"token": SECRET},
    "context": {"trace": "t-1"},
}
FIELDS = [
    "key",
    "state",
    "signal_id",
    "action_type",
    "target",
    "params",
    "context",
    "result",
    "executed_at",
    "started_at",
    "expires_at",
    "attempt_count",
    "owner",
    "error",
]


def record_of(manager: IdempotencyManager) -> IdempotencyRecord:
    record = manager.get_record(manager.generate_key(CARD))
    assert record is not None
    return record


@pytest.fixture
def completed(manager: IdempotencyManager, clock: ManualClock) -> IdempotencyRecord:
    """A record with everything that a record can have."""
    manager.configure(store_params=True)

    def body() -> dict[str, str]:
        clock.advance("5s")
        return {"secret": SECRET}

    manager.execute(CARD, body)
    return record_of(manager)


def test_a_record_says_what_ran_when_and_where(completed: IdempotencyRecord, clock: ManualClock) -> None:
    now = clock.now()
    assert {name: getattr(completed, name) for name in FIELDS if name not in ("key", "owner")} == {
        "state": State.COMPLETED,
        "signal_id": "inv-1",
        "action_type": "create_card",
        "target": "trello",
        "params": {"token": SECRET},
        "context": {"trace": "t-1"},
        "result": {"secret": SECRET},
        "executed_at": now,
        "started_at": now - timedelta(seconds=5),
        "expires_at": now + timedelta(hours=24),
        "attempt_count": 1,
        "error": None,
    }
    assert completed.key == im.generate_idempotency_key(CARD)
    assert completed.owner is not None
    assert completed.owner.endswith(f":{os.getpid()}")
    assert isinstance(completed.state, State)


def test_times_are_aware_and_in_utc(completed: IdempotencyRecord) -> None:
    assert completed.executed_at is not None
    assert {completed.executed_at.tzinfo, completed.started_at.tzinfo, completed.expires_at.tzinfo} == {UTC}


def test_a_record_in_progress_has_neither_result_nor_end(manager: IdempotencyManager) -> None:
    def body() -> None:
        record = record_of(manager)
        assert (record.state, record.result, record.executed_at, record.error) == (State.IN_PROGRESS, None, None, None)

    manager.execute(CARD, body)


def test_a_record_is_a_look_that_does_not_change(manager: IdempotencyManager) -> None:
    manager.execute(CARD, lambda: 1)
    before = record_of(manager)
    manager.execute(CARD, lambda: 2)
    manager.clear_all()
    assert (before.attempt_count, before.state, before.result) == (1, State.COMPLETED, 1)


def test_attempts_are_executions_and_prevented_duplicates_together(manager: IdempotencyManager) -> None:
    for count in range(1, 4):
        manager.execute(CARD, lambda: 1)
        assert record_of(manager).attempt_count == count
    manager.check_executed(manager.generate_key(CARD))
    assert record_of(manager).attempt_count == 4
    assert record_of(manager).attempt_count == 4


def test_a_record_can_t_be_changed_or_made(completed: IdempotencyRecord) -> None:
    with pytest.raises(AttributeError):
        completed.result = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        IdempotencyRecord()
    completed.result["secret"] = "changed"  # noqa: S105 - it opens nothing
    assert completed.result == {"secret": SECRET}


def test_a_repr_shows_neither_result_nor_params(manager: IdempotencyManager, completed: IdempotencyRecord) -> None:
    key = completed.key
    check = manager.check_executed(key)
    for shown in (completed, check, manager.stats(), manager.cache_info(), pickle.loads(pickle.dumps(completed))):  # noqa: S301 - its own
        assert SECRET not in repr(shown)
    assert repr(completed) == f'IdempotencyRecord(key="{key}", state=completed, attempt_count=1)'
    assert repr(check) == f'CheckResult(executed=True, idempotency_key="{key}")'


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301 - its own
def test_a_record_that_is_copied_or_pickled_has_the_same_attributes(completed: IdempotencyRecord, copied: Any) -> None:
    twin = copied(completed)
    assert {name: getattr(twin, name) for name in FIELDS} == {name: getattr(completed, name) for name in FIELDS}
    assert type(twin.state) is State


@pytest.mark.parametrize("kind", ["in doubt", "mismatch", "lost", "failed"])
def test_an_error_that_carries_a_record_survives_a_pickle(manager: IdempotencyManager, kind: str) -> None:
    manager.configure(include_params_in_key=False, verify_params=True)

    def fail() -> None:
        raise {"in doubt": TimeoutError, "failed": LookupError}[kind]("no")

    def overtaken() -> int:
        manager.mark_executed(manager.generate_key(CARD), 5)
        return 7

    def provoke() -> None:
        if kind == "mismatch":
            manager.execute({**CARD, "params": {}}, lambda: 1)
        elif kind == "lost":
            manager.execute(CARD, overtaken)
        else:
            with pytest.raises((TimeoutError, LookupError)):
                manager.execute(CARD, fail, replay_errors=(LookupError,))
        manager.execute(CARD, lambda: 1)

    with pytest.raises(im.IdempotencyError) as caught:
        provoke()
    error = caught.value
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert twin.record.key == manager.generate_key(CARD)
    assert getattr(twin, "result", None) == getattr(error, "result", None)


def test_a_check_says_what_was_found(manager: IdempotencyManager, clock: ManualClock) -> None:
    key = manager.generate_key(CARD)
    missing = manager.check_executed(key)
    assert (missing.executed, missing.cached_result, missing.executed_at, missing.ttl) == (False, None, None, None)
    assert missing.idempotency_key == key
    manager.execute(CARD, lambda: [1], ttl="1h")
    executed_at = clock.now()
    clock.advance("10m")
    found = manager.check_executed(key)
    assert (found.executed, found.cached_result, found.executed_at) == (True, [1], executed_at)
    assert found.ttl == timedelta(minutes=50)
