"""The options of one call or one decorated function: checked, and brought into the form that the native half reads."""

from __future__ import annotations

from datetime import timedelta

from ._duration import refusal, to_timedelta
from ._settings import read_field
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._config import IdempotencyConfig
    from ._duration import Duration

SETTINGS = ("on_concurrent", "on_in_doubt", "in_doubt_on", "not_executed_on", "replay_errors", "codec", "shadow")
"""The options that are settings of a manager too."""
NAMES = ("ttl", *SETTINGS, "latch", "result_type")
"""All options."""
_MICROSECOND = timedelta(microseconds=1)


def microseconds(duration: timedelta) -> int:
    """Give a duration in whole microseconds, cut off at what the core can hold (292,000 years)."""
    return min(duration // _MICROSECOND, 2**63 - 1)


def read_ttl(ttl: Duration, lease: timedelta) -> int:
    """Read a time to live, in microseconds.

    Raises:
        ConfigurationError: It is no duration, or shorter than the lease: a result must outlive the claim it came from.
    """
    duration = to_timedelta(ttl, "ttl", positive=True)
    if duration < lease:
        problem = f"shorter than the lease, {lease!r}"
        raise refusal("ttl", ttl, problem, "write a ttl of at least the lease, or configure(lease=…) a shorter one")
    return microseconds(duration)


def read_options(options: Mapping[str, Any], lease: timedelta) -> dict[str, Any]:
    """Check options and bring them into the form that the native half reads; None stands for what is not given.

    Raises:
        ConfigurationError: One is unknown, can't have its value, or contradicts another.
    """
    read: dict[str, Any] = {}
    for name, value in options.items():
        if name not in NAMES:
            raise ConfigurationError(f"there is no option {name!r}; known are {', '.join(sorted(NAMES))}")
        if value is None:
            continue
        if name == "ttl":
            read["ttl"] = read_ttl(value, lease)
        elif name == "latch":
            if not isinstance(value, bool):
                raise refusal("latch", value, f"{type(value).__name__} is neither", "write True or False")
            read["latch"] = value
        elif name == "result_type":
            from ._typed import converter_for  # noqa: PLC0415 - only for those who use it

            read["converter"] = converter_for(value)
        else:
            read[name] = read_field(name, value)
    if "codec" in read and options.get("result_type") is not None:
        raise ConfigurationError("codec and result_type exclude each other: a codec gives back what it encoded")
    return read


def warns_of_params(config: IdempotencyConfig) -> bool:
    """Tell whether params that are another in each call are worth a warning."""
    return config.include_params_in_key and config.warn_volatile_after is not None


def native_settings(config: IdempotencyConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a configuration into plain values and policies, as the native half reads them."""
    scalars = {
        "default_ttl": microseconds(config.default_ttl),
        "lease": microseconds(config.lease),
        "wait_timeout": microseconds(config.wait_timeout),
        "cleanup_interval": microseconds(config.cleanup_interval),
        "max_cache_size": config.max_cache_size,
        "refuse_when_full": config.on_full == "raise",
        "enable_auto_cleanup": config.enable_auto_cleanup,
        "include_params_in_key": config.include_params_in_key,
        "verify_params": config.verify_params,
        "store_params": config.store_params,
        "execute_without_store": config.on_store_failure == "execute",
        "warn_volatile_after": config.warn_volatile_after,
    }
    policies = {name: getattr(config, name) for name in (*SETTINGS, "clock", "on_event")}
    return scalars, policies
