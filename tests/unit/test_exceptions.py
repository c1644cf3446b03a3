"""The errors: their tree, their messages, their attributes, and that they survive a pickle."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import exceptions as errors
from idempotency_manager._types import State

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "tok-5ecret"  # noqa: S105 - it is what must not be shown
START = datetime(2026, 3, 1, 9, 30, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Record:
    """What the errors read of a record."""

    key: str = "inv-1:create_card:trello:00ff"
    state: State = State.IN_DOUBT
    signal_id: str | None = "inv-1"
    action_type: str | None = "create_card"
    target: str | None = "trello"
    params: Mapping[str, Any] | None = None
    context: Mapping[str, Any] | None = None
    result: Any = None
    executed_at: datetime | None = START + timedelta(seconds=1)
    started_at: datetime = START
    expires_at: datetime = START + timedelta(days=1)
    attempt_count: int = 2
    owner: str | None = "host-7:4242"
    error: str | None = "TimeoutError: no answer"


RECORD = Record(params={"token": SECRET}, context={"token": SECRET}, result=SECRET)
EVERY_ERROR = [
    errors.IdempotencyError("text"),
    errors.InvalidActionError("text"),
    errors.InvalidKeyError("text"),
    errors.UnsupportedParamError("an object has no canonical form", "params.items[3].due"),
    errors.ConfigurationError("text"),
    errors.AlreadyInProgressError(RECORD, timedelta(seconds=60)),
    errors.ParamsMismatchError(RECORD),
    errors.InDoubtError(RECORD),
    errors.NotInDoubtError("k", "in_progress"),
    errors.LeaseLostError(RECORD, SECRET),
    errors.LeaseLostError(None, SECRET, "k"),
    errors.ReentrantCallError("k"),
    errors.PreviousFailureError(RECORD),
    errors.CacheFullError("text"),
    errors.ResultUnavailableError(RECORD),
    errors.TransactionEndedError("k", SECRET, recorded=True),
    errors.TransactionEndedError("k", SECRET, recorded=False),
    errors.InvalidDeliveryError("slack", "event_id", "is missing"),
    errors.InvalidSignatureError("github", "X-Hub-Signature-256", "is missing"),
    errors.StoreError("text"),
    errors.StoreUnavailableError("text"),
    errors.ResultNotRecordedError("k", SECRET, "disk full"),
]
every_error = pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)


def test_every_error_is_tested_exported_and_drawn() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    warned_of = {name for name in defined if issubclass(getattr(errors, name), Warning)}
    assert {type(error).__name__ for error in EVERY_ERROR} | warned_of == defined == set(errors.__all__)
    assert defined <= set((errors.__doc__ or "").replace("──", " ").replace("`", " ").split())


@every_error
def test_every_error_derives_from_the_root(error: errors.IdempotencyError) -> None:
    assert isinstance(error, errors.IdempotencyError)


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (errors.InvalidActionError, ValueError),
        (errors.InvalidKeyError, ValueError),
        (errors.UnsupportedParamError, TypeError),
        (errors.ConfigurationError, ValueError),
        (errors.StoreUnavailableError, ConnectionError),
        (errors.StoreUnavailableError, errors.StoreError),
        (errors.ResultNotRecordedError, errors.StoreError),
    ],
)
def test_an_error_is_also_what_plain_code_expects(error: type, base: type) -> None:
    assert issubclass(error, base)


@every_error
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_error_keeps_its_message_and_attributes(error: errors.IdempotencyError, protocol: int) -> None:
    error.add_note("seen by the worker")
    again = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - its own
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


@every_error
def test_a_copied_error_keeps_its_message_and_attributes(error: errors.IdempotencyError) -> None:
    again = copy.copy(error)
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


@every_error
def test_neither_text_nor_repr_shows_a_result_or_params(error: errors.IdempotencyError) -> None:
    assert SECRET not in f"{error} {error!r}"


def test_a_result_is_never_lost() -> None:
    assert errors.LeaseLostError(None, SECRET).result == SECRET
    assert errors.ResultNotRecordedError("k", SECRET).result == SECRET
    assert errors.TransactionEndedError("k", SECRET, recorded=False).result == SECRET


@pytest.mark.parametrize("error", [error for error in EVERY_ERROR if getattr(error, "record", None)], ids=repr)
def test_an_error_about_a_record_names_the_action_and_carries_it(error: errors.InDoubtError) -> None:
    assert error.record is RECORD
    for named in (RECORD.key, "create_card", "trello", "inv-1", "2026-03-01 09:30:0"):
        assert named in str(error)


def test_doubt_is_told_with_its_reason_and_its_ways_out() -> None:
    text = str(errors.InDoubtError(RECORD))
    key = repr(RECORD.key)
    for part in (
        "2026-03-01 09:30:05 UTC",
        "host-7:4242",
        "TimeoutError: no answer",
        f"resolve_in_doubt({key}, result=…)",
        f"resolve_in_doubt({key}, not_executed=True)",
        "on_in_doubt=",
    ):
        assert part in text


def test_a_record_without_names_is_told_by_its_key() -> None:
    record = Record(signal_id=None, action_type=None, target=None, owner=None, error=None, executed_at=None)
    text = str(errors.InDoubtError(record))
    assert "None" not in text
    assert record.key in text
    assert "None" not in str(errors.PreviousFailureError(record))
    assert "None" not in str(errors.ResultUnavailableError(record))


def test_a_time_in_another_zone_is_told_in_utc() -> None:
    elsewhere = datetime.fromisoformat("2026-03-01T11:30:05+02:00")
    assert "09:30:05 UTC" in str(errors.InDoubtError(Record(started_at=elsewhere)))


def test_a_wait_is_told_only_where_there_was_one() -> None:
    assert "after 60 s of waiting" in str(errors.AlreadyInProgressError(RECORD, timedelta(minutes=1)))
    assert "waiting" not in str(errors.AlreadyInProgressError(RECORD))


def test_a_key_without_doubt_is_told_by_what_it_is() -> None:
    assert "'k' is in progress" in str(errors.NotInDoubtError("k", "in_progress"))
    assert "'k' has no record" in str(errors.NotInDoubtError("k"))
    assert errors.NotInDoubtError("k").state is None


def test_a_bad_value_is_told_by_its_path_once() -> None:
    assert str(errors.UnsupportedParamError("NaN", "params.x")) == "params.x: NaN"
    assert str(errors.UnsupportedParamError("params.x is NaN", "params.x")) == "params.x is NaN"


def test_a_cleared_claim_is_told_by_its_key_where_that_is_known() -> None:
    assert "'k'" in str(errors.LeaseLostError(None, 1, "k"))
    assert "None" not in str(errors.LeaseLostError(None, 1))
