"""Topic 9: what a first call costs when its record must survive."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from ._disk import file_system, folder_on_disk
from ._durable import Prepare, apart, first_calls, fresh, here
from ._measure import Batch, Contender, Options, interleave
from ._report import Table, Target, timed
from .peers.on_disk import BY_HAND, DBOS, DISKCACHE, FULL, NORMAL, ONCE, THIS, opener

LIMIT = "two appends, fdatasync each"
CALLS, SLOW_CALLS = 2_000, 40
LINE_OF_LOG = b"x" * 99 + b"\n"
LINES = {FULL: (THIS, LIMIT, BY_HAND, DISKCACHE, ONCE, DBOS), NORMAL: (THIS, BY_HAND, DISKCACHE, ONCE, DBOS)}
FASTER = {DISKCACHE: Target(1), ONCE: Target(1), DBOS: Target(1)}
BOUNDS = {FULL: {LIMIT: Target(1.5), **FASTER}, NORMAL: {BY_HAND: Target(0.8), **FASTER}}

CAPTION = (
    "{calls:,} calls a round ({slow} of DBOS), one after the other, their signals never seen before and in no order: a "
    "claim and a result, each committed before the next step, on {system}. Each contender keeps its file from round "
    "to round, so all of them grow. Checkpoints, and what else is put off for some hundred calls, come several times "
    "in a round, so their cost is in the times. The limit appends 100 bytes to a file and waits for the disk, twice a "
    "call. Hand-written is an INSERT and an UPDATE; diskcache, `add` and `set`. "
    "exactly-once has no setting for FULL, so it is set from outside; DBOS has one way of its own (FULL, a rollback "
    "journal, more commits) and stands on both lines. The ratio is this package's time divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Races the first calls of all of them, each in files of its own."""
    with folder_on_disk(options) as folder, ExitStack() as stack:
        contenders = {
            _label(name, line): _open(stack, folder, name, line) for line, names in LINES.items() for name in names
        }
        samples = interleave(list(contenders.values()), options)
        caption = CAPTION.format(calls=CALLS, slow=SLOW_CALLS, system=file_system(folder))
    rows = []
    for line, names in LINES.items():
        of_line = {name: samples[_label(name, line)] for name in names}
        rows += [timed(f"synchronous={line}", name, of_line, THIS, BOUNDS[line].get(name)) for name in names]
    columns = ("ns per call", "fastest round")
    return [Table("9  First call, SQLite", caption, columns, "this package ÷ it", tuple(rows))]


def _label(name: str, line: str) -> str:
    return name if name in (LIMIT, DBOS) else f"{name} {line}"


def _open(stack: ExitStack, folder: Path, name: str, line: str) -> Contender:
    label = _label(name, line)
    if name == LIMIT:
        return Contender(label, partial(_appends, stack.enter_context(_log(folder / "log"))), CALLS)
    place = apart if name == DBOS else here
    prepare: Prepare = stack.enter_context(place(opener(name, line), folder / label.replace(" ", "_")))
    return fresh(label, prepare, first_calls, SLOW_CALLS if name == DBOS else CALLS)


@contextmanager
def _log(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _appends(log: int) -> Batch:
    def batch(calls: int) -> None:
        for _ in range(2 * calls):
            os.write(log, LINE_OF_LOG)
            os.fdatasync(log)

    return batch
