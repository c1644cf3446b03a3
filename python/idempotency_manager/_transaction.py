"""Executing in a caller's own transaction: the rows and the memory of them commit or vanish together.

The order of the statements is the promise:

    BEGIN                         unless the caller has begun
    …                             the right to write is taken, the tables are made
    SAVEPOINT                     undone to if anything fails from here on
    INSERT the record, in progress, or look at the one that is there: from here on nobody else gets at it
    the executor
    …                             is it still the same transaction?
    UPDATE the record, completed
    COMMIT                        or RELEASE, where the caller has begun

Nobody else sees the record in progress, but where the executor commits by itself. Then that is what is known: it
began, and if its process dies or its lease lapses, it is in doubt.

What a call does is written once, as a generator of steps: see `_transaction_drive`, which takes them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta

from ._config import store_url
from ._core import columns_of_failure, enter_execution, leave_execution, meet_row, tell, warn
from ._options import microseconds, read_options
from ._transaction_answers import Answers
from ._transaction_backend import CommitLostError, KeyBusyError
from ._transaction_choice import backend_for
from ._transaction_inside import entered
from ._transaction_options import no_shadow, nothing_to_wait_for
from ._transaction_row import Named
from ._transaction_rows import Rows
from ._types import NOT_EXECUTED
from .exceptions import (
    AlreadyInProgressError,
    ConfigurationError,
    InDoubtError,
    ParamsMismatchError,
    TransactionEndedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from ._action import ActionLike
    from ._config import IdempotencyConfig
    from ._core import Core
    from ._transaction_backend import Backend
    from ._transaction_drive import Steps
    from ._transaction_row import Row

_TWO_LIBRARIES = (
    "connection: its database, {}, is the file of this manager's own store. The store opens it by another SQLite "
    "library than the connection, and two in one process undo each other's locks, which can damage the file; call it "
    'on a manager with another store, such as IdempotencyManager("memory://")'
)
_COMMIT_LOST = (
    "Rows and record are both in {}, or neither is. There is nothing to resolve: make the same call on a new "
    "connection, and it is answered or executed"
)
_NO_WAIT = 50_000
"""How long a call waits that would rather not, in microseconds: a lock that is held for less holds nobody up."""
_LATE = 1_000_000_000
"""How long it may take to get a key, in nanoseconds, until the times on the record are too old."""


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

    def __init__(  # noqa: PLR0913 - a call is what its caller gives
        self,
        core: Core,
        config: IdempotencyConfig,
        connection: Any,
        action: ActionLike,
        options: Mapping[str, Any],
        *,
        awaits: bool = False,
    ) -> None:
        self._began = time.perf_counter_ns()
        read = read_options(options, config.lease)
        if read.get("shadow", config.shadow):
            raise no_shadow()
        self._core = core
        self._config = config
        self._named = Named.of(core, action)
        patient = read.get("on_concurrent", config.on_concurrent) == "wait"
        self._wait = microseconds(config.wait_timeout) if patient else _NO_WAIT
        self._backend: Backend = backend_for(connection, config.namespace, self._wait, awaits=awaits)
        if "on_concurrent" in read and not self._backend.waits:
            raise nothing_to_wait_for()
        url = store_url(config)
        if url.scheme == "sqlite" and self._backend.is_file(url.path):
            raise ConfigurationError(_TWO_LIBRARIES.format(self._backend.shown()))
        self._owns = not self._backend.is_open()
        self._on_in_doubt = read.get("on_in_doubt", config.on_in_doubt)
        self._not_executed_on = read.get("not_executed_on", config.not_executed_on)
        replay_errors = read.get("replay_errors", config.replay_errors)
        self._answers = Answers(read.get("codec", config.codec), read.get("converter"), replay_errors)
        ttl = read.get("ttl", microseconds(config.default_ttl))
        self._rows = Rows(self._named, config, ttl, self._answers, self._backend.now)
        self._has_run = False
        """Whether anything of the caller's has run in the transaction of this call."""
        self._end: _News | None = None
        """What there is to tell of an execution that has begun, should the call raise."""

    def execute(self, executor: Callable[[], Any]) -> Steps[Any]:
        """Run the executor, or answer from the record."""
        try:
            with entered(self._backend.place, self._named.key):
                answer = yield from self._answer(executor)
        except BaseException:
            self._tell(self._end)
            raise
        self._tell(answer.news)
        if answer.error is not None:
            raise answer.error
        return answer.value

    def _answer(self, executor: Callable[[], Any]) -> Steps[_Answer]:
        while True:
            try:
                return (yield from self._attempt(executor))
            except Exception as error:
                again = self._owns and not self._has_run and self._backend.is_transient(error)
                if not again or self._waited() > self._wait:
                    raise

    def _attempt(self, executor: Callable[[], Any]) -> Steps[_Answer]:
        try:
            if self._owns:
                yield from self._backend.begin()
            answer = yield from self._look(executor)
            if self._owns and self._backend.is_open():
                yield from self._commit(answer)
        except BaseException:
            if self._owns:
                yield from self._backend.rollback()
            raise
        return answer

    def _commit(self, answer: _Answer) -> Steps[None]:
        try:
            yield from self._backend.commit()
        except CommitLostError as lost:
            if answer.news is None or answer.news.kind != "executed":
                return  # it was only counted, or is found again
            doubt = self._rows.in_doubt(answer.news.row, "the connection broke during COMMIT")
            self._end = _News("in_doubt", doubt, is_there=False)
            raise InDoubtError(self._rows.record(doubt), _COMMIT_LOST.format(self._backend.shown())) from lost.__cause__
        except Exception:
            raise
        except BaseException as error:  # Ctrl-C, or a task that is cancelled: it may have been committed
            if answer.news is not None and answer.news.kind == "executed":
                error.add_note(f"It came during COMMIT. {_COMMIT_LOST.format(self._backend.shown())}")
                self._end = _News("in_doubt", answer.news.row, is_there=False)
            raise

    def _tell(self, news: _News | None) -> None:
        if news is None:
            return
        # Only an event shows the record, and the time it took.
        record, took = None, None
        if self._config.on_event is not None:
            record = self._rows.record(news.row) if news.is_there else None
            took = None if news.kind == "replayed" else self._waited()
        tell(self._core, news.kind, self._named, news.row.attempts, record, took)

    def _waited(self) -> int:
        return (time.perf_counter_ns() - self._began) // 1000

    # ---------------------------------------------------------------- the record that is there

    def _look(self, executor: Callable[[], Any]) -> Steps[_Answer]:
        """Find the answer in the record that is there, or run for one."""
        savepoint = yield from self._backend.prepare()
        try:
            row, is_new = yield from self._take()
            if is_new:
                return (yield from self._run(executor, row, savepoint))
            return (yield from self._meet(executor, row, savepoint))
        except KeyBusyError as busy:
            yield from self._backend.undo(savepoint)
            raise self._busy() from busy.__cause__
        except BaseException:
            yield from self._backend.undo(savepoint)
            raise

    def _take(self) -> Steps[tuple[Row, bool]]:
        began = time.perf_counter_ns()
        row, is_new = yield from self._backend.take(self._rows.begun(1))
        if is_new and time.perf_counter_ns() - began > _LATE:  # it was waited for
            row = self._rows.begun(1, row.fence)
            yield from self._backend.claim(row)
        return row, is_new

    def _busy(self) -> AlreadyInProgressError:
        """Say that another transaction has the key; all that is known of it is that it has begun."""
        error = AlreadyInProgressError(self._rows.record(self._rows.begun(1)), timedelta(microseconds=self._waited()))
        error.add_note(
            f"Another transaction in {self._backend.shown()} has this key, and has neither been committed nor rolled "
            "back. Its record can't be seen as yet: what this error's record says of its claim is a guess"
        )
        return error

    def _meet(self, executor: Callable[[], Any], row: Row, savepoint: Any) -> Steps[_Answer]:
        checks = self._config.include_params_in_key or self._config.verify_params
        fingerprint = self._named.fingerprint if checks else None
        met, attempts = meet_row(row, fingerprint, self._rows.now(), self._on_in_doubt != "raise")
        if met == "run":
            return (yield from self._claim_and_run(executor, self._rows.begun(attempts, row.fence), savepoint))
        if met == "take_over":
            return (yield from self._take_over(executor, row, attempts, savepoint))
        if met == "busy" and not self._owns:
            yield from self._backend.undo(savepoint)  # whoever has it must be able to finish it
        else:
            yield from self._keep(savepoint)
        return self._answered(met, replace(row, attempts=attempts))

    def _answered(self, met: str, row: Row) -> _Answer:
        record, news = self._rows.record(row), _News("replayed", row)
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
                f"on_in_doubt=, or {self._backend.elsewhere}"
            )
        return error

    def _take_over(self, executor: Callable[[], Any], row: Row, attempts: int, savepoint: Any) -> Steps[_Answer]:
        """Run again, or ask the reconciler: nobody else can meanwhile, for this transaction has the record."""
        found = NOT_EXECUTED
        if (reconciler := self._on_in_doubt) != "retry":
            record = self._rows.record(row)
            found = yield from self._inside(attempts, lambda: reconciler(record))
        begun = replace(self._rows.begun(attempts, row.fence), started_at=row.started_at)
        if found is NOT_EXECUTED:
            return (yield from self._claim_and_run(executor, begun, savepoint))
        done = self._rows.completed(replace(begun, fence=(yield from self._backend.next_fence(row.fence))), found)
        yield from self._backend.claim(done)
        yield from self._keep(savepoint)
        return _Answer(found, news=_News("resolved", done))

    def _keep(self, savepoint: Any) -> Steps[None]:
        """Leave a savepoint, which a commit that follows does by itself."""
        if not self._owns:
            yield from self._backend.release(savepoint)

    # ---------------------------------------------------------------- the execution

    def _claim_and_run(self, executor: Callable[[], Any], begun: Row, savepoint: Any) -> Steps[_Answer]:
        """Run over the record that is there, whose fence `begun` has."""
        row = replace(begun, fence=(yield from self._backend.next_fence(begun.fence)))
        yield from self._backend.claim(row)
        return (yield from self._run(executor, row, savepoint))

    def _run(self, executor: Callable[[], Any], row: Row, savepoint: Any) -> Steps[_Answer]:
        """Run for a record that is in progress since the savepoint."""
        if self._config.enable_auto_cleanup:
            yield from self._backend.sweep(row.started_at)
        self._end = _News("failed", row, is_there=False)
        yield from self._backend.enter()
        try:
            result = yield from self._inside(row.attempts, executor)
            yield from self._backend.flush()
        except BaseException as error:  # noqa: BLE001 - judged there, and raised again
            return (yield from self._failed(row, savepoint, error))
        done = self._rows.completed(row, result)
        if not (yield from self._backend.leave()):
            yield from self._ended(done, result)
        if not (yield from self._backend.finish(done)):  # the executor has removed the record
            yield from self._backend.claim(done)
        yield from self._keep(savepoint)
        return _Answer(result, news=_News("executed", done))

    def _inside(self, attempts: int, body: Callable[[], Any]) -> Steps[Any]:
        self._has_run = True
        execution = enter_execution(self._named.key, attempts, microseconds(self._config.lease))
        try:
            return (yield body)
        finally:
            leave_execution(execution)

    def _failed(self, row: Row, savepoint: Any, error: BaseException) -> Steps[_Answer]:
        """Undo what the executor did. Its exception is raised, and recorded where it is an answer."""
        if not (yield from self._backend.undo(savepoint)):
            yield from self._broken_off(row, error)
        elif isinstance(error, self._answers.replay_errors) and not isinstance(error, self._not_executed_on):
            failed = self._rows.failed(row, error)
            yield from self._backend.claim(failed)
            return _Answer(error=error, news=_News("failed", failed))
        raise error

    def _ended(self, done: Row, result: object) -> Steps[NoReturn]:
        """Record what is known after the executor has ended the transaction that it ran in."""
        recorded = yield from self._record_apart(done)
        if recorded:
            self._end = _News("executed", done)
        problem = "the executor ended its transaction, so row and record were not kept together"
        warn(problem, self._named, done.attempts)
        raise TransactionEndedError(self._named.key, result, recorded=recorded)

    def _broken_off(self, row: Row, error: BaseException) -> Steps[None]:
        """Leave in doubt what was committed in part; what the database itself rolled back has not happened."""
        error_type, text, _ = columns_of_failure(error)
        doubt = self._rows.in_doubt(row, f"{error_type}: {text}")
        if (yield from self._record_apart(doubt)):
            error.add_note("The executor had committed before it raised this: some of it may have happened, in doubt")
            self._end = _News("in_doubt", doubt)

    def _record_apart(self, row: Row) -> Steps[bool]:
        """Write the end of a record in the transaction that is open now, or in one of its own."""
        alone = not self._backend.is_open()
        try:
            if alone:
                yield from self._backend.begin()
            recorded = yield from self._backend.finish(row)
            if recorded and (alone or self._owns):
                yield from self._backend.commit()
            elif alone:
                yield from self._backend.rollback()
        except Exception:  # noqa: BLE001 - closed, out of reach, a constraint: the error that follows has what is known
            return False
        return recorded
