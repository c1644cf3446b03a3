"""Each setting: its default, and how a value given for it is read."""

from __future__ import annotations

from datetime import timedelta

from ._duration import refusal, to_timedelta
from ._store_url import StoreUrl
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Reader = Callable[[Any, str], Any]

_SHORTEST_LEASE = timedelta(milliseconds=10)
_FEWEST_RUNS = 5
"""Fewer say nothing of a field: the first three only show which it is."""


def read_field(name: str, value: object, shown_as: str | None = None) -> Any:
    """Check a value given for a setting, and bring it into the form it is kept in.

    Args:
        name: The setting's name, which is a field of `IdempotencyConfig`.
        value: What was given for it.
        shown_as: The name that the error gives it, where that is another: an environment variable's.

    Returns:
        What is kept: a `timedelta` for a duration, a tuple for exceptions, a `StoreUrl` for the store.

    Raises:
        ConfigurationError: There is no such setting, or it can't have that value.
    """
    reader = _READERS.get(name)
    if reader is None:
        raise ConfigurationError(_unknown(name, _READERS))
    return reader(value, shown_as or name)


def _unknown(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - dear, and needed for an error only

    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
    return f"there is no setting {name!r}; {hint}"


def _store(value: object, field: str) -> StoreUrl:
    if isinstance(value, StoreUrl):
        return value
    if not isinstance(value, str):
        raise refusal(field, value, "a store is named by its URL", 'write text such as "memory://"')
    return StoreUrl(value, field)


def _positive_duration(value: Any, field: str) -> timedelta:
    return to_timedelta(value, field, positive=True)


def _lease(value: Any, field: str) -> timedelta:
    lease = to_timedelta(value, field)
    if lease < _SHORTEST_LEASE:
        raise refusal(field, value, "too short to be renewed in time", 'write "10ms" or longer; "30s" is the default')
    return lease


def _cache_size(value: object, field: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise refusal(field, value, "no number of records", "write a whole number from 1 on, or None for no cap")


def _flag(value: object, field: str) -> bool:
    if isinstance(value, bool):
        return value
    raise refusal(field, value, f"{type(value).__name__} is neither", "write True or False")


def _runs(value: object, field: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and _FEWEST_RUNS <= value < 2**32):
        return value
    raise refusal(
        field, value, "no number of runs", f"write a whole number from {_FEWEST_RUNS} on, or None for no warning"
    )


def _namespace(value: object, field: str) -> str:
    if isinstance(value, str) and value and value.isprintable() and value == value.strip():
        return value
    raise refusal(field, value, "no name", "write a printable text that is not empty and has no space around it")


def _choice(*choices: str) -> Reader:
    def read(value: object, field: str) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise refusal(field, value, "no such choice", f"write {' or '.join(map(repr, choices))}")

    return read


def _on_in_doubt(value: Any, field: str) -> Any:
    if (isinstance(value, str) and value in ("raise", "retry")) or (callable(value) and not isinstance(value, type)):
        return value
    raise refusal(
        field,
        value,
        "no such choice",
        "write 'raise', 'retry' or a callable that takes the record and returns the result or NOT_EXECUTED",
    )


def _exceptions(root: type[BaseException]) -> Reader:
    def read(value: object, field: str) -> tuple[type[BaseException], ...]:
        classes: tuple[object, ...] = (value,) if isinstance(value, type) else ()
        if isinstance(value, tuple | list | set | frozenset):
            classes = tuple(value)
        if (classes or value in ((), [])) and all(isinstance(one, type) and issubclass(one, root) for one in classes):
            return classes  # type: ignore[return-value]
        remedy = f"write a tuple of classes that derive from {root.__name__}, such as (LookupError,)"
        raise refusal(field, value, f"not all of it is a class of {root.__name__}s", remedy)

    return read


def _object_with(*methods: str) -> Reader:
    def read(value: object, field: str) -> object:
        if value is None:
            return None
        missing = [name for name in methods if not callable(getattr(value, name, None))]
        if isinstance(value, type) or missing:
            problem = "a class, not an instance" if isinstance(value, type) else f"it has no {missing[0]}()"
            raise refusal(field, value, problem, f"write None or an object with {'() and '.join(methods)}()")
        return value

    return read


def _callable(value: object, field: str) -> object:
    if value is None or callable(value):
        return value
    raise refusal(field, value, "can't be called", "write None or a callable that takes one event")


_SETTINGS: dict[str, tuple[Any, Reader]] = {
    "store": ("memory://", _store),
    "default_ttl": (timedelta(hours=24), _positive_duration),
    "max_cache_size": (None, _cache_size),
    "enable_auto_cleanup": (True, _flag),
    "cleanup_interval": (timedelta(hours=1), _positive_duration),
    "include_params_in_key": (True, _flag),
    "namespace": ("idempotency", _namespace),
    "lease": (timedelta(seconds=30), _lease),
    "on_concurrent": ("wait", _choice("wait", "raise")),
    "wait_timeout": (timedelta(seconds=60), to_timedelta),
    "on_in_doubt": ("raise", _on_in_doubt),
    "in_doubt_on": ((), _exceptions(BaseException)),
    "not_executed_on": ((), _exceptions(BaseException)),
    "replay_errors": ((), _exceptions(Exception)),
    "on_store_failure": ("raise", _choice("raise", "execute")),
    "on_full": ("evict", _choice("evict", "raise")),
    "verify_params": (False, _flag),
    "store_params": (False, _flag),
    "codec": (None, _object_with("encode", "decode")),
    "on_event": (None, _callable),
    "clock": (None, _object_with("now")),
    "shadow": (False, _flag),
    "warn_volatile_after": (20, _runs),
}
DEFAULTS: dict[str, Any] = {name: default for name, (default, _) in _SETTINGS.items()}
_READERS: dict[str, Reader] = {name: reader for name, (_, reader) in _SETTINGS.items()}
