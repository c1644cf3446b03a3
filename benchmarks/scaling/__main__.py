"""Prints every figure of docs/scaling.md: `python -m benchmarks.scaling` from the root of the repository.

It takes some minutes; `--quick` is rough, to see that it runs.
"""

import argparse
import logging
import platform
import sys
from collections.abc import Iterator, Sequence
from os import cpu_count

from rich.console import Console

from benchmarks._report import Facts, show

from . import cores, kept, needs, slots


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, reckons and prints."""
    parser = argparse.ArgumentParser("python -m benchmarks.scaling", description="How far each engine goes.")
    parser.add_argument("--quick", action="store_true", help="few records: does it run at all?")
    quick: bool = parser.parse_args(arguments).quick
    logging.getLogger("idempotency_manager").addHandler(logging.NullHandler())
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(f"Python {platform.python_version()}, {platform.machine()}, {cpu_count()} cores\n", highlight=False)
    for answer in _answers(quick=quick):
        show(console, answer)
    return 0


def _answers(*, quick: bool) -> Iterator[Facts]:
    yield slots.table(slots.measure(quick=quick), quick=quick)
    room = kept.measure(quick=quick)
    yield kept.table(room, quick=quick)
    spent = cores.measure(quick=quick)
    yield cores.table(spent, quick=quick)
    yield from needs.tables(needs.engines(room, spent))


if __name__ == "__main__":
    sys.exit(main())
