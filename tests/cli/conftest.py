"""The installed command, run as a user runs it, on a store that several processes share."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONCE = ("run", "--action", "backup", "--target", "s3", "--signal")


@dataclass
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one line of JSON."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def lines(self) -> list[Any]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Terminal:
    """A terminal, at which a command runs."""

    child: int
    end: int
    shown: bytes = b""

    def read_until(self, text: bytes) -> None:
        """Read what is shown, until it holds a text."""
        while text not in self.shown:
            self.shown += os.read(self.end, 1_000)

    def type(self, text: bytes) -> None:
        """Type."""
        os.write(self.end, text)

    def close(self) -> int:
        """Read to the end; answers with the exit code."""
        with suppress(OSError):  # how Linux says that the other side is closed
            while data := os.read(self.end, 1_000):
                self.shown += data
        os.close(self.end)
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


@pytest.fixture(scope="session")
def script() -> Path:
    """The console script that the installation made."""
    file = Path(sys.executable).with_name("idempotency")
    assert file.is_file(), f"the package is not installed in this environment: there is no {file}"
    return file


@pytest.fixture(params=["sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that is not there yet."""
    return {"sqlite": f"sqlite:///{tmp_path}/store.db"}[request.param]


@pytest.fixture
def environ(store: str) -> dict[str, str]:
    """The environment of a user who has named the store."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("IDEMPOTENCY_")}
    return {**clean, "IDEMPOTENCY_STORE": store}


class Commands:
    """Runs the command, to its end or beside the test."""

    def __init__(self, script: Path, environ: dict[str, str]) -> None:
        self.script = script
        self.environ = environ
        self.running: list[subprocess.Popen[bytes]] = []

    def __call__(self, *words: str | bytes, stdin: str = "", **variables: str) -> Ended:
        """Run it to its end."""
        ended = subprocess.run(
            [self.script, *words],
            input=stdin.encode(),
            capture_output=True,
            env={**self.environ, **variables},
            timeout=50,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(errors="surrogateescape"), ended.stderr.decode())

    def once(self, signal: str, *command: str | bytes, options: tuple[str, ...] = (), **variables: str) -> Ended:
        """Run a command once for a signal."""
        return self(*ONCE, signal, *options, "--", *command, **variables)

    def start(self, signal: str, *command: str, options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a command once for a signal; it ends with the test."""
        running = subprocess.Popen(
            [self.script, *ONCE, signal, *options, "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            start_new_session=True,  # no terminal: a signal comes from the test alone
        )
        self.running.append(running)
        return running

    def at_terminal(self, *words: str) -> Terminal:
        """Start it at a terminal of its own."""
        child, terminal = pty.fork()
        if child == 0:
            os.execve(self.script, ["idempotency", *words], self.environ)  # noqa: S606 - no shell is what is wanted
        return Terminal(child, terminal)

    def key(self, signal: str, *command: str) -> str:
        """The key that a command run once has."""
        asked = self("key", *ONCE[1:], signal, "--", *command)
        assert asked.code == 0, asked.err
        return asked.out.strip()


@pytest.fixture
def idempotency(script: Path, environ: dict[str, str]) -> Iterator[Commands]:
    """The command, with the store named by IDEMPOTENCY_STORE."""
    commands = Commands(script, environ)
    yield commands
    for running in commands.running:
        running.kill()
        running.wait()
        for stream in (running.stdin, running.stdout, running.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def count(tmp_path: Path) -> Callable[[], int]:
    """How often `effect` has happened."""
    return lambda: len(effects.read_text()) if (effects := tmp_path / "effects").exists() else 0


@pytest.fixture
def effect(tmp_path: Path) -> str:
    """A shell's command whose effects `count` counts."""
    return f"printf x >> {tmp_path}/effects"


def run_python(store: str, code: str, **config: object) -> str:
    """Run Python in a process of its own, where `manager` is on the store; answers with what it printed."""
    settings = "".join(f", {name}={value!r}" for name, value in config.items())
    program = (
        "from idempotency_manager import *\n"
        f"with IdempotencyManager({store!r}{settings}) as manager:\n"
        + "".join(f"    {line}\n" for line in code.splitlines())
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def python(store: str) -> Callable[..., str]:
    """Runs Python in a process of its own, where `manager` is on the store."""
    return partial(run_python, store)


@pytest.fixture(scope="session")
def three_records_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A file with a completed, a failed and a doubtful record; their keys."""
    file = tmp_path_factory.mktemp("records") / "store.db"
    lines = run_python(
        f"sqlite:///{file}",
        """
def fail(error):
    raise error
actions = [Action(f"s{number}", kind, target, {"cents": number}) for number, kind, target in
           ((1, "create_card", "trello"), (2, "post", "slack"), (3, "post", "trello"))]
manager.execute(actions[0], lambda: {"id": b"c1"}, ttl="2h")
for action, error, options in ((actions[1], KeyError("no such channel"), {"replay_errors": (KeyError,)}),
                               (actions[2], TimeoutError("lost"), {})):
    try:
        manager.execute(action, lambda: fail(error), **options)
    except Exception:
        pass
print(*map(manager.generate_key, actions), sep="\\n")
""",
        store_params=True,
    )
    return file, dict(zip(("completed", "failed", "in_doubt"), lines.split(), strict=True))


@pytest.fixture
def three_records(store: str, three_records_file: tuple[Path, dict[str, str]]) -> dict[str, str]:
    """A store with a completed, a failed and a doubtful record; their keys."""
    file, keys = three_records_file
    # All processes that had it open have ended, so all of it is in the one file.
    assert not file.with_name("store.db-wal").exists()
    shutil.copy(file, store.removeprefix("sqlite:///"))
    return keys
