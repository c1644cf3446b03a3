"""Executing in a caller's own transaction: the rows and the memory of them commit or vanish together.

The order of the statements is the promise:

    BEGIN IMMEDIATE               unless the caller has begun
    …                             the tables are made, the key is looked up
    SAVEPOINT outer               undone to if anything fails from here on
    INSERT the record, in progress
    SAVEPOINT inner               gone if the executor ends the transaction
    the executor
    RELEASE inner
    UPDATE the record, completed
    RELEASE outer
    COMMIT                        unless the caller has begun

Nobody else sees the record in progress, but where the executor commits by itself. Then that is what is known: it
began, and if its process dies or its lease lapses, it is in doubt.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ._config import store_url
from ._core import claim_owner, columns_of_failure, meet_row, record_of_row, run_as_current, tell, warn
from ._options import microseconds, read_options
from ._transaction_answers import Answers
from ._transaction_backend import backend_for
from ._transaction_inside import entered
from ._transaction_row import Named, Row
from ._types import NOT_EXECUTED, State
from .exceptions import (
    AlreadyInProgressError,
    ConfigurationError,
    InDoubtError,
    InvalidActionError,
    ParamsMismatchError,
    TransactionEndedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from ._action import ActionLike
    from ._config import IdempotencyConfig
    from ._core import Core, IdempotencyRecord
    from ._duration import Duration
    from ._transaction_backend import Backend

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


_TWO_LIBRARIES = (
    "connection: its database, {}, is the file of this manager's own store. The store opens it by another SQLite "
    "library than the connection, and two in one process undo each other's locks, which can damage the file; call it "
    'on a manager with another store, such as IdempotencyManager("memory://")'
)
_ELSEWHERE = {
    "on_concurrent": "nobody else is at it where this transaction writes, so there is nothing to wait for",
    "in_doubt_on": "what fails is undone with the transaction, so no exception leaves a doubt",
    "latch": "what fails is undone with the transaction, so there is no moment from which on it is in doubt",
}


def transaction_options(ttl: Duration | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse the options of other calls that mean nothing here.

    Raises:
        ConfigurationError: One is given.
    """
    for name, why in _ELSEWHERE.items():
        if options.get(name):
            raise ConfigurationError(f"{name} is no option of execute_in_transaction: {why}; leave it out")
    return {"ttl": ttl, **options}


@dataclass(slots=True)
class _News:
    """What the log and `on_event` are told once the transaction is where it belongs."""

    kind: str
    row: Row
    is_there: bool = True
    """Whether the row is in the database after it."""


@dataclass(slots=True)
class _Answer:
    """What a call ends with once the transaction is where it belongs."""

    value: Any = None
    error: BaseException | None = None
    news: _News | None = None


