"""Every error that the package raises on purpose.

    Exception
    └── IdempotencyError
        ├── InvalidActionError          (ValueError)       a missing or empty field, no signal
        ├── InvalidKeyError             (ValueError)       a text that is no idempotency key
        ├── UnsupportedParamError       (TypeError)        a value among the params that has no canonical form
        ├── ConfigurationError          (ValueError)       a setting that can't be
        ├── AlreadyInProgressError                         somebody else is executing the action
        ├── ParamsMismatchError                            the live record is of other params
        ├── InDoubtError                                   nobody knows whether the effect happened
        ├── NotInDoubtError                                there is no doubt to resolve
        ├── LeaseLostError                                 the claim was taken away before it was finished
        ├── ReentrantCallError                             an executor asked for its own key
        ├── PreviousFailureError                           a replayed failure of a type unknown here
        ├── CacheFullError                                 no room for one more record
        ├── ResultUnavailableError                         it ran; its result could not be stored
        ├── TransactionEndedError                          an executor ended the transaction that it ran in
        ├── InvalidDeliveryError        (ValueError)       a webhook that lacks what its vendor documents
        │   └── InvalidSignatureError                      one that its vendor did not sign, or long ago
        └── StoreError                                     the store could not do what it was asked
            ├── StoreUnavailableError   (ConnectionError)  out of reach; the effect did not run
            └── ResultNotRecordedError                     it ran; the store failed afterwards

Each error carries what it is about as attributes and survives `pickle`. Messages hold keys, names and
times, never params or a result: those may be secrets, and messages end up in logs.

`VolatileParamsWarning` (UserWarning) is the one warning: a param makes every retry a new action.
"""

from __future__ import annotations

from datetime import UTC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from typing import Any

    from ._core import IdempotencyRecord

__all__ = [
    "AlreadyInProgressError",
    "CacheFullError",
    "ConfigurationError",
    "IdempotencyError",
    "InDoubtError",
    "InvalidActionError",
    "InvalidDeliveryError",
    "InvalidKeyError",
    "InvalidSignatureError",
    "LeaseLostError",
    "NotInDoubtError",
    "ParamsMismatchError",
    "PreviousFailureError",
    "ReentrantCallError",
    "ResultNotRecordedError",
    "ResultUnavailableError",
    "StoreError",
    "StoreUnavailableError",
    "TransactionEndedError",
    "UnsupportedParamError",
    "VolatileParamsWarning",
]


class IdempotencyError(Exception):
    """The root: catches every error that the package raises on purpose."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickle the message and the attributes, so that no constructor has to take its own message back."""
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class VolatileParamsWarning(UserWarning):
    """A param makes every retry a new action: a time, a random id, the number of an attempt."""


def _rebuild(cls: type[IdempotencyError], args: tuple[Any, ...], attributes: dict[str, Any]) -> IdempotencyError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class InvalidActionError(IdempotencyError, ValueError):
    """A field of an action is missing or empty, or a call names no signal and no `signal(…)` surrounds it."""


class InvalidKeyError(IdempotencyError, ValueError):
    """A text is no idempotency key."""


class UnsupportedParamError(IdempotencyError, TypeError):
    """A value among the params has no canonical form. Raised before anything runs.

    Attributes:
        path: Where the value is, such as `params.items[3].due`.
    """

    path: str

    def __init__(self, message: str, path: str) -> None:
        """Say what is wrong with the value at `path`."""
        super().__init__(message if path in message else f"{path}: {message}")
        self.path = path


class ConfigurationError(IdempotencyError, ValueError):
    """A setting can't be: the message names it, its value and what to write instead."""


class AlreadyInProgressError(IdempotencyError):
    """Somebody else is executing the action: at once with `on_concurrent="raise"`, else after `wait_timeout`.

    Attributes:
        record: The record of the execution that goes on.
    """

    record: IdempotencyRecord

    def __init__(self, record: IdempotencyRecord, waited: timedelta | None = None) -> None:
        """Name the execution that goes on, and how long it was waited for."""
        seconds = 0 if waited is None else round(waited.total_seconds(), 3)
        waiting = f" after {seconds:g} s of waiting" if seconds else ""
        super().__init__(
            f"{_what(record)} is still in progress{waiting}: {_claimed(record)}. It was not executed by this call. "
            "Call again later, or give a longer wait_timeout",
        )
        self.record = record


