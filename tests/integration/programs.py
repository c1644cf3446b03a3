"""Programs that share a store: each is a process of its own, told what to do line by line, and answers in JSON."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signal import Signals

ROOT = Path(__file__).parents[2]
LIMIT = 30
"""Seconds after which a program or an answer that has not come is a hang."""

PRELUDE = """
import asyncio, ctypes, json, logging, os, signal, subprocess, sys, threading, time, warnings
import idempotency_manager as im

logging.disable()
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads: that is the point
STORE = sys.argv[1]

def action(signal_id, **params):
    return {"signal_id": str(signal_id), "action": "card", "target": "trello", "params": params}

def say(value):
    sys.stdout.write(json.dumps(value) + "\\n")  # in one piece, as several processes may share the pipe
    sys.stdout.flush()

def heard():
    line = sys.stdin.readline()
    if not line:
        os._exit(3)  # the test is over
    return json.loads(line)

def fork(child):
    # Runs a function in a forked child; answers with its process id.
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        child()
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)

def join(*pids):
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0] * len(pids), codes

# A thread that fails fails the program.
threading.excepthook = lambda args: (sys.excepthook(*args[:3]), os._exit(1))
"""

LOCKER = """
import sqlite3
path = STORE.removeprefix("sqlite:///").partition("?")[0]
connection = sqlite3.connect(path, timeout=30, isolation_level=None)
while True:
    say(connection.execute(heard()).fetchall())
"""


class Program:
    """A Python program that runs `code` after the prelude, with the store's URL as `STORE`."""

    def __init__(self, code: str, store: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the program
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", PRELUDE + textwrap.dedent(code), store],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    @property
    def errors(self) -> str:
        """What it has written to its standard error."""
        self._errors.seek(0)
        return self._errors.read()

    def hear(self, within: float = LIMIT) -> Any:
        """Wait for the next thing that it says."""
        line = self._next(within)
        assert line is not None, f"it says nothing; its exit code is {self.process.poll()}: {self.errors}"
        return json.loads(line)

    def _next(self, within: float) -> str | None:
        """Wait for the next line; give nothing at the end."""
        try:
            return self._lines.get(timeout=within)
        except queue.Empty:
            message = f"it has hung for {within} s; its exit code is {self.process.poll()}: {self.errors}"
            raise AssertionError(message) from None

    def hear_all(self, within: float = LIMIT) -> list[Any]:
        """Wait for its good end; give all that it says until then."""
        said = []
        while (line := self._next(within)) is not None:
            said.append(json.loads(line))
        code = self.process.wait(within)
        assert code == 0, f"it ended with {code}: {self.errors}"
        assert "panicked" not in self.errors
        return said

    def tell(self, value: Any = None) -> None:
        """Let it go on from its next `heard()`, with this."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()

    def send(self, number: Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self, number: Signals = SIGKILL) -> None:
        """End it by a signal, and bury it."""
        self.send(number)
        assert self.process.wait(LIMIT) == -number, self.errors

    def discard(self) -> None:
        """Leave nothing of it, whatever it does."""
        self.process.kill()
        self.process.wait(LIMIT)
        self._listener.join(1)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            # What its children hold open is theirs.
            with_children = pipe is self.process.stdout and self._listener.is_alive()
            if not with_children:
                pipe.close()
        self._errors.close()


class Lock:
    """SQLite's write lock on a file, held by a program of somebody else's that does not stand in line for it."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def _execute(self, statement: str) -> None:
        self.program.tell(statement)
        assert self.program.hear() == []

    def take(self) -> None:
        """Hold the lock from now on."""
        self._execute("BEGIN IMMEDIATE")

    def leave(self) -> None:
        """Let others write."""
        self._execute("ROLLBACK")
