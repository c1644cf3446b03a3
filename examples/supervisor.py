"""Keeps one of the automations running: starts it, tells where it listens, kills it and starts it anew."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_ROOT = Path(__file__).parent.parent


class Supervisor:
    """An automation in a process of its own, as in production, so that it can really be killed."""

    def __init__(self, module: str, environment: dict[str, str], log: Path) -> None:
        """Name the module to run, the variables to set for it, and the file that gets what it writes to stderr."""
        # Slack's client would send even loopback requests through a proxy.
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self._environment = {**inherited, **environment}
        self._command = [sys.executable, "-m", module]
        self._log = log
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        """Start the automation and wait until it listens."""
        with self._lock:
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the automation."""
        with self._lock:
            self._end()

    def url(self) -> str:
        """Return where the automation listens; wait while it is being started."""
        with self._lock:
            return self._url

    def kill_and_restart(self) -> None:
        """End the automation with SIGKILL, wherever it is, and start it again."""
        with self._lock:
            self._end()
            self._start()

    def _start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and a module named in this package
                self._command, env=self._environment, cwd=_ROOT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._url = _first_line(self._process.stdout)
        if not self._url:
            detail = f"{' '.join(self._command)} ended before it listened:\n{self._log.read_text()}"
            raise RuntimeError(detail)

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()


def _first_line(stream: IO[str] | None) -> str:
    return stream.readline().strip() if stream else ""
