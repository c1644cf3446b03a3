"""A process of its own that uses a store, for tests that break the file underneath it.

    python -m tests.integration.store_user URL LEASE_SECONDS

Takes one JSON object a line, `{"do": name of a method of User, …}`, and answers with one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from idempotency_manager import IdempotencyError, IdempotencyManager

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 0.3
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


def action(name: str, size: int = 0) -> dict[str, Any]:
    return {"signal_id": name, "action": "card", "target": "trello", "params": {"text": "p" * size}}


def result_of(name: str, size: int = 0) -> str:
    return name + "r" * size


class User:
    """The child's side: one method for each thing it can be told to do."""

    def __init__(self, url: str, lease: float) -> None:
        self.url = url
        self.lease = lease
        self.effects: list[str] = []
        self._manager: IdempotencyManager | None = None

    def execute(
        self, name: str, *, result: int = 0, params: int = 0, pause: bool = False, found: str | None = None
    ) -> dict[str, Any]:
        """Execute an action; `pause` stops in its effect and serves commands until `go`, `found` settles a doubt."""
        options = {"on_in_doubt": lambda _record: found} if found else {}

        def effect() -> str:
            self.effects.append(name)
            if pause:
                say({"paused": name})
                self.serve()
            return result_of(name, result)

        before = self.effects.count(name)
        answer = self._try(lambda manager: manager.execute(action(name, params), effect, **options))
        return {**answer, "effects": self.effects.count(name) - before}

    def state(self, name: str, params: int = 0) -> dict[str, Any]:
        """Tell the state of an action's record."""

        def look(manager: IdempotencyManager) -> str | None:
            record = manager.get_record(manager.generate_key(action(name, params)))
            return record and record.state

        return self._try(look)

    def open(self, url: str) -> dict[str, Any]:
        """Close what is open, and use another store from here on."""
        closed = self.close()
        self.url = url
        return closed

    def close(self) -> dict[str, Any]:
        """Close the store."""
        manager, self._manager = self._manager, None
        try:
            if manager:
                manager.close()
        except IdempotencyError as error:
            return described(error)
        return {}

    def fill(self, path: str) -> dict[str, Any]:
        """Write a file until the disk is full."""
        size = 1 << 16
        with Path(path).open("ab", buffering=0) as file:
            while size:
                try:
                    file.write(b"f" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        return {}

    def free(self, path: str) -> dict[str, Any]:
        """Remove a file."""
        Path(path).unlink()
        return {}

    def limit(self, size: int) -> dict[str, Any]:
        """Let no file grow beyond this size; -1 lifts the limit."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))
        return {}

    def serve(self) -> None:
        """Do what is asked, line by line, until `go` or the end."""
        for line in sys.stdin:
            asked = json.loads(line)
            do = asked.pop("do")
            if do == "go":
                return
            say(getattr(self, do)(**asked))

    def _try(self, call: Any) -> dict[str, Any]:
        try:
            if self._manager is None:
                self._manager = IdempotencyManager(self.url, lease=self.lease, wait_timeout="2s", store_params=True)
            return {"result": call(self._manager)}
        except IdempotencyError as error:
            return described(error)


def described(error: IdempotencyError) -> dict[str, Any]:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return {"error": kinds[0], "kinds": kinds, "text": str(error), "carried": getattr(error, "result", None)}


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Child:
    """The parent's side of such a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer."""
        self.send(do, **arguments)
        return self.read()

    def send(self, do: str, **arguments: Any) -> Self:
        """Ask for something."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        return self

    def read(self) -> dict[str, Any]:
        """Wait for the answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the child ended with {self.process.wait(10)}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Let it close its store and end."""
        self("close")
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(20) == 0


@contextlib.contextmanager
def user(url: str, *wrapper: str, lease: float = LEASE_SECONDS) -> Iterator[Child]:
    """Start a user of a store, perhaps by another command; kill it at the end.

    The superuser's right to ignore permissions is taken from it, so that they mean the same for everybody.
    """
    command = [*wrapper, sys.executable, "-m", "tests.integration.store_user", url, str(lease)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_obey_permissions,  # noqa: PLW1509 - it calls the system and nothing else
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def _obey_permissions() -> None:
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


if __name__ == "__main__":
    User(sys.argv[1], float(sys.argv[2])).serve()
