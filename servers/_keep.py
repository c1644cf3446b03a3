"""The starter's end of the line to its keeper (see `_keeper`), which is started with the first thing to keep."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal

from servers import _keeper

Kept = Literal["process", "folder"]


class _Line:
    def __init__(self) -> None:
        self._starter = os.getpid()
        self._process = subprocess.Popen(  # noqa: S603 - a file of this package
            [sys.executable, "-I", "-S", str(Path(_keeper.__file__)), str(self._starter)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the starter
        )
        atexit.register(self._end)

    @property
    def is_own(self) -> bool:
        return self._starter == os.getpid()

    def say(self, text: str) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            stdin.write(os.fsencode(f"{text}\n"))
            stdin.flush()

    def _end(self) -> None:
        if self.is_own:
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()


_lock = threading.Lock()
_lines: list[_Line] = []


def keep(what: Kept, name: object) -> None:
    """Have this ended or removed when this process is gone."""
    _say(f"+{what} {name}")


def forget(what: Kept, name: object) -> None:
    """Have this left alone: it is gone."""
    _say(f"-{what} {name}")


def _say(text: str) -> None:
    with _lock:
        if not _lines or not _lines[-1].is_own:
            _lines[:] = [_Line()]
        with contextlib.suppress(BrokenPipeError):  # somebody ended the keeper: what is ended in order still is
            _lines[-1].say(text)
