"""What `sqlite:///` URLs say."""

from __future__ import annotations

import os

from ._place_options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._store_url import StoreUrl

_SYNCHRONOUS = {"full": True, "normal": False}


def sqlite(url: StoreUrl, namespace: str) -> dict[str, Any]:
    """Give what the native half opens.

    Raises:
        ConfigurationError: An option is unknown or can't have its value.
    """
    options = Options(url, ("synchronous", "busy_timeout"))
    synchronous = options.choice(
        "synchronous",
        _SYNCHRONOUS,
        "full",
        "write synchronous=full, which survives a power cut, or synchronous=normal, which survives crashes",
    )
    return {
        "engine": "sqlite",
        # A later chdir() does not lead to another file.
        "path": os.path.abspath(url.path),  # noqa: PTH100 - pathlib is dear to import
        "full": _SYNCHRONOUS[synchronous],
        "busy_timeout": options.duration("busy_timeout", "5s", positive=False),
        "namespace": namespace,
    }
