"""What a call puts on its record, from its beginning to its end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ._core import claim_owner, record_of_row
from ._options import microseconds
from ._transaction_row import Row
from ._types import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._config import IdempotencyConfig
    from ._core import IdempotencyRecord
    from ._transaction_answers import Answers
    from ._transaction_row import Named

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one call."""

    named: Named
    config: IdempotencyConfig
    ttl: int
    answers: Answers
    clock: Callable[[], int]
    """The database's, for where none is configured."""

    def now(self) -> int:
        """Tell the time, in microseconds since 1970."""
        clock = self.config.clock
        return self.clock() if clock is None else (clock.now() - _EPOCH) // timedelta(microseconds=1)

    def record(self, row: Row) -> IdempotencyRecord:
        """Show a row as everybody sees it."""
        return record_of_row(row, self.now(), self.answers.codec)

    def begun(self, attempts: int, fence: int = 0) -> Row:
        """Give the record of an execution that begins now."""
        now, named = self.now(), self.named
        owner, owner_process = claim_owner()
        return Row(
            fence=fence,
            key=named.key,
            state=str(State.IN_PROGRESS),
            signal_id=named.signal_id,
            action_type=named.action_type,
            target=named.target,
            fingerprint=named.fingerprint,
            owner=owner,
            owner_process=owner_process,
            attempts=attempts,
            started_at=now,
            lease_until=_later(now, microseconds(self.config.lease)),
            expires_at=_later(now, self.ttl),
            params=named.params,
            context=named.context,
        )

    def completed(self, row: Row, result: object) -> Row:
        """Give the record of an execution that has ended with a result."""
        column = self.answers.column(self.named, row.attempts, result)
        return replace(self._over(row, State.COMPLETED), result=column)

    def failed(self, row: Row, error: Exception) -> Row:
        """Give the record of an execution whose exception is the answer."""
        return self.answers.failed(self._over(row, State.FAILED), error)

    def in_doubt(self, row: Row, why: str) -> Row:
        """Give the record of an execution, begun or done, of which nobody knows more."""
        return replace(row, state=str(State.IN_DOUBT), error=why, lease_until=None, executed_at=None, result=None)

    def _over(self, row: Row, state: State) -> Row:
        now = self.now()
        return replace(row, state=str(state), lease_until=None, executed_at=now, expires_at=_later(now, self.ttl))


def _later(now: int, span: int) -> int:
    return min(now + span, 2**63 - 1)
