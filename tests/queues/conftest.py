"""Workers of the recipes, each a real process on a real Redis, and the world that they have their effects in."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import RedisServer

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds after which what has not come about is a failure."""


@dataclass
class World:
    """The folder of a test, what its workers are told, and what they did."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plans = self.folder / "plans"
        self.plans.mkdir()
        self.environment |= {
            "OUTBOX": str(self.folder / "outbox.txt"),
            "KILL_PLANS": str(self.plans),
            "LEASE": "1s",
            "REDELIVER_AFTER": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(ROOT)]),
            "PYTHONUNBUFFERED": "1",
        }

    def kill(self, signal_id: str, moment: str, victim: str = "process") -> None:
        """Plan a kill."""
        (self.plans / signal_id).write_text(f"{moment} {victim}")

    def was_killed(self, signal_id: str) -> bool:
        """Tell whether a planned kill was carried out."""
        return not (self.plans / signal_id).exists()

    def sent(self, signal_id: str) -> list[str]:
        """List what was sent for a signal."""
        file = self.folder / "outbox.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if line.split(" ")[0] == signal_id]

    def start(self, *command: str) -> Worker:
        """Start a program of the recipes in a group of its own, which a test may kill as a whole."""
        log = self.folder / f"log-{len(self.workers)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    @contextmanager
    def running(self, *command: str) -> Iterator[Worker]:
        """Have a program run for the time of a block."""
        worker = self.start(*command)
        try:
            yield worker
        finally:
            worker.end()

    def end(self) -> None:
        """End all that still runs."""
        for worker in self.workers:
            worker.end()


@dataclass
class Worker:
    """A process that works, and those that it has started."""

    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        """What it has written."""
        return self.log_file.read_text()

    def end(self) -> None:
        """Leave nothing of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, SIGKILL)
        self.process.wait(PATIENCE)


def eventually(what: Callable[[], object], worker: Worker | None = None) -> None:
    """Wait until something outside of this process is so; nothing there can tell."""
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, f"it never came about\n{worker.log if worker else ''}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def world(redis_of_the_session: RedisServer) -> Iterator[World]:
    """An empty world on the run's Redis, for all tests of a file."""
    redis_of_the_session.command("FLUSHALL", "SYNC")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        made = World(Path(folder), {"REDIS_URL": redis_of_the_session.url})
        for name in ("OUTBOX", "LEASE", "REDIS_URL"):
            patch.setenv(name, made.environment[name])
        stack.callback(made.end)
        yield made
