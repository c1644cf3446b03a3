"""Topic 5: memory for each remembered call.

Run as a module with a peer's name and a number of entries, it prints the bytes that the process grew by.
"""

import gc
import os
import sys
from itertools import islice
from pathlib import Path
from statistics import median

from ._fresh import number_from
from ._measure import Options
from ._report import Row, Table, Target
from .peers import MODULES, POWERTOOLS, THIS, load
from .workload import call_each, create_card, distinct

SMALL, LARGE = 100_000, 1_000_000
LIMIT = Target(350, "B")
WARM = 1_000
MOST_ROUNDS = 3

CAPTION = (
    "Growth of the resident memory (/proc/self/statm) of a new process while it makes so many different calls, "
    "divided by their number: keys, results, indexes, the spare room of growing tables, all of it; measured after "
    "1,000 warming calls and a collection. Arguments are made for each call and dropped; the caches that key on "
    "them (lru_cache, cachebox, moka, theine) keep them alive, and that counts. theine and moka can't be without a "
    "bound; theirs is two million. Median of {rounds} for the smaller size; one for the larger, without "
    "Powertools, which is slow."
)


def run(options: Options) -> list[Table]:
    """Fills each contender's cache in a process of its own."""
    rounds = 1 if options.quick else min(options.rounds, MOST_ROUNDS)
    rows = _rows(SMALL, rounds)
    if not options.quick:
        rows += _rows(LARGE, 1)
    columns = ("bytes per entry",)
    return [Table("5  Memory", CAPTION.format(rounds=rounds), columns, "this package ÷ it", tuple(rows))]


def _rows(entries: int, rounds: int) -> list[Row]:
    names = [name for name in MODULES if name != POWERTOOLS or entries == SMALL]
    grown: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            grown[name].append(number_from("-m", __spec__.name, name, str(entries)) / entries)
    mine = median(grown[THIS])
    return [_row(f"{entries:,} entries", name, median(grown[name]), mine) for name in names]


def _row(case: str, name: str, size: float, mine: float) -> Row:
    cells, numbers = (f"{size:,.0f}",), {"bytes": size}
    if name == THIS:
        return Row(case, name, cells, numbers=numbers).bounded(LIMIT, size)
    return Row(case, name, cells, mine / size, numbers=numbers)


def growth(name: str, entries: int) -> int:
    """The bytes that this process grows by while the peer of that name remembers so many calls."""
    guarded = load(name).decorate(create_card)
    call_each(guarded, islice(distinct(), WARM))
    gc.collect()
    before = resident_bytes()
    call_each(guarded, islice(distinct(WARM), entries))
    gc.collect()
    return resident_bytes() - before


def resident_bytes() -> int:
    """The resident memory of this process; needs Linux."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.stdout.write(f"{growth(sys.argv[1], int(sys.argv[2]))}\n")
