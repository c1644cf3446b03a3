"""Where a store URL leads: the engine, and what it needs to know."""

from __future__ import annotations

import os

from ._duration import refusal, to_microseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._store_url import StoreUrl

_BUSY_TIMEOUT = "5s"
_SYNCHRONOUS = {"full": True, "normal": False}


def place(url: StoreUrl, namespace: str) -> dict[str, Any]:
    """Give what the native half opens.

    Args:
        url: A checked store URL.
        namespace: Whose records these are, where several share an engine.

    Raises:
        ConfigurationError: This version has no engine for it, or an option is unknown or can't have its value.
    """
    if url.scheme == "memory":
        _read_options(url, ())
        return {"engine": "memory"}
    if url.scheme == "sqlite":
        return _sqlite(url, namespace)
    raise refusal(
        "store",
        url.masked,
        f"{url.scheme}:// has no engine in this version",
        'write "memory://" or "sqlite:///path.db"',
    )


def _sqlite(url: StoreUrl, namespace: str) -> dict[str, Any]:
    options = _read_options(url, ("synchronous", "busy_timeout"))
    synchronous = options.get("synchronous", "full").lower()
    if synchronous not in _SYNCHRONOUS:
        raise refusal(
            "store",
            url.masked,
            f"synchronous={synchronous} is no choice",
            "write synchronous=full, which survives a power cut, or synchronous=normal, which survives crashes",
        )
    return {
        "engine": "sqlite",
        # A later chdir() does not lead to another file.
        "path": os.path.abspath(url.path),  # noqa: PTH100 - pathlib is dear to import
        "full": _SYNCHRONOUS[synchronous],
        "busy_timeout": to_microseconds(options.get("busy_timeout", _BUSY_TIMEOUT), "store: busy_timeout"),
        "namespace": namespace,
    }


def _read_options(url: StoreUrl, known: tuple[str, ...]) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in url.options:
        if name not in known:
            remedy = f"known are {' and '.join(known)}" if known else f"{url.scheme}:// takes none"
            raise refusal("store", url.masked, f"there is no option {name!r}", remedy)
        if name in options:
            raise refusal("store", url.masked, f"the option {name!r} is given twice", "give it once")
        options[name] = value
    return options
