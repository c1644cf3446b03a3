"""The default manager, made when it is first needed, and the module-level functions on it."""

from __future__ import annotations

import os
from _thread import RLock

from ._core import set_default_core
from ._manager import IdempotencyManager
from ._options import warns_of_params

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import timedelta
    from typing import Any, TypeVar, Unpack

    from ._action import ActionLike
    from ._config import IdempotencyConfig
    from ._core import CacheInfo, CheckResult, IdempotencyRecord, IdempotencyStats
    from ._duration import Duration
    from ._signatures import Settings

    T = TypeVar("T")


class _Default:
    """Holds the default manager.

    `turn` is held while it is made or changed: two threads that both made one would each keep records that the other
    doesn't see. It can be taken again by its holder, for making a manager may run a finalizer that asks for one.
    """

    manager: IdempotencyManager | None = None
    turn = RLock()


def _free_the_turn() -> None:
    # Who held it when the process was forked is no thread of the child.
    _Default.turn = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_the_turn)


def get_manager() -> IdempotencyManager:
    """Give the default manager; the first call makes it, of the environment's `IDEMPOTENCY_…` variables.

    Raises:
        ConfigurationError: A variable can't have its value; the error names it.
    """
    manager = _Default.manager
    return _make_manager() if manager is None else manager


def _make_manager() -> IdempotencyManager:
    from ._environment import config_from_environment  # noqa: PLC0415 - needed once

    with _Default.turn:
        if _Default.manager is None:
            made = IdempotencyManager(**config_from_environment(os.environ))
            if _Default.manager is None:
                set_manager(made)
        assert _Default.manager is not None  # noqa: S101 - for the type checker: the lines above have set it
        return _Default.manager


def set_manager(manager: IdempotencyManager | None) -> IdempotencyManager | None:
    """Make this the default manager, for functions that are decorated without one too; answers with the one before.

    None has the next use make a new one of the environment.
    """
    with _Default.turn:
        before, _Default.manager = _Default.manager, manager
        set_default_core(None if manager is None else manager._core)  # noqa: SLF001 - this package's own
    return before


def current_lease() -> timedelta:
    """Give the lease that a function decorated now would go by, without making the default manager for it."""
    if _Default.manager is not None:
        return _Default.manager.config.lease
    from ._settings import DEFAULTS  # noqa: PLC0415 - needed when decorating

    lease: timedelta = DEFAULTS["lease"]
    return lease


def current_warns() -> bool:
    """Tell whether params of a function decorated now are worth a warning, without making the default manager."""
    return _Default.manager is None or warns_of_params(_Default.manager.config)


def configure(**config: Unpack[Settings]) -> None:
    """Change the default manager's configuration; see `IdempotencyManager.configure`."""
    get_manager().configure(**config)


def get_config() -> IdempotencyConfig:
    """Give the default manager's configuration."""
    return get_manager().config


def check_executed(key: str, /) -> CheckResult:
    """Look a result up; see `IdempotencyManager.check_executed`."""
    return get_manager().check_executed(key)


def mark_executed(
    key: str,
    result: Any,
    ttl: Duration | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Record a result by hand; see `IdempotencyManager.mark_executed`."""
    get_manager().mark_executed(key, result, ttl, metadata)


def execute_with_idempotency(action: ActionLike, executor: Callable[[], T], ttl: Duration | None = None) -> T:
    """Run an executor once; see `IdempotencyManager.execute`."""
    return get_manager().execute(action, executor, ttl=ttl)


async def aexecute_with_idempotency(
    action: ActionLike, executor: Callable[[], Awaitable[T]], ttl: Duration | None = None
) -> T:
    """Run an executor once and await it; see `IdempotencyManager.aexecute`."""
    return await get_manager().aexecute(action, executor, ttl=ttl)


def cleanup_expired() -> int:
    """Remove expired records; answers with their number."""
    return get_manager().cleanup_expired()


def cleanup_oldest_entries(count: int, /) -> int:
    """Remove up to `count` finished records, those that finished first; answers with their number."""
    return get_manager().cleanup_oldest_entries(count)


def clear_idempotency_key(key: str, /) -> bool:
    """Forget a key; answers whether there was a live record."""
    return get_manager().clear_key(key)


def clear_all_cache() -> int:
    """Forget all keys; answers with the number of live records."""
    return get_manager().clear_all()


def get_idempotency_record(key: str, /) -> IdempotencyRecord | None:
    """Give a key's record."""
    return get_manager().get_record(key)


def get_cached_keys(filter: Callable[[IdempotencyRecord], bool] | None = None, /) -> list[str]:  # noqa: A002 - the contract's
    """Give the keys of all records, or of those that a filter takes."""
    return get_manager().get_keys(filter)


def get_idempotency_stats() -> IdempotencyStats:
    """Give the counters and what is held now."""
    return get_manager().stats()


def reset_stats() -> None:
    """Set all counters to zero."""
    get_manager().reset_stats()


def get_cache_info() -> CacheInfo:
    """Tell how full the store is."""
    return get_manager().cache_info()


def start_auto_cleanup() -> None:
    """Start the removal of expired records in the background."""
    get_manager().start_auto_cleanup()


def stop_auto_cleanup() -> None:
    """Stop it."""
    get_manager().stop_auto_cleanup()


def find_keys_by_action_type(action_type: str, /) -> list[str]:
    """Give the keys of an action type, by index."""
    return get_manager().find_keys_by_action_type(action_type)


def find_keys_by_target(target: str, /) -> list[str]:
    """Give the keys of a target, by index."""
    return get_manager().find_keys_by_target(target)


def find_keys_by_signal_id(signal_id: str, /) -> list[str]:
    """Give the keys of a signal, by index."""
    return get_manager().find_keys_by_signal_id(signal_id)


def get_expiring_soon(within: Duration = "1h", /) -> list[IdempotencyRecord]:
    """Give the records that end within a duration, the next to end first."""
    return get_manager().get_expiring_soon(within)
