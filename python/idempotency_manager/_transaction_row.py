"""A record as it lies in a table, and what may become of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from ._core import decode_result
from ._revive import restore_record
from ._types import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from ._core import IdempotencyRecord
    from ._types import Codec


@dataclass(frozen=True, slots=True)
class Named:
    """An action, named once when the call begins."""

    key: str
    signal_id: str
    action_type: str
    target: str
    fingerprint: bytes
    params: str | None
    context: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """A stored record. Times are microseconds since 1970 in UTC."""

    fence: int
    key: str
    state: str
    attempts: int
    started_at: int
    expires_at: int
    signal_id: str | None = None
    action_type: str | None = None
    target: str | None = None
    fingerprint: bytes | None = None
    owner: str | None = None
    latch: str | None = None
    lease_until: int | None = None
    executed_at: int | None = None
    result: str | bytes | None = None
    error: str | None = None
    error_type: str | None = None
    error_args: str | None = None
    params: str | None = None
    context: str | None = None

    def is_in_doubt(self, now: int) -> bool:
        """Tell whether nobody knows if it happened: a lapsed claim says so too, unless its latch is still armed."""
        return self.state == State.IN_DOUBT or (self._has_lapsed(now) and self.latch != "armed")

    def is_live(self, now: int) -> bool:
        """Tell whether it counts: a TTL ends finished records only."""
        return self.state not in (State.COMPLETED, State.FAILED) or now < self.expires_at

    def _has_lapsed(self, now: int) -> bool:
        return self.state == State.IN_PROGRESS and (self.lease_until is None or self.lease_until <= now)

    def decide(self, fingerprint: bytes | None, now: int) -> Decision:
        """Say what a claim of this record meets: the rows of the transition table that a claim can hit."""
        if not self.is_live(now):
            return Decision.RUN
        if fingerprint is not None and self.fingerprint is not None and fingerprint != self.fingerprint:
            return Decision.MISMATCH
        if self.state == State.COMPLETED:
            return Decision.REPLAY
        if self.state == State.FAILED:
            return Decision.REPLAY_FAILURE
        if self.is_in_doubt(now):
            return Decision.IN_DOUBT
        return Decision.RUN if self._has_lapsed(now) else Decision.BUSY

    def record(self, now: int, codec: Codec | None, *, shows_result: bool = True) -> IdempotencyRecord:
        """Give the record as users see it."""
        error = f"{self.error_type}: {self.error}" if self.state == State.FAILED else self.error
        fields = {
            "key": self.key,
            "state": State.IN_DOUBT if self.is_in_doubt(now) else State(self.state),
            "signal_id": self.signal_id,
            "action_type": self.action_type,
            "target": self.target,
            "params": _plain(self.params),
            "context": _plain(self.context),
            "result": self._shown_result(codec) if shows_result else None,
            "executed_at": None if self.executed_at is None else moment(self.executed_at),
            "started_at": moment(self.started_at),
            "expires_at": moment(self.expires_at),
            "attempt_count": self.attempts,
            "owner": self.owner,
            "error": error,
        }
        return restore_record(fields)  # type: ignore[return-value]  # the same attributes, as pickled records have

    def _shown_result(self, codec: Codec | None) -> Any:
        if not isinstance(self.result, bytes):
            return _plain(self.result)
        try:
            return self.result if codec is None else codec.decode(self.result)
        except Exception:  # noqa: BLE001 - whatever a codec raises: a look must not hide what is to be said
            return self.result


class Decision(Enum):
    """What a claim meets."""

    RUN = auto()
    REPLAY = auto()
    REPLAY_FAILURE = auto()
    BUSY = auto()
    IN_DOUBT = auto()
    MISMATCH = auto()


def moment(micros: int) -> datetime:
    """Give a time as Python has it."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - only where somebody looks

    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


class _AsFields:
    """Leaves a result of a class of its own as its fields, for looking at."""

    __slots__ = ()

    def build(self, plain: Any) -> Any:
        return plain


def _plain(text: str | None) -> Any:
    if text is None:
        return None
    return decode_result(text.encode(), _AsFields())  # type: ignore[arg-type]  # only `build` is asked for
