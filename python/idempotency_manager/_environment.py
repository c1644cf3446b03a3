"""Settings from environment variables."""

from __future__ import annotations

from ._duration import parse_duration, refusal
from ._settings import read_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from typing import Any

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def config_from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read the settings that environment variables give, as fields for `make_config`.

    A bare number is a duration in milliseconds here, and nowhere else. A variable that is empty counts as
    not set, except that an empty `IDEMPOTENCY_MAX_CACHE_SIZE` means no cap.

    Raises:
        ConfigurationError: A variable can't have its value; the message names both and says what to write.
    """
    fields: dict[str, Any] = {}
    for field, read in _VARIABLES.items():
        variable = f"IDEMPOTENCY_{field.upper()}"
        text = environ.get(variable)
        if text is None or (not text.strip() and read is not _cache_size):
            continue
        fields[field] = read(variable, text)
    return fields


def _duration(variable: str, text: str) -> timedelta:
    bare = text.strip()
    milliseconds = bare.removeprefix("-")
    try:
        if milliseconds.isascii() and milliseconds.isdecimal():
            return parse_duration(f"{bare}ms", positive=True)
        return parse_duration(text, positive=True)
    except ValueError as problem:
        remedy = 'write a whole number of milliseconds (3600000) or text with a unit: "250ms", "30s", "15m", "24h"'
        raise refusal(variable, text, str(problem), remedy) from None


def _cache_size(variable: str, text: str) -> int | None:
    bare = text.strip()
    if bare.lower() in ("", "none"):
        return None
    if bare.isascii() and bare.isdecimal() and len(bare) < 19 and int(bare) > 0:  # noqa: PLR2004 - fits 64 bits
        return int(bare)
    raise refusal(variable, text, "no number of records", 'write a whole number from 1 on, or "none" for no cap')


def _flag(variable: str, text: str) -> bool:
    flag = _WORDS.get(text.strip().lower())
    if flag is None:
        raise refusal(variable, text, "neither yes nor no", "write one of 1, true, yes, on, 0, false, no, off")
    return flag


def _store(variable: str, text: str) -> Any:
    return read_field("store", text.strip(), variable)


def _namespace(variable: str, text: str) -> Any:
    return read_field("namespace", text, variable)


_VARIABLES: dict[str, Callable[[str, str], Any]] = {
    "store": _store,
    "namespace": _namespace,
    "default_ttl": _duration,
    "cleanup_interval": _duration,
    "max_cache_size": _cache_size,
    "enable_auto_cleanup": _flag,
    "include_params_in_key": _flag,
    "shadow": _flag,
}