class ParamsMismatchError(IdempotencyError):
    """The live record of the key is of other params.

    Attributes:
        record: The record of the other params.
    """

    record: IdempotencyRecord

    def __init__(self, record: IdempotencyRecord) -> None:
        """Name the record that stands in the way."""
        super().__init__(
            f"{_what(record)} is {_state(record)} with other params: {_claimed(record)}. Nothing was executed. "
            "Another intent needs another signal_id; the same intent must give the same params",
        )
        self.record = record


class InDoubtError(IdempotencyError):
    """The action was started and never finished: nobody here knows whether the effect happened.

    Attributes:
        record: The record in doubt.
    """

    record: IdempotencyRecord

    def __init__(self, record: IdempotencyRecord, ways_out: str | None = None) -> None:
        """Name what ran, when and where, what broke it off, and the ways out."""
        reason = f" It was broken off by {record.error}." if record.error else ""
        super().__init__(
            f"{_what(record)} was started and never finished, so nobody here knows whether it happened: "
            f"{_claimed(record)}.{reason} {ways_out or _ways_out_of_doubt(record)}",
        )
        self.record = record


class NotInDoubtError(IdempotencyError):
    """`resolve_in_doubt` was called for a key that is not in doubt.

    Attributes:
        key: The key.
        state: What it is instead, in words; `None` where nothing is recorded.
    """

    key: str
    state: str | None

    def __init__(self, key: str, state: str | None = None) -> None:
        """Say what the key is instead."""
        found = "has no record" if state is None else f"is {state.replace('_', ' ')}"
        super().__init__(
            f"{key!r} {found}, so there is no doubt to resolve and nothing was changed. "
            "To record a result by hand use mark_executed(); to forget the key use clear_key()",
        )
        self.key = key
        self.state = state


class LeaseLostError(IdempotencyError):
    """The claim was taken away (lapsed and claimed anew, resolved, or cleared) before it was finished.

    Attributes:
        record: What is stored now, if anything.
        result: What the executor returned; never lost.
    """

    record: IdempotencyRecord | None
    result: Any

    def __init__(
        self,
        record: IdempotencyRecord | None,
        result: object,
        key: str | None = None,
        finished: bool = True,  # noqa: FBT002 - the native half gives it by place
    ) -> None:
        """Say what took the claim away.

        Args:
            record: What is stored now, if anything.
            result: What the executor returned.
            key: The key, which names the action where nothing is stored any more.
            finished: Whether the executor had its effect; else it was about to, or gave its claim back.
        """
        if record is None:
            name = "an action" if key is None else f"the action {key!r}"
            story = f"The claim of {name} was cleared while it ran"
        else:
            story = (
                f"The claim of {_what(record)} was lost while it ran; "
                f"the record is {_state(record)} now, {_claimed(record)}"
            )
        if finished:
            advice = (
                "The executor has finished, its effect has happened, and nothing was recorded: the return value "
                "is this error's .result. Look for a second effect; a longer lease= makes this less likely"
            )
        else:
            advice = (
                "Nothing was recorded. The action is no longer this caller's, which must not have its effect; "
                "a longer lease= makes this less likely"
            )
        super().__init__(f"{story}. {advice}")
        self.record = record
        self.result = result


class ReentrantCallError(IdempotencyError):
    """An executor asked for its own key: waiting for itself would never end.

    Attributes:
        key: The key.
    """

    key: str

    def __init__(self, key: str) -> None:
        """Name the key that was asked for from within."""
        super().__init__(
            f"the executor of {key!r} asked for the same key while it runs, and waiting for itself would never end. "
            "Give the inner action another action= or signal_id, or call the undecorated function (__wrapped__)",
        )
        self.key = key


class PreviousFailureError(IdempotencyError):
    """A recorded failure is replayed whose exception type can't be rebuilt here.

    Attributes:
        record: The record of the failure.
    """

    record: IdempotencyRecord

    def __init__(self, record: IdempotencyRecord) -> None:
        """Name the failure that is the recorded answer."""
        super().__init__(
            f"{_what(record)} failed{_finished(record)} with {record.error or 'an exception'}, which replay_errors "
            "makes its final answer, and that exception's type can't be rebuilt here. It was not executed again. "
            f"To allow that, clear_key({record.key!r})",
        )
        self.record = record


class CacheFullError(IdempotencyError):
    """There is no room for one more record: `on_full="raise"`, or nothing in the cache may be evicted."""


