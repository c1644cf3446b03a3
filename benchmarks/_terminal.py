"""A program at a terminal of its own: when it shows something, and what processor time it takes from then on."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROWS, COLUMNS = 40, 130
PATIENCE_S = 60.0
NS_PER_S = 1_000_000_000
_UTIME, _STIME = 11, 12
"""Of /proc/PID/stat, counted from what follows the program's name."""


class Terminal:
    """What a running program has shown, and what it has cost."""

    def __init__(self, process: int, end: int) -> None:
        """A process, and the other end of its terminal."""
        self._process, self._end = process, end

    def read_until(self, text: bytes) -> None:
        """Reads what is shown until it holds a text."""
        shown = b""
        while text not in shown:
            shown += self._read(PATIENCE_S)

    def read_for(self, seconds: float) -> None:
        """Reads what is shown, so that the program never waits for its reader."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._end], [], [], left)[0]:
                self._read(left)

    def cpu_ns(self) -> int:
        """Processor time of all its threads so far; Linux counts in hundredths of a second."""
        stat = Path(f"/proc/{self._process}/stat").read_text(encoding="ascii", errors="replace")
        fields = stat.rpartition(")")[2].split()
        ticks = int(fields[_UTIME]) + int(fields[_STIME])
        return ticks * NS_PER_S // os.sysconf("SC_CLK_TCK")

    def type(self, text: bytes) -> None:
        """Types."""
        os.write(self._end, text)

    def _read(self, patience: float) -> bytes:
        if not select.select([self._end], [], [], patience)[0]:
            message = f"the program has shown nothing for {patience:g} s"
            raise RuntimeError(message)
        return os.read(self._end, 65_536)


@contextmanager
def at_terminal(*arguments: str) -> Iterator[Terminal]:
    """Runs this interpreter anew at a terminal, until the block ends; a `q` is its end."""
    process, end = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - this interpreter, with arguments of ours
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    terminal = Terminal(process, end)
    try:
        yield terminal
        terminal.type(b"q")
    finally:
        _drain(end)
        os.close(end)
        os.waitpid(process, 0)


def _drain(end: int) -> None:
    try:
        while os.read(end, 65_536):
            pass
    except OSError:  # how Linux says that the other side is closed
        pass
