"""The page, on a port of this machine."""

from __future__ import annotations

import socket
from contextlib import closing
from secrets import token_urlsafe
from typing import TYPE_CHECKING

import uvicorn

from ._guard import Guard
from ._web import make_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._watch import Watch

LOOPBACK = "127.0.0.1"


def serve(watch: Watch, port: int, tell: Callable[[str], None], *, allow_changes: bool) -> None:
    """Serve the page until a signal ends it.

    Args:
        watch: What looks at the store; it has looked once.
        port: Where; 0 for any that is free.
        tell: Told of the address, with its token, once it is open.
        allow_changes: Whether actions in doubt can be settled by it.

    Raises:
        OSError: The port can't be had.
    """
    with closing(socket.create_server((LOOPBACK, port))) as listener:
        at = listener.getsockname()[1]
        guard = Guard(token_urlsafe(32), at, allow_changes)
        # An access log would have the token.
        config = uvicorn.Config(
            make_app(watch, guard),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        tell(f"http://{LOOPBACK}:{at}/?token={guard.token}")
        uvicorn.Server(config).run(sockets=[listener])
