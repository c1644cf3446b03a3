"""The processor time of a server: of its process, its threads and all the processes it has started. Needs Linux."""

import os
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
PARENT, CHILDREN_USER, CHILDREN_SYSTEM = 1, 13, 14
"""Fields of /proc/PID/stat, counted from the one after the name."""


def spent_by(process: int) -> int:
    """Nanoseconds so far, of a process and its descendants, those that have ended included."""
    return sum(map(_running, _family(process))) + _ended(process)


def _family(process: int) -> list[int]:
    parents = {}
    for folder in PROC.iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            if folder.name.isdecimal():
                parents[int(folder.name)] = int(_stat(int(folder.name))[PARENT])
    family = [process]
    for member in family:  # it grows while it is walked
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _running(process: int) -> int:
    spent = 0
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in (PROC / str(process) / "task").iterdir():
            spent += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return spent


def _ended(process: int) -> int:
    stat = _stat(process)
    ticks = int(stat[CHILDREN_USER]) + int(stat[CHILDREN_SYSTEM])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _stat(process: int) -> list[str]:
    return (PROC / str(process) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