class SharedTransaction:
    """One call, in the transaction that is open on the caller's connection or in one of its own."""

    def __init__(
        self, core: Core, config: IdempotencyConfig, connection: Any, action: ActionLike, options: Mapping[str, Any]
    ) -> None:
        self._began = time.perf_counter_ns()
        read = read_options(options, config.lease)
        self._core = core
        self._config = config
        self._named = Named.of(core, action)
        self._backend: Backend = backend_for(connection, config.namespace)
        url = store_url(config)
        if url.scheme == "sqlite" and self._backend.is_file(url.path):
            raise ConfigurationError(_TWO_LIBRARIES.format(self._backend.shown()))
        self._owns = not self._backend.is_open()
        self._ttl: int = read.get("ttl", microseconds(config.default_ttl))
        self._on_in_doubt = read.get("on_in_doubt", config.on_in_doubt)
        self._not_executed_on = read.get("not_executed_on", config.not_executed_on)
        replay_errors = read.get("replay_errors", config.replay_errors)
        self._answers = Answers(read.get("codec", config.codec), read.get("converter"), replay_errors)
        self._end: _News | None = None
        """What there is to tell of an execution that has begun, should the call raise."""

    def execute(self, executor: Callable[[], Any]) -> Any:
        """Run the executor, or answer from the record."""
        try:
            answer = self._answer(executor)
        except BaseException:
            self._tell(self._end)
            raise
        self._tell(answer.news)
        if answer.error is not None:
            raise answer.error
        return answer.value

    def _answer(self, executor: Callable[[], Any]) -> _Answer:
        with entered(self._backend.place, self._named.key):
            try:
                if self._owns:
                    self._backend.begin()
                answer = self._look(executor)
                if self._owns and self._backend.is_open():
                    self._backend.commit()
            except BaseException:
                if self._owns:
                    self._backend.rollback()
                raise
        return answer

    def _tell(self, news: _News | None) -> None:
        if news is None:
            return
        # Only an event shows the record, and the time it took.
        record, took = None, None
        if self._config.on_event is not None:
            record = self._record(news.row) if news.is_there else None
            took = None if news.kind == "replayed" else (time.perf_counter_ns() - self._began) // 1000
        tell(self._core, news.kind, self._named, news.row.attempts, record, took)

    def _record(self, row: Row) -> IdempotencyRecord:
        return record_of_row(row, self._now(), self._answers.codec)

    # ---------------------------------------------------------------- the record that is there

    def _look(self, executor: Callable[[], Any]) -> _Answer:
        """Find the answer in the record that is there, or run for one."""
        self._backend.prepare()
        now = self._now()
        if self._config.enable_auto_cleanup:
            self._backend.sweep(now)
        row = self._backend.find(self._named.key)
        if row is None:
            return self._run(executor, self._begun(1))
        checks = self._config.include_params_in_key or self._config.verify_params
        fingerprint = self._named.fingerprint if checks else None
        met, attempts = meet_row(row, fingerprint, now, self._on_in_doubt != "raise")
        if met == "run":
            return self._run(executor, self._begun(attempts))
        if met == "take_over":
            return self._take_over(executor, row, attempts)
        self._backend.count(row.fence)
        return self._answered(met, replace(row, attempts=attempts))

    def _answered(self, met: str, row: Row) -> _Answer:
        record, news = self._record(row), _News("replayed", row)
        if met == "replay":
            try:
                return _Answer(self._answers.decode(row, record), news=news)
            except Exception as error:  # noqa: BLE001 - whatever a codec raises: the call is counted all the same
                return _Answer(error=self._noted(error), news=news)
        if met == "replay_failure":
            return _Answer(error=self._noted(self._answers.rebuild(row, record)), news=news)
        refusals = {"busy": AlreadyInProgressError, "in_doubt": InDoubtError, "mismatch": ParamsMismatchError}
        return _Answer(error=self._noted(refusals[met](record)))

    def _noted(self, error: Exception) -> Exception:
        """Say where a record lies that its error wants settled: the methods it names act on a manager's own store."""
        if hasattr(error, "record"):
            error.add_note(
                f"The record lies in {self._backend.shown()}, not in this manager's store: settle it here by "
                "on_in_doubt=, or in another process by a manager or the command line on that file"
            )
        return error

    def _take_over(self, executor: Callable[[], Any], row: Row, attempts: int) -> _Answer:
        """Run again, or ask the reconciler: nobody else can meanwhile, for this transaction has the right to write."""
        found = NOT_EXECUTED
        if (reconciler := self._on_in_doubt) != "retry":
            record = self._record(row)
            found = self._inside(attempts, lambda: reconciler(record))
        # Numbered only now: a reconciler may have executed other actions.
        begun = replace(self._begun(attempts), started_at=row.started_at)
        if found is NOT_EXECUTED:
            return self._run(executor, begun)
        done = self._completed(begun, found)
        self._backend.claim(done)
        return _Answer(found, news=_News("resolved", done))

    # ---------------------------------------------------------------- the execution

    def _run(self, executor: Callable[[], Any], row: Row) -> _Answer:
        self._end = _News("failed", row, is_there=False)
        outer, inner = f"idempotency_{row.fence}", f"idempotency_{row.fence}_executor"
        self._backend.save(outer)
        try:
            self._backend.claim(row)
            self._backend.save(inner)
            try:
                result = self._inside(row.attempts, executor)
            except BaseException as error:  # noqa: BLE001 - judged there, and raised again
                return self._failed(row, outer, error)
            done = self._completed(row, result)
            if not self._backend.release(inner):
                self._ended(done, result)
            if not self._backend.finish(done):  # the executor has removed the record
                self._backend.claim(done)
            self._backend.release(outer)
        except BaseException:
            self._backend.undo(outer)
            raise
        return _Answer(result, news=_News("executed", done))

    def _inside(self, attempts: int, body: Callable[[], Any]) -> Any:
        return _at_hand(run_as_current(self._named.key, attempts, microseconds(self._config.lease), body))

    def _failed(self, row: Row, outer: str, error: BaseException) -> _Answer:
        """Undo what the executor did. Its exception is raised, and recorded where it is an answer."""
        if not self._backend.undo(outer):
            self._broken_off(row, error)
        elif isinstance(error, self._answers.replay_errors) and not isinstance(error, self._not_executed_on):
            failed = self._answers.failed(self._over(row, State.FAILED), error)
            self._backend.claim(failed)
            return _Answer(error=error, news=_News("failed", failed))
        raise error

    def _ended(self, done: Row, result: object) -> NoReturn:
        """Record what is known after the executor has ended the transaction that it ran in."""
        recorded = self._record_apart(done)
        if recorded:
            self._end = _News("executed", done)
        problem = "the executor ended its transaction, so row and record were not kept together"
        warn(problem, self._named, done.attempts)
        raise TransactionEndedError(self._named.key, result, recorded=recorded)

    def _broken_off(self, row: Row, error: BaseException) -> None:
        """Leave in doubt what was committed in part; what the database itself rolled back has not happened."""
        error_type, text, _ = columns_of_failure(error)
        doubt = replace(row, state=str(State.IN_DOUBT), lease_until=None, error=f"{error_type}: {text}")
        if self._record_apart(doubt):
            error.add_note("The executor had committed before it raised this: some of it may have happened, in doubt")
            self._end = _News("in_doubt", doubt)

    def _record_apart(self, row: Row) -> bool:
        """Write the end of a record in the transaction that is open now, or in one of its own."""
        alone = not self._backend.is_open()
        try:
            if alone:
                self._backend.begin()
            recorded = self._backend.finish(row)
            if recorded and (alone or self._owns):
                self._backend.commit()
            elif alone:
                self._backend.rollback()
        except Exception:  # noqa: BLE001 - closed, out of reach, a constraint: the error that follows has what is known
            return False
        return recorded

    # ---------------------------------------------------------------- rows

    def _begun(self, attempts: int) -> Row:
        now, named = self._now(), self._named
        owner, owner_process = claim_owner()
        return Row(
            fence=self._backend.next_fence(),
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
            lease_until=_later(now, microseconds(self._config.lease)),
            expires_at=_later(now, self._ttl),
            params=named.params,
            context=named.context,
        )

    def _over(self, row: Row, state: State) -> Row:
        now = self._now()
        return replace(row, state=str(state), lease_until=None, executed_at=now, expires_at=_later(now, self._ttl))

    def _completed(self, row: Row, result: object) -> Row:
        column = self._answers.column(self._named, row.attempts, result)
        return replace(self._over(row, State.COMPLETED), result=column)

    def _now(self) -> int:
        clock = self._config.clock
        return time.time_ns() // 1000 if clock is None else (clock.now() - _EPOCH) // timedelta(microseconds=1)


def _at_hand(value: Any) -> Any:
    """Refuse what is still to come: it is no result, and what it will do belongs to no transaction.

    Raises:
        InvalidActionError: It is an awaitable.
    """
    if not hasattr(type(value), "__await__"):
        return value
    if hasattr(value, "close"):
        value.close()  # a coroutine: it has not run, so nothing has happened
    raise InvalidActionError(
        "the executor returned a coroutine or another awaitable, which no transaction can wait for"
    )


def _later(now: int, span: int) -> int:
    return min(now + span, 2**63 - 1)
