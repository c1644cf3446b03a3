"""Running a command as a child: its streams moved, the signals that are meant for it passed on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._capture import Pump, Stream
from ._exit import CANNOT_RUN, KILLED, NO_SUCH_COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class CannotRunError(Exception):
    """The command was not started: nothing has happened."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        """Say why."""
        return self.message


class SignalRelay:
    """Takes the signals that would end this process and passes them on to the child, whose end then decides.

    What comes before there is a child keeps it from being started. What comes after its end is too late: the
    outcome is known, and only needs to be recorded.
    """

    def __init__(self) -> None:
        """Take nothing yet: until the action is claimed, a signal ends this process as any other."""
        self.taken: list[int] = []
        self._before: dict[int, Any] = {}
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Take signals from here on, but for those that are ignored already, as by nohup."""
        for number in _PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._take)

    def stop(self) -> None:
        """Put back what was."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def attach(self, child: subprocess.Popen[bytes]) -> None:
        """Pass on to this child what has come, and what comes."""
        self._child = child
        for number in self.taken:
            self._pass_on(number)

    def _take(self, number: int, _frame: object) -> None:
        self.taken.append(number)
        if self._child is not None:
            self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        if self._child is None or (number in _FROM_TERMINAL and _in_foreground()):
            return  # the terminal has sent it to the child too, and a second Ctrl-C often means more than one
        with suppress(ProcessLookupError):
            self._child.send_signal(number)


def _in_foreground() -> bool:
    """Tell whether Ctrl-C at the terminal reaches this process, and so its child."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def check_program(command: Sequence[str]) -> None:
    """Find the program before anything is claimed to be under way.

    Raises:
        CannotRunError: There is none.
    """
    program = command[0]
    if not shutil.which(program):
        if os.sep in program and Path(program).exists():
            raise CannotRunError(f"{program} can't be executed", CANNOT_RUN)
        raise CannotRunError(f"there is no command {program}", NO_SUCH_COMMAND)


def run_child(command: Sequence[str], environ: Mapping[str, str], relay: SignalRelay, out: Stream, err: Stream) -> int:
    """Run a command to its end, without a shell.

    Args:
        command: Its words.
        environ: Its environment.
        relay: What passes signals on to it.
        out: Where its stdout goes; the source is set here.
        err: Where its stderr goes.

    Returns:
        Its exit code, or the number of the signal that ended it, negative.

    Raises:
        CannotRunError: It could not be started.
    """
    if relay.taken:
        name = signal.Signals(relay.taken[0]).name
        raise CannotRunError(f"{name} came before the command was started", KILLED + relay.taken[0])
    try:
        child = subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, bufsize=0)  # noqa: S603 - words, no shell
    except FileNotFoundError as problem:
        raise CannotRunError(f"there is no command {command[0]}: {problem.strerror}", NO_SUCH_COMMAND) from None
    except OSError as problem:
        raise CannotRunError(f"{command[0]} can't be executed: {problem.strerror}", CANNOT_RUN) from None
    relay.attach(child)
    if child.stdout is None or child.stderr is None:
        raise AssertionError("asked for pipes")
    with child.stdout, child.stderr:
        out.source, err.source = child.stdout.fileno(), child.stderr.fileno()
        pump = Pump(out, err)
        code = child.wait()
        pump.finish()
    return code