class ResultUnavailableError(IdempotencyError):
    """The action ran, but its result could not be stored, so there is nothing to replay. It is not run again.

    Attributes:
        record: The record of the execution.
    """

    record: IdempotencyRecord

    def __init__(self, record: IdempotencyRecord) -> None:
        """Name the execution whose result is missing."""
        super().__init__(
            f"{_what(record)} was executed{_finished(record)}, but its result has no encoding and was not stored; it "
            f"is not executed again. To give later callers a result, mark_executed({record.key!r}, result); "
            "to store such results, return plain data or give codec=",
        )
        self.record = record


class TransactionEndedError(IdempotencyError):
    """An executor ended the transaction that it ran in, so its rows and its record were not kept together.

    Attributes:
        key: The key.
        result: What the executor returned; never lost.
        recorded: Whether the record says that it was executed. It was written after the executor had ended: by its own
            commit, or in the transaction that the executor left open.
    """

    key: str
    result: Any
    recorded: bool

    def __init__(self, key: str, result: object, *, recorded: bool) -> None:
        """Name the action, and say what is known of it."""
        if recorded:
            known = "It has finished, and its record says so now: duplicates get its result"
        else:
            known = (
                "Its record is gone with that transaction or can't be finished. Look at what it left in the database; "
                "if all of it is there, record that by the same call with an executor that only returns error.result"
            )
        super().__init__(
            f"the executor of {key!r} ended the transaction that it runs in: by commit(), rollback(), executescript(), "
            f"a `with connection:` block or close(). {known}. The return value is this error's .result. "
            "Leave the end of the transaction to execute_in_transaction, or to whoever began it",
        )
        self.key = key
        self.result = result
        self.recorded = recorded


class InvalidDeliveryError(IdempotencyError, ValueError):
    """A webhook's delivery lacks what its vendor documents, or has it in another form.

    Attributes:
        vendor: Whose webhook it was to be, such as "slack".
        field: The header, or the path into the body, such as "action.id".
    """

    vendor: str
    field: str

    def __init__(self, vendor: str, field: str, problem: str) -> None:
        """Say what is wrong with a header or a field, and what to do."""
        super().__init__(f"a {vendor} webhook: {field} {problem}")
        self.vendor = vendor
        self.field = field


class InvalidSignatureError(InvalidDeliveryError):
    """A webhook's signature is missing, is not that of the vendor, or is too old. Answer it with 401."""


class StoreError(IdempotencyError):
    """The store could not do what it was asked; the message has the remedy."""


class StoreUnavailableError(StoreError, ConnectionError):
    """The store is out of reach. The effect did not run."""


class ResultNotRecordedError(StoreError):
    """The action ran, and the store failed before its result was recorded.

    Attributes:
        key: The key.
        result: What the executor returned; never lost.
    """

    key: str
    result: Any

    def __init__(self, key: str, result: object, reason: str = "") -> None:
        """Name the action and why its result was not recorded."""
        because = f" ({reason})" if reason else ""
        super().__init__(
            f"the action {key!r} was executed, but the store failed before its result was recorded{because}. "
            "The return value is this error's .result. Once the store is back, record it: "
            f"mark_executed({key!r}, error.result); until then the action is in doubt",
        )
        self.key = key
        self.result = result


def _what(record: IdempotencyRecord) -> str:
    """Name the action, as far as the record does; a key marked by hand may have no names."""
    named = repr(record.action_type) if record.action_type else "the action"
    where = f" on {record.target!r}" if record.target else ""
    asked = f" for signal {record.signal_id!r}" if record.signal_id else ""
    return f"{named}{where}{asked} (key {record.key!r})"


def _ways_out_of_doubt(record: IdempotencyRecord) -> str:
    return (
        f"Look at {_place(record)}, then say what you found: "
        f"resolve_in_doubt({record.key!r}, result=…) if it happened, "
        f"resolve_in_doubt({record.key!r}, not_executed=True) if it did not; "
        "or give on_in_doubt= a callable that looks for itself"
    )


def _claimed(record: IdempotencyRecord) -> str:
    owner = f" by {record.owner} (host:pid)" if record.owner else ""
    return f"claimed at {_moment(record.started_at)}{owner}"


def _finished(record: IdempotencyRecord) -> str:
    return f" at {_moment(record.executed_at)}" if record.executed_at is not None else ""


def _state(record: IdempotencyRecord) -> str:
    return str(record.state).replace("_", " ")


def _place(record: IdempotencyRecord) -> str:
    return repr(record.target) if record.target else "the outside world"


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
