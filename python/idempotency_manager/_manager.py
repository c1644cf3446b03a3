"""The manager for threads, with what asyncio tasks need beside it."""

from __future__ import annotations

from ._base import HOUR, UNSET, BaseManager, list_of_keys, refuse_generator, resolution, whole_count, within_micros
from ._options import read_ttl
from ._parameters import is_coroutine_function
from ._types import final
from ._walk import Walk, fetch, filtered_keys, run
from .exceptions import InvalidActionError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import TracebackType
    from typing import Any, Self, TypeVar, Unpack, overload

    from ._action import ActionLike
    from ._batch import BatchOutcome
    from ._core import Attempt, CacheInfo, CheckResult, IdempotencyRecord, IdempotencyStats
    from ._duration import Duration
    from ._signatures import CallOptions, Transactional, TransactionOptions
    from ._types import State

    A = TypeVar("A", bound=ActionLike)
    T = TypeVar("T")


def _check_executor(executor: object, instead: str = "aexecute") -> None:
    """Refuse a coroutine function before anything is claimed: a synchronous call can't await it."""
    if is_coroutine_function(executor):
        name = getattr(executor, "__qualname__", repr(executor))
        remedy = f"use {instead}, or an AsyncIdempotencyManager"
        raise InvalidActionError(f"{name} is a coroutine function, which a synchronous call can't await; {remedy}")
    refuse_generator(executor)


