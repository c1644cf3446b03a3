"""Records that move: as lines of JSON, and from store to store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, State
from idempotency_manager._core import Inventory, line_of_record, record_of_line
from idempotency_manager.moving import copy_records
from idempotency_manager.testing import FaultPlan, ManualClock, inject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("error")


class Bytes:
    """A codec."""

    def encode(self, result: Any) -> bytes:
        return bytes([0xFF]) + str(result).encode()

    def decode(self, data: bytes) -> Any:
        return data[1:].decode()


def action(number: int) -> im.Action:
    return im.Action(f"s{number}", "create_card", "trello", {"number": number}, {"by": "cron"})


def fail(error: Exception) -> None:
    raise error


def fill(manager: IdempotencyManager) -> list[str]:
    """Leave a record of each kind; answers with their keys, the completed one first."""
    manager.execute(action(1), lambda: {"id": b"c1", "é": 2.5})
    manager.execute(action(2), lambda: None)
    manager.execute(action(3), lambda: "encoded", codec=Bytes())
    for number, error in ((4, KeyError("no such channel")), (5, TimeoutError("lost"))):
        with pytest.raises(type(error)):
            manager.execute(action(number), lambda error=error: fail(error), replay_errors=(KeyError,))
    manager.mark_executed("by:hand:of:nobody", "marked")
    return [manager.generate_key(action(number)) for number in range(1, 6)]


@pytest.fixture
def target(tmp_path: Path, clock: ManualClock) -> Iterator[IdempotencyManager]:
    """A store in a file."""
    with IdempotencyManager(f"sqlite:///{tmp_path}/target.db", clock=clock, codec=None) as made:
        yield made


def digest(manager: IdempotencyManager) -> tuple[int, str]:
    inventory = Inventory()
    inventory.add(list(manager.iter_records()))
    return inventory.records, inventory.digest


# ---------------------------------------------------------------- lines


def test_a_line_holds_all_of_a_record(clock: ManualClock) -> None:
    manager = IdempotencyManager(clock=clock, store_params=True)
    fill(manager)
    with manager.claim(action(6)) as attempt:
        records = list(manager.iter_records())
        attempt.release()
    assert {record.state for record in records} == set(State)
    for record in records:
        line = line_of_record(record)
        assert "\n" not in line
        again = record_of_line(line)
        assert line_of_record(again) == line
        one, other = Inventory(), Inventory()
        one.add([record])
        other.add([again])
        assert one.digest == other.digest
        for name in ("key", "state", "signal_id", "action_type", "target", "params", "context", "result", "owner"):
            assert getattr(again, name) == getattr(record, name)
        for name in ("started_at", "executed_at", "expires_at", "attempt_count", "error"):
            assert getattr(again, name) == getattr(record, name)


def test_a_line_can_be_read_by_people(clock: ManualClock) -> None:
    manager = IdempotencyManager(clock=clock, store_params=True)
    keys = fill(manager)
    lines = {record.key: json.loads(line_of_record(record)) for record in manager.iter_records()}
    first = lines[keys[0]]
    assert first["result"] == {"id": {"$bytes": "YzE="}, "é": 2.5}
    assert (first["params"], first["context"]) == ({"number": 1}, {"by": "cron"})
    assert (first["started_at"], first["expires_at"]) == ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    assert lines[keys[2]]["result_base64"] == "/2VuY29kZWQ="
    assert lines[keys[3]]["failure"] == {
        "class": "KeyError",
        "text": "'no such channel'",
        "args": {"$tuple": ["no such channel"]},
    }
    assert lines[keys[4]]["error"].endswith("TimeoutError: lost")


def test_an_object_without_an_encoding_is_moved_as_unavailable(clock: ManualClock, target: IdempotencyManager) -> None:
    manager = IdempotencyManager(clock=clock)
    manager.execute(action(1), object)
    (record,) = manager.iter_records()
    assert json.loads(line_of_record(record))["result_unavailable"] is True
    copied = copy_records(manager, target)
    assert (copied.written, copied.problem) == (1, None)
    with pytest.raises(im.ResultUnavailableError):
        target.execute(action(1), lambda: "again")


def good() -> dict[str, Any]:
    manager = IdempotencyManager()
    manager.execute(action(1), lambda: 1)
    line: dict[str, Any] = json.loads(line_of_record(next(iter(manager.iter_records()))))
    return line


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"key": ""}, "its key is empty"),
        ({"executed_at": None}, "it is completed and has no executed_at"),
        ({"state": "in_progress"}, "it is in_progress and has no lease_until"),
        ({"state": "failed"}, "it is failed and has no failure"),
        ({"fingerprint": "12"}, "is not 64 hex digits"),
        ({"fingerprint": "é" * 32}, "is not 64 hex digits"),
        ({"fingerprint": "+1" * 32}, "is not 64 hex digits"),
        ({"result_base64": "####"}, "more than one of result"),
        ({"result": None, "result_base64": "####"}, "no base64"),
        ({"started_at": "2026-13-01T00:00:00Z"}, "is no time such as"),
        ({"started_at": "2026-02-29T00:00:00Z"}, "is no time such as"),
        ({"started_at": "2026-02-28T24:00:00Z"}, "is no time such as"),
        ({"started_at": "2026-02-28"}, "is no time such as"),
        ({"started_at": 1.5}, "expected a time"),
        ({"secret": 1}, "unknown field `secret`"),
        ({"version": None}, "no version"),
        ({"version": 7}, "version 7"),
    ],
)
def test_a_line_that_is_no_record_says_why(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        record_of_line(json.dumps(good() | change))


@given(st.text() | st.dictionaries(st.text(), st.none() | st.integers() | st.text()).map(json.dumps))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        record_of_line(text)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - made aware below
def test_a_time_is_written_as_python_does(when: datetime) -> None:
    text = when.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    record = record_of_line(json.dumps(good() | {"started_at": text}))
    assert record.started_at == when.replace(tzinfo=UTC)
    assert json.loads(line_of_record(record))["started_at"] == text


def test_a_time_beyond_the_calendar_is_a_number() -> None:
    far = good() | {"expires_at": 2**62}
    assert json.loads(line_of_record(record_of_line(json.dumps(far))))["expires_at"] == 2**62


# ---------------------------------------------------------------- from store to store


def test_records_grow_from_memory_to_a_file(clock: ManualClock, target: IdempotencyManager) -> None:
    manager = IdempotencyManager(clock=clock)
    keys = fill(manager)
    before = digest(manager)
    told: list[tuple[int, int | None]] = []
    copied = copy_records(manager, target, on_progress=lambda *progress: told.append(progress))
    assert (copied.written, copied.same, copied.expired, copied.occupied, copied.in_progress) == (6, 0, 0, (), 0)
    assert (copied.records, copied.digest) == before == digest(target)
    assert (copied.others, copied.problem) == (0, None)
    assert told == [(6, 6)]
    assert digest(manager) == before, "nothing is changed in the source"
    assert target.execute(action(1), lambda: "again") == {"id": b"c1", "é": 2.5}
    assert target.execute(action(2), lambda: "again") is None
    assert target.execute(action(3), lambda: "again", codec=Bytes()) == "encoded"
    with pytest.raises(KeyError, match="no such channel"):
        target.execute(action(4), lambda: "again", replay_errors=(KeyError,))
    with pytest.raises(im.InDoubtError):
        target.execute(action(5), lambda: "again")
    assert [record.key for record in target.get_in_doubt()] == [keys[4]]
    clock.advance("25h")
    assert target.execute(action(1), lambda: "after its time") == "after its time"


def test_what_was_broken_off_goes_on_where_it_was(clock: ManualClock, target: IdempotencyManager) -> None:
    manager = IdempotencyManager(clock=clock)
    manager.execute_many([action(number) for number in range(1_200)], lambda done: done.params["number"])
    plan = FaultPlan()
    inject(target, plan)
    plan.succeed("restore")
    plan.fail_after("restore")
    with pytest.raises(im.StoreUnavailableError):
        copy_records(manager, target)
    copied = copy_records(manager, target)
    assert (copied.written, copied.same, copied.records, copied.problem) == (200, 1_000, 1_200, None)


def test_duplicates_meanwhile_make_no_difference(clock: ManualClock, target: IdempotencyManager) -> None:
    """Attempts are counted on; that is no other record."""
    manager = IdempotencyManager(clock=clock)
    fill(manager)
    copy_records(manager, target)
    manager.execute(action(1), lambda: "again")
    target.execute(action(2), lambda: "again")
    again = copy_records(manager, target)
    assert (again.same, again.problem) == (6, None)


def test_a_key_that_the_target_has_otherwise_is_left_as_it_is(clock: ManualClock, target: IdempotencyManager) -> None:
    manager = IdempotencyManager(clock=clock)
    keys = fill(manager)
    target.mark_executed(keys[0], "mine")
    target.mark_executed("only:here:a:b", "own")
    copied = copy_records(manager, target)
    assert copied.occupied == (keys[0],)
    assert copied.problem is not None
    kept = copy_records(manager, target, keep_target=True)
    assert (kept.occupied, kept.others, kept.records, kept.problem) == ((keys[0],), 1, 5, None)
    assert target.check_executed(keys[0]).cached_result == "mine"


def test_what_is_written_meanwhile_is_missing_and_said(clock: ManualClock, target: IdempotencyManager) -> None:
    manager = IdempotencyManager(clock=clock)
    fill(manager)
    copied = copy_records(manager, target, on_progress=lambda *_: manager.execute(action(7), lambda: "late") and None)
    assert copied.problem is not None
    assert "the source has 7 records" in copied.problem
    assert copy_records(manager, target).problem is None


def test_what_is_about_to_end_is_copied_and_not_compared(clock: ManualClock, target: IdempotencyManager) -> None:
    manager = IdempotencyManager(clock=clock, lease="1s")
    manager.execute(action(1), lambda: 1, ttl="30s")
    manager.execute(action(2), lambda: 2)
    copied = copy_records(manager, target, on_progress=lambda *_: clock.advance("31s"))
    assert (copied.written, copied.records, copied.problem) == (2, 1, None)


def test_an_action_that_is_running_is_copied_with_its_lease(clock: ManualClock, target: IdempotencyManager) -> None:
    manager = IdempotencyManager(clock=clock, lease="30s")
    with manager.claim(action(1)) as attempt:
        copied = copy_records(manager, target)
        attempt.release()
    assert (copied.in_progress, copied.written, copied.problem) == (1, 1, None)
    (record,) = target.iter_records()
    assert record.state is State.IN_PROGRESS
    clock.advance("30s")
    with pytest.raises(im.InDoubtError):
        target.execute(action(1), lambda: "again")


def test_a_store_is_not_copied_to_itself(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with IdempotencyManager(url) as one, IdempotencyManager(url) as two, IdempotencyManager() as memory:
        for source, target in ((one, one), (one, two), (memory, memory)):
            with pytest.raises(im.ConfigurationError, match="the same store"):
                copy_records(source, target)


def test_a_full_target_is_an_error_and_loses_nothing(clock: ManualClock) -> None:
    manager, small = IdempotencyManager(clock=clock), IdempotencyManager(clock=clock, max_cache_size=3)
    fill(manager)
    small.mark_executed("only:here:a:b", "own")
    with pytest.raises(im.CacheFullError, match="evict nothing"):
        copy_records(manager, small)
    assert small.check_executed("only:here:a:b").cached_result == "own"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=20)
@given(results=st.lists(st.none() | st.integers() | st.text() | st.binary() | st.lists(st.floats(allow_nan=False))))
def test_whatever_is_kept_moves(results: list[Any], tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    with (
        IdempotencyManager(clock=clock) as manager,
        IdempotencyManager(f"sqlite:///{tmp_path}/{id(results)}.db?synchronous=normal", clock=clock) as target,
    ):
        manager.execute_many([action(number) for number in range(len(results))], lambda a: results[a.params["number"]])
        assert copy_records(manager, target).problem is None
        clock.advance(timedelta(hours=1))
        moved = target.execute_many([action(number) for number in range(len(results))], lambda _: pytest.fail("it ran"))
        assert [outcome.unwrap() for outcome in moved] == results
        target.clear_all()
