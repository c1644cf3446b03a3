"""Outlives the process that started servers, however that one ends, and ends them then.

A program of its own: `python _keeper.py STARTER`. It is told on stdin what there is, a line for each thing:
`+process PID SIGNAL`, `-process PID SIGNAL`, `+folder PATH`, `-folder PATH`. When stdin ends, or its parent is another
than the starter (a fork of which may hold stdin open), it ends the processes and removes the folders that are left.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

_LOOK_EVERY_SECONDS = 0.5
_REMOVE_WITHIN_SECONDS = 3.0
_END_WITHIN_SECONDS = 3.0


def descendants(process: int) -> list[int]:
    """Give the processes that a process started, and those that they started."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # The second field is the program's name in parentheses, and may hold anything.
            parent = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry.parent.name))
    found, to_visit = [], [process]
    while to_visit:
        children = parents.get(to_visit.pop(), [])
        found += children
        to_visit += children
    return found


def send(processes: list[int], number: signal.Signals) -> None:
    """Send a signal to each of these processes that is still there."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def kill(process: int) -> None:
    """Kill a process and all that it started, and wait until those are gone: what they hold is free then."""
    send([process], signal.SIGSTOP)  # it starts no more of them
    started = descendants(process)
    send([process, *started], signal.SIGKILL)
    end = time.monotonic() + _REMOVE_WITHIN_SECONDS
    while any(map(_runs, started)) and time.monotonic() < end:
        time.sleep(0.001)


def _runs(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def end(process: int, number: signal.Signals) -> None:
    """End a process at once: with a signal that lets it give back what the system would not, or it is killed."""
    if number is not signal.SIGKILL:
        send([process, *descendants(process)], signal.SIGCONT)  # one that is stopped hears nothing
        send([process], number)
        patience = time.monotonic() + _END_WITHIN_SECONDS
        while _is_there(process) and time.monotonic() < patience:
            time.sleep(0.002)
    if _is_there(process):
        kill(process)


def _is_there(process: int) -> bool:
    """Tell whether a process is there, and not dead and waiting to be buried."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def remove(folder: str) -> None:
    """Remove a folder in which processes that were just killed may still be writing."""
    end = time.monotonic() + _REMOVE_WITHIN_SECONDS
    shutil.rmtree(folder, ignore_errors=True)
    while Path(folder).exists() and time.monotonic() < end:
        time.sleep(0.02)
        shutil.rmtree(folder, ignore_errors=True)


def _hear(starter: int) -> dict[str, set[str]]:
    kept: dict[str, set[str]] = {"process": set(), "folder": set()}
    rest = b""
    while True:
        orphaned = os.getppid() != starter  # asked first: what it still said is read below
        if select.select([0], [], [], 0 if orphaned else _LOOK_EVERY_SECONDS)[0]:
            heard = os.read(0, 65_536)
            *lines, rest = (rest + heard).split(b"\n")
            for line in lines:
                what, _, name = os.fsdecode(line[1:]).partition(" ")
                (kept[what].add if line.startswith(b"+") else kept[what].discard)(name)
            if not heard:
                return kept
        elif orphaned:
            return kept


def _main() -> None:
    kept = _hear(int(sys.argv[1]))
    for process in kept["process"]:
        number, _, how = process.partition(" ")
        end(int(number), signal.Signals(int(how)))
    for folder in kept["folder"]:
        remove(folder)


if __name__ == "__main__":
    _main()
