"""Runs one of the automations in a process of its own, as in production."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

_ROOT = Path(__file__).parent.parent
_LOG_LINES = 20


@contextmanager
def running(module: str, environment: dict[str, str], log: Path) -> Iterator[str]:
    """Start an automation, give the URL where it receives webhooks, and end it with the block.

    Args:
        module: The module to run.
        environment: Variables to set for it.
        log: The file that gets what it writes to stderr.

    Raises:
        RuntimeError: It ended before it listened.
        Exception: What the block raised. Any error has the end of the log as a note.
    """
    # Slack's client would send even loopback requests through a proxy.
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-m", module]
    with (
        log.open("w") as stderr,
        subprocess.Popen(  # noqa: S603 - this interpreter, and a module named in this package
            command, env=inherited | environment, cwd=_ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise RuntimeError(f"{' '.join(command)} ended before it listened")  # noqa: TRY301 - to get its note
            yield url
        except Exception as error:
            error.add_note("\n".join(log.read_text().splitlines()[-_LOG_LINES:]))
            raise
        finally:
            process.kill()


def ask_for_stats(url: str) -> dict[str, float]:
    """Ask a running automation what it has counted."""
    with build_opener(ProxyHandler({})).open(url, timeout=10) as answer:
        stats: dict[str, float] = json.load(answer)
    return stats
