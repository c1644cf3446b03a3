"""Where a store URL leads: the engine, and what it needs to know.

Each engine's part is imported by those who use it.
"""

from __future__ import annotations

from ._imports import begin_import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._store_url import StoreUrl


def place(url: StoreUrl, namespace: str) -> dict[str, Any]:
    """Give what the native half opens.

    Args:
        url: A checked store URL.
        namespace: Whose records these are, where several share an engine.

    Raises:
        ConfigurationError: An option is unknown or can't have its value, or the URL lacks something.
    """
    if url.scheme == "memory":
        return _memory(url)
    if url.scheme == "sqlite":
        begin_import("_place_sqlite")
        from ._place_sqlite import sqlite  # noqa: PLC0415

        return sqlite(url, namespace)
    if url.scheme == "postgresql":
        begin_import("_place_postgres")
        from ._place_postgres import postgres  # noqa: PLC0415

        return postgres(url, namespace)
    begin_import("_place_redis")
    from ._place_redis import redis  # noqa: PLC0415

    return redis(url, namespace)


def _memory(url: StoreUrl) -> dict[str, Any]:
    if url.options:
        begin_import("_place_options")
        from ._place_options import Options  # noqa: PLC0415

        Options(url, ())
    return {"engine": "memory"}
