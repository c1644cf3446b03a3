"""Runs one of the automations in a process of its own, and starts it again when it was killed, as in production."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

_ROOT = Path(__file__).parent.parent
_LOG_LINES = 20
_DEATH_SECONDS = 10.0


class Automation:
    """One of the automations, from `start` to `kill`.

    Attributes:
        url: Where it receives webhooks; another one each time it is started.
    """

    def __init__(self, module: str, environment: dict[str, str], log: Path) -> None:
        """Take the module to run, variables to set for it, and the file that gets what it writes to stderr."""
        # Slack's client would send even loopback requests through a proxy.
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self.url = ""
        self._command = [sys.executable, "-m", module]
        self._environment = inherited | environment
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            RuntimeError: It ended before it listened.
        """
        with self._log.open("a") as stderr:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, and a module named in this package
                self._command, env=self._environment, cwd=_ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        self._process = process
        self.url = process.stdout.readline().strip() if process.stdout else ""
        if not self.url:
            raise RuntimeError(f"{' '.join(self._command)} ended before it listened")

    def start_again(self) -> None:
        """Wait until it has killed itself, then start it, as whatever supervises it would.

        Raises:
            RuntimeError: It did not kill itself, or did not start.
        """
        ended = self._process.wait(_DEATH_SECONDS) if self._process else None
        if ended != -signal.SIGKILL:
            raise RuntimeError(f"{' '.join(self._command)} ended with {ended}, not by SIGKILL")
        self.kill()
        self.start()

    def kill(self) -> None:
        """End it, wherever it is in its work."""
        if self._process:
            self._process.kill()
            self._process.communicate()

    def last_lines(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._log.read_text().splitlines()[-_LOG_LINES:])


@contextmanager
def running(module: str, environment: dict[str, str], log: Path) -> Iterator[Automation]:
    """Run an automation until the end of the block; see `Automation` for the arguments.

    Raises:
        RuntimeError: It ended before it listened.
        Exception: What the block raised. Any error has the end of the log as a note.
    """
    automation = Automation(module, environment, log)
    try:
        automation.start()
        yield automation
    except Exception as error:
        error.add_note(automation.last_lines())
        raise
    finally:
        automation.kill()


def ask_for_stats(url: str) -> dict[str, float]:
    """Ask a running automation what it has counted."""
    with build_opener(ProxyHandler({})).open(url, timeout=10) as answer:
        stats: dict[str, float] = json.load(answer)
    return stats