@final
class IdempotencyManager(BaseManager):
    """Owns one store. Thread-safe, usable after fork, a context manager.

    Args:
        store: The store's URL.
        **config: Fields of `IdempotencyConfig`.

    Raises:
        ConfigurationError: A field is unknown or can't have its value.
    """

    def close(self) -> None:
        """End the background thread. Calls that are under way end as they would have; new ones are refused."""
        self._core.close()
        try:  # noqa: SIM105 - to import contextlib takes longer than a manager
            self._core.flush().wait()
        except StoreError:
            pass  # counters are no result; what can't be written now is written later, or at exit
        self._core.let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------- execute

    def execute(
        self,
        action: ActionLike,
        executor: Callable[[], T],
        *,
        ttl: Duration | None = None,
        **options: Unpack[CallOptions],
    ) -> T:
        """Run the executor once and keep its result for every duplicate.

        Args:
            action: The action, as an `Action` or a mapping with its fields.
            executor: What has the effect; takes nothing.
            ttl: How long the result is kept; `default_ttl` if None.
            **options: `on_concurrent`, `on_in_doubt`, `in_doubt_on`, `not_executed_on`, `replay_errors`, `latch`,
                `result_type`, `codec` or `shadow`, in place of the configured ones.

        Returns:
            The executor's own return value, or an equal one of the same type that an earlier call had.

        Raises:
            InvalidActionError: The action can't be, or the executor is a coroutine function.
            AlreadyInProgressError: Another caller is at it, and has not finished in time.
            InDoubtError: Nobody knows whether the effect happened.
            ParamsMismatchError: The key is taken by other params.
            LeaseLostError: The claim was taken over meanwhile; the error carries the result.
            StoreUnavailableError: The store is out of reach; the effect has not happened.
            ResultNotRecordedError: The effect happened and the store can't be told; the error carries the result.
        """
        _check_executor(executor)
        return self._core.execute(action, executor, self._options(ttl, options))

    def aexecute(
        self,
        action: ActionLike,
        executor: Callable[[], Awaitable[T]],
        *,
        ttl: Duration | None = None,
        **options: Unpack[CallOptions],
    ) -> Coroutine[Any, Any, T]:
        """Do the same as `execute` in an asyncio task, with an executor that is awaited."""
        refuse_generator(executor)
        return self._core.aexecute(action, executor, self._options(ttl, options))

    def execute_many(
        self,
        actions: Iterable[A],
        executor: Callable[[A], T],
        *,
        ttl: Duration | None = None,
        on_progress: Callable[[int, int | None], object] | None = None,
        batch_size: int = 100,
        **options: Unpack[CallOptions],
    ) -> list[BatchOutcome[T]]:
        """Execute many actions once each: what `execute` would do with each, for a fraction of the round trips.

        A batch is claimed together; its executors run one after the other in this thread, while what is done is being
        recorded. An action that others are at is waited for when all else is done; one that comes twice is replayed the
        second time. One that fails does not keep the others from going on.

        A process that is killed leaves at most 16 actions in doubt. Ctrl-C leaves the one in doubt that it interrupted;
        what has not begun is given back, and what is done is recorded, before it comes out.

        Args:
            actions: The actions, as `Action`s or mappings with their fields; taken a batch at a time, so they may be
                a generator.
            executor: What has the effect; takes an action, as it was given.
            ttl: How long the results are kept; `default_ttl` if None.
            on_progress: Told how many are done, and of how many where that is known. What it raises ends the call as
                Ctrl-C would, with no action in doubt.
            batch_size: How many are claimed together.
            **options: As of `execute`; they hold for each action. With `latch=True` each executor calls
                `current_execution().dispatched()` itself.

        Returns:
            An outcome for each action, in their order. Its error is what `execute` would have raised.

        Raises:
            InvalidActionError: The executor is a coroutine function, or `actions` is one action.
            ConfigurationError: An option can't have its value.
        """
        from ._batch import execute_many  # noqa: PLC0415 - only for those who use it

        _check_executor(executor, "aexecute_many")
        return execute_many(self._plan(actions, self._options(ttl, options), on_progress, batch_size), executor)

    def claim(
        self,
        action: ActionLike,
        *,
        ttl: Duration | None = None,
        **options: Unpack[CallOptions],
    ) -> AbstractContextManager[Attempt]:
        """Claim the right to execute for a `with` block, which ends it by `attempt.complete(result)` or `.release()`.

        A block that is left without either raises an error that says so, and leaves the action in doubt.
        """
        return self._core.claim(action, self._options(ttl, options))

    def aclaim(
        self,
        action: ActionLike,
        *,
        ttl: Duration | None = None,
        **options: Unpack[CallOptions],
    ) -> AbstractAsyncContextManager[Attempt]:
        """Do the same as `claim` for an `async with` block."""
        return self._core.claim(action, self._options(ttl, options))

    def execute_in_transaction(
        self,
        connection: Transactional,
        action: ActionLike,
        executor: Callable[[], T],
        *,
        ttl: Duration | None = None,
        **options: Unpack[TransactionOptions],
    ) -> T:
        """Run the executor once, and keep its result in the connection's own transaction, beside the rows it writes.

        Rows and record are committed together or not at all. Where no transaction is open, one is begun (`BEGIN
        IMMEDIATE` in SQLite), and committed or rolled back at the end. In one that is open, what the executor did is
        undone if it raises, and the rest is left to whoever began it. The record lies in the connection's database, not
        in this manager's store.

        Args:
            connection: A `sqlite3.Connection`, a `psycopg.Connection`, or a `Connection` or `Session` of SQLAlchemy for
                PostgreSQL. The executor writes to its database through the same connection.
            action: The action, as an `Action` or a mapping with its fields.
            executor: What writes the rows; takes nothing, and neither commits nor rolls back.
            ttl: How long the result is kept; `default_ttl` if None.
            **options: `on_in_doubt`, `not_executed_on`, `replay_errors`, `result_type` or `codec`, and with PostgreSQL
                `on_concurrent`, in place of the configured ones.

        Returns:
            The executor's own return value, or an equal one of the same type that an earlier call had.

        Raises:
            ConfigurationError: The connection's type is not known here, or it can't be used.
            AlreadyInProgressError: A store's caller is at it in the same database, or another transaction has not ended
                in time.
            InDoubtError: Nobody knows whether the effect happened, or the connection broke during the commit.
            ParamsMismatchError: The key is taken by other params.
            StoreUnavailableError: The database can't be written; nothing was executed, or it is undone.
            TransactionEndedError: The executor ended the transaction; the error carries the result.
        """
        from ._transaction import SharedTransaction  # noqa: PLC0415 - only for those who use it
        from ._transaction_drive import drive  # noqa: PLC0415
        from ._transaction_options import transaction_options  # noqa: PLC0415

        _check_executor(executor)
        call = SharedTransaction(self._core, self._config, connection, action, transaction_options(ttl, options))
        result: T = drive(call.execute(executor))
        return result

    if TYPE_CHECKING:

        @overload
        def aexecute_in_transaction(
            self,
            connection: Transactional,
            action: ActionLike,
            executor: Callable[[], Awaitable[T]],
            *,
            ttl: Duration | None = None,
            **options: Unpack[TransactionOptions],
        ) -> Coroutine[Any, Any, T]: ...
        @overload
        def aexecute_in_transaction(
            self,
            connection: Transactional,
            action: ActionLike,
            executor: Callable[[], T],
            *,
            ttl: Duration | None = None,
            **options: Unpack[TransactionOptions],
        ) -> Coroutine[Any, Any, T]: ...

    def aexecute_in_transaction(
        self,
        connection: Transactional,
        action: ActionLike,
        executor: Callable[[], Any],
        *,
        ttl: Duration | None = None,
        **options: Unpack[TransactionOptions],
    ) -> Coroutine[Any, Any, Any]:
        """Do the same as `execute_in_transaction` in an asyncio task, over an asynchronous connection.

        Args:
            connection: A `psycopg.AsyncConnection`, or an `AsyncConnection` or `AsyncSession` of SQLAlchemy.
            action: The action.
            executor: What writes the rows; awaited if what it returns can be.
            ttl: How long the result is kept.
            **options: As for `execute_in_transaction`.
        """
        return self._in_transaction(connection, action, executor, ttl, options)

    # ---------------------------------------------------------------- by hand

    def check_executed(self, key: str, /) -> CheckResult:
        """Look a result up: counts a hit or a miss, claims nothing. Only a claim is safe against a race."""
        return self._core.check(key).wait()

    def check_many(self, keys: Iterable[str], /) -> list[CheckResult]:
        """Look many results up in one round trip: for each key what `check_executed` gives, in their order."""
        return self._core.check_many(list_of_keys(keys)).wait()

    def mark_executed(
        self,
        key: str,
        result: Any,
        ttl: Duration | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a result by hand, over whatever is there.

        Args:
            key: The key.
            result: The result.
            ttl: How long it is kept; `default_ttl` if None.
            metadata: `signal_id`, `action_type`, `target`, `params` and `context`, as on the record. Without params,
                any params match.
        """
        micros = None if ttl is None else read_ttl(ttl, self._config.lease)
        self._core.mark(key, result, micros, metadata or {}).wait()

    def resolve_in_doubt(
        self,
        key: str,
        /,
        *,
        result: Any = UNSET,
        not_executed: bool = False,
    ) -> None:
        """Say what became of an action in doubt: it happened, with this result, or it did not.

        Raises:
            NotInDoubtError: The key is not in doubt.
        """
        executed = resolution(result, UNSET, not_executed=not_executed)
        self._core.resolve(key, executed, None if result is UNSET else result).wait()

    # ---------------------------------------------------------------- look

    def get_record(self, key: str, /) -> IdempotencyRecord | None:
        """Give a key's record; counts nothing."""
        return self._core.get(key).wait()

    def get_keys(self, filter: Callable[[IdempotencyRecord], bool] | None = None, /) -> list[str]:  # noqa: A002 - the contract's
        """Give the keys of all records, or of those that the filter takes."""
        return run(filtered_keys(self._core, filter))

    def find_keys_by_action_type(self, action_type: str, /) -> list[str]:
        """Give the keys of an action type, by index."""
        return self._core.find_by_action_type(action_type).wait()

    def find_keys_by_target(self, target: str, /) -> list[str]:
        """Give the keys of a target, by index."""
        return self._core.find_by_target(target).wait()

    def find_keys_by_signal_id(self, signal_id: str, /) -> list[str]:
        """Give the keys of a signal, by index."""
        return self._core.find_by_signal_id(signal_id).wait()

    def get_expiring_soon(self, within: Duration = HOUR, /) -> list[IdempotencyRecord]:
        """Give the records that end within a duration, the next to end first."""
        return run(fetch(self._core, self._core.find_expiring(within_micros(within))))

    def get_in_doubt(self) -> list[IdempotencyRecord]:
        """Give the records in doubt, lapsed claims included."""
        return run(fetch(self._core, self._core.find_in_doubt()))

    def iter_records(
        self,
        *,
        action_type: str | None = None,
        target: str | None = None,
        signal_id: str | None = None,
        state: State | None = None,
    ) -> Iterator[IdempotencyRecord]:
        """Iterate over the records that fit, fetched a part at a time."""
        return iter(Walk(self._core, action_type, target, signal_id, state))

    # ---------------------------------------------------------------- keep house

    def cleanup_expired(self) -> int:
        """Remove expired records; answers with their number."""
        return self._core.cleanup_expired().wait()

    def cleanup_oldest_entries(self, count: int, /) -> int:
        """Remove up to `count` finished records, those that finished first; answers with their number."""
        return self._core.remove_oldest(whole_count(count)).wait()

    def clear_key(self, key: str, /) -> bool:
        """Forget a key, whatever its state; answers whether there was a live record."""
        return self._core.clear(key).wait()

    def clear_all(self) -> int:
        """Forget all keys; answers with the number of live records."""
        return self._core.clear_all().wait()

    # ---------------------------------------------------------------- measure

    def stats(self) -> IdempotencyStats:
        """Give the counters and what is held now."""
        return self._core.stats().wait()

    def reset_stats(self) -> None:
        """Set all counters to zero; records stay."""
        self._core.reset_stats().wait()

    def cache_info(self) -> CacheInfo:
        """Tell how full the store is."""
        return self._core.cache_info().wait()
