"""What the applications of these tests do, whatever they are written with; across processes, through files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHUNKS = (b"one, ", b"two, ", b"three")
BIG = b"x" * 70_000
"""More than the servers of these tests keep of an answer."""
KEPT, TAKEN = 65_536, 262_144
"""What they keep of an answer, and take of a body."""


@dataclass(frozen=True)
class Desk:
    """Where an application writes down what it has carried out, and meets its test."""

    folder: Path

    def run(self, case: str) -> int:
        """Carry out an action; give how often it has been."""
        with (self.folder / f"runs-{case}").open("a") as file:
            file.write(f"{os.getpid()}\n")
        return self.runs(case)

    def runs(self, case: str) -> int:
        return len(self.workers(case))

    def workers(self, case: str) -> list[int]:
        """The processes that have carried it out, run by run."""
        file = self.folder / f"runs-{case}"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def meet(self, case: str) -> None:
        """Tell the test that the action is under way, and wait to be let go."""
        with self._pipe("here", case).open("w"):
            pass
        with self._pipe("go", case).open() as file:
            file.read()

    def expect(self, case: str) -> None:
        """Make what `meet` and `wait_for` meet at."""
        for name in ("here", "go"):
            os.mkfifo(self._pipe(name, case))

    def wait_for(self, case: str) -> None:
        """Wait until the application is under way."""
        with self._pipe("here", case).open() as file:
            file.read()

    def let_go(self, case: str) -> None:
        """Let the application go on."""
        with self._pipe("go", case).open("w"):
            pass

    def _pipe(self, name: str, case: str) -> Path:
        return self.folder / f"{name}-{case}"
