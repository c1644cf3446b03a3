"""The manager for asyncio tasks: the same operations, awaited."""

from __future__ import annotations

from ._base import HOUR, UNSET, BaseManager, list_of_keys, refuse_generator, resolution, whole_count, within_micros
from ._options import read_ttl
from ._types import final
from ._walk import Walk, arun, fetch, filtered_keys
from .exceptions import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Any, Self, TypeVar, Unpack, overload

    from ._action import ActionLike
    from ._core import Attempt, CacheInfo, CheckResult, IdempotencyRecord, IdempotencyStats
    from ._duration import Duration
    from ._signatures import CallOptions, Transactional, TransactionOptions
    from ._types import State

    T = TypeVar("T")


@final
class AsyncIdempotencyManager(BaseManager):
    """The same constructor and the same operations under the same names as coroutines, over the same core.

    `execute` takes an async or a plain executor; `claim` is an async context manager; `iter_records` an async iterator;
    `generate_key`, `config`, `configure` and `idempotent` stay plain. `idempotent` wraps plain functions and coroutine
    functions.
    """

    async def close(self) -> None:
        """See `IdempotencyManager.close`."""
        self._core.close()
        try:  # noqa: SIM105 - to import contextlib takes longer than a manager
            await self._core.flush()
        except StoreError:
            pass  # counters are no result; what can't be written now is written later, or at exit
        if not self._core.is_local():
            import asyncio  # noqa: PLC0415 - whoever awaits this has it

            await asyncio.to_thread(self._core.let_go)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    if TYPE_CHECKING:

        @overload
        def execute(
            self,
            action: ActionLike,
            executor: Callable[[], Awaitable[T]],
            *,
            ttl: Duration | None = None,
            **options: Unpack[CallOptions],
        ) -> Coroutine[Any, Any, T]: ...
        @overload
        def execute(
            self,
            action: ActionLike,
            executor: Callable[[], T],
            *,
            ttl: Duration | None = None,
            **options: Unpack[CallOptions],
        ) -> Coroutine[Any, Any, T]: ...

    def execute(
        self,
        action: ActionLike,
        executor: Callable[[], Any],
        *,
        ttl: Duration | None = None,
        **options: Unpack[CallOptions],
    ) -> Coroutine[Any, Any, Any]:
        """See `IdempotencyManager.execute`; the executor is awaited if what it returns can be."""
        refuse_generator(executor)
        return self._core.aexecute(action, executor, self._options(ttl, options))

    aexecute = execute
    """`execute` under the name that it has in `IdempotencyManager`."""

    execute_many = BaseManager.aexecute_many
    """See `IdempotencyManager.aexecute_many`: the executor is a coroutine function, or a plain one."""

    def claim(
        self,
        action: ActionLike,
        *,
        ttl: Duration | None = None,
        **options: Unpack[CallOptions],
    ) -> AbstractAsyncContextManager[Attempt]:
        """See `IdempotencyManager.aclaim`."""
        return self._core.claim(action, self._options(ttl, options))

    aclaim = claim
    """`claim` under the name that it has in `IdempotencyManager`."""

    if TYPE_CHECKING:

        @overload
        def execute_in_transaction(
            self,
            connection: Transactional,
            action: ActionLike,
            executor: Callable[[], Awaitable[T]],
            *,
            ttl: Duration | None = None,
            **options: Unpack[TransactionOptions],
        ) -> Coroutine[Any, Any, T]: ...
        @overload
        def execute_in_transaction(
            self,
            connection: Transactional,
            action: ActionLike,
            executor: Callable[[], T],
            *,
            ttl: Duration | None = None,
            **options: Unpack[TransactionOptions],
        ) -> Coroutine[Any, Any, T]: ...

    def execute_in_transaction(
        self,
        connection: Transactional,
        action: ActionLike,
        executor: Callable[[], Any],
        *,
        ttl: Duration | None = None,
        **options: Unpack[TransactionOptions],
    ) -> Coroutine[Any, Any, Any]:
        """See `IdempotencyManager.aexecute_in_transaction`."""
        return self._in_transaction(connection, action, executor, ttl, options)

    aexecute_in_transaction = execute_in_transaction
    """`execute_in_transaction` under the name that it has in `IdempotencyManager`."""

    async def check_executed(self, key: str, /) -> CheckResult:
        """See `IdempotencyManager.check_executed`."""
        return await self._core.check(key)

    async def check_many(self, keys: Iterable[str], /) -> list[CheckResult]:
        """See `IdempotencyManager.check_many`."""
        return await self._core.check_many(list_of_keys(keys))

    async def mark_executed(
        self,
        key: str,
        result: Any,
        ttl: Duration | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """See `IdempotencyManager.mark_executed`."""
        micros = None if ttl is None else read_ttl(ttl, self._config.lease)
        await self._core.mark(key, result, micros, metadata or {})

    async def resolve_in_doubt(
        self,
        key: str,
        /,
        *,
        result: Any = UNSET,
        not_executed: bool = False,
    ) -> None:
        """See `IdempotencyManager.resolve_in_doubt`."""
        executed = resolution(result, UNSET, not_executed=not_executed)
        await self._core.resolve(key, executed, None if result is UNSET else result)

    async def get_record(self, key: str, /) -> IdempotencyRecord | None:
        """See `IdempotencyManager.get_record`."""
        return await self._core.get(key)

    async def get_keys(self, filter: Callable[[IdempotencyRecord], bool] | None = None, /) -> list[str]:  # noqa: A002 - the contract's
        """See `IdempotencyManager.get_keys`."""
        return await arun(filtered_keys(self._core, filter))

    async def find_keys_by_action_type(self, action_type: str, /) -> list[str]:
        """See `IdempotencyManager.find_keys_by_action_type`."""
        return await self._core.find_by_action_type(action_type)

    async def find_keys_by_target(self, target: str, /) -> list[str]:
        """See `IdempotencyManager.find_keys_by_target`."""
        return await self._core.find_by_target(target)

    async def find_keys_by_signal_id(self, signal_id: str, /) -> list[str]:
        """See `IdempotencyManager.find_keys_by_signal_id`."""
        return await self._core.find_by_signal_id(signal_id)

    async def get_expiring_soon(self, within: Duration = HOUR, /) -> list[IdempotencyRecord]:
        """See `IdempotencyManager.get_expiring_soon`."""
        return await arun(fetch(self._core, self._core.find_expiring(within_micros(within))))

    async def get_in_doubt(self) -> list[IdempotencyRecord]:
        """See `IdempotencyManager.get_in_doubt`."""
        return await arun(fetch(self._core, self._core.find_in_doubt()))

    def iter_records(
        self,
        *,
        action_type: str | None = None,
        target: str | None = None,
        signal_id: str | None = None,
        state: State | None = None,
    ) -> AsyncIterator[IdempotencyRecord]:
        """See `IdempotencyManager.iter_records`."""
        return Walk(self._core, action_type, target, signal_id, state).__aiter__()

    async def cleanup_expired(self) -> int:
        """See `IdempotencyManager.cleanup_expired`."""
        return await self._core.cleanup_expired()

    async def cleanup_oldest_entries(self, count: int, /) -> int:
        """See `IdempotencyManager.cleanup_oldest_entries`."""
        return await self._core.remove_oldest(whole_count(count))

    async def clear_key(self, key: str, /) -> bool:
        """See `IdempotencyManager.clear_key`."""
        return await self._core.clear(key)

    async def clear_all(self) -> int:
        """See `IdempotencyManager.clear_all`."""
        return await self._core.clear_all()

    async def stats(self) -> IdempotencyStats:
        """See `IdempotencyManager.stats`."""
        return await self._core.stats()

    async def reset_stats(self) -> None:
        """See `IdempotencyManager.reset_stats`."""
        await self._core.reset_stats()

    async def cache_info(self) -> CacheInfo:
        """See `IdempotencyManager.cache_info`."""
        return await self._core.cache_info()
