"""Real servers: uvicorn in a thread, gunicorn in processes of its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PATIENCE = 20


class _Server(uvicorn.Server):
    """A uvicorn that says when it is there."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_there = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_there.set()


def listening() -> socket.socket:
    """A socket of loopback on a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener


@contextmanager
def uvicorn_serving(app: Any) -> Iterator[str]:
    """Serve an application from a thread; give its URL."""
    listener = listening()
    server = _Server(uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve([listener])))
    thread.start()
    try:
        assert server.is_there.wait(PATIENCE)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        loop.close()
        listener.close()


@contextmanager
def gunicorn_serving(framework: str, folder: Path, store: str, *arguments: str, **options: Any) -> Iterator[str]:
    """Serve an application from a worker that gunicorn starts, and starts again; give its URL."""
    listener = listening()
    told = {"framework": framework, "folder": str(folder), "store": store, "options": options}
    environment = {**os.environ, "HTTP_TEST": json.dumps(told)}
    command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--log-level", "critical"]
    process = subprocess.Popen(
        [*command, "--no-control-socket", *arguments, "tests.http.apps_wsgi:make()"],
        cwd=ROOT,
        env=environment,
        pass_fds=[listener.fileno()],
    )
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        listener.close()
