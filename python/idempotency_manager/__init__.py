"""An action never silently runs twice, and a result is never silently lost.

PYTEST_DONT_REWRITE: pytest would warn of a plugin's package that is imported before it, and has nothing to rewrite.
"""

from ._async_manager import AsyncIdempotencyManager
from ._config import IdempotencyConfig
from ._core import (
    Attempt,
    CacheInfo,
    CheckResult,
    Event,
    Execution,
    IdempotencyRecord,
    IdempotencyStats,
    canonicalize,
    current_execution,
    generate_idempotency_key,
    params_are_equivalent,
    parse_idempotency_key,
)
from ._default import (
    aexecute_with_idempotency,
    check_executed,
    cleanup_expired,
    cleanup_oldest_entries,
    clear_all_cache,
    clear_idempotency_key,
    configure,
    execute_with_idempotency,
    find_keys_by_action_type,
    find_keys_by_signal_id,
    find_keys_by_target,
    get_cache_info,
    get_cached_keys,
    get_config,
    get_expiring_soon,
    get_idempotency_record,
    get_idempotency_stats,
    get_manager,
    mark_executed,
    reset_stats,
    start_auto_cleanup,
    stop_auto_cleanup,
)
from ._idempotent import idempotent
from ._manager import IdempotencyManager
from ._process import watch as _watch
from ._signal import signal
from ._types import NOT_EXECUTED, Clock, Codec, State
from .exceptions import (
    AlreadyInProgressError,
    CacheFullError,
    ConfigurationError,
    IdempotencyError,
    InDoubtError,
    InvalidActionError,
    InvalidDeliveryError,
    InvalidKeyError,
    InvalidSignatureError,
    LeaseLostError,
    NotInDoubtError,
    ParamsMismatchError,
    PreviousFailureError,
    ReentrantCallError,
    ResultNotRecordedError,
    ResultUnavailableError,
    StoreError,
    StoreUnavailableError,
    TransactionEndedError,
    UnsupportedParamError,
    VolatileParamsWarning,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._action import Action, ActionLike, ParsedKey
    from ._batch import BatchOutcome
    from ._duration import Duration
    from ._types import OnConcurrent, OnInDoubt

__all__ = [
    "NOT_EXECUTED",
    "Action",
    "ActionLike",
    "AlreadyInProgressError",
    "AsyncIdempotencyManager",
    "Attempt",
    "BatchOutcome",
    "CacheFullError",
    "CacheInfo",
    "CheckResult",
    "Clock",
    "Codec",
    "ConfigurationError",
    "Duration",
    "Event",
    "Execution",
    "IdempotencyConfig",
    "IdempotencyError",
    "IdempotencyManager",
    "IdempotencyRecord",
    "IdempotencyStats",
    "InDoubtError",
    "InvalidActionError",
    "InvalidDeliveryError",
    "InvalidKeyError",
    "InvalidSignatureError",
    "LeaseLostError",
    "NotInDoubtError",
    "OnConcurrent",
    "OnInDoubt",
    "ParamsMismatchError",
    "ParsedKey",
    "PreviousFailureError",
    "ReentrantCallError",
    "ResultNotRecordedError",
    "ResultUnavailableError",
    "State",
    "StoreError",
    "StoreUnavailableError",
    "TransactionEndedError",
    "UnsupportedParamError",
    "VolatileParamsWarning",
    "aexecute_with_idempotency",
    "canonicalize",
    "check_executed",
    "cleanup_expired",
    "cleanup_oldest_entries",
    "clear_all_cache",
    "clear_idempotency_key",
    "configure",
    "current_execution",
    "execute_with_idempotency",
    "find_keys_by_action_type",
    "find_keys_by_signal_id",
    "find_keys_by_target",
    "generate_idempotency_key",
    "get_cache_info",
    "get_cached_keys",
    "get_config",
    "get_expiring_soon",
    "get_idempotency_record",
    "get_idempotency_stats",
    "get_manager",
    "idempotent",
    "mark_executed",
    "params_are_equivalent",
    "parse_idempotency_key",
    "reset_stats",
    "signal",
    "start_auto_cleanup",
    "stop_auto_cleanup",
]

# What takes `dataclasses` or `typing` to make is made when somebody first asks for it: the two take longer to import
# than all of this package.
_LATER = {
    "Action": "_action",
    "ActionLike": "_action",
    "ParsedKey": "_action",
    "BatchOutcome": "_batch",
    "Duration": "_duration",
    "OnConcurrent": "_types",
    "OnInDoubt": "_types",
}


if not TYPE_CHECKING:  # or a checker would take every name that anybody writes for one of these

    def __getattr__(name: str) -> "Any":
        """Make what is imported late."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - only here

        value = getattr(import_module(f".{_LATER[name]}", __name__), name)
        globals()[name] = value
        return value


_watch()
