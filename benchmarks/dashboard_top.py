"""Topic 17: `idempotency top` on a file with a million records beside one with ten thousand."""

from collections import defaultdict
from pathlib import Path
from time import perf_counter_ns

from idempotency_manager import Action, IdempotencyManager

from ._disk import file_system, folder_on_disk, read_through
from ._measure import Options, median, ratio
from ._report import Row, Table, Target
from ._sqlite_rows import add_rows
from ._terminal import COLUMNS, ROWS, at_terminal
from .peers.this_package import FILE

SIZES, QUICK_SIZES = (10_000, 1_000_000), (1_000, 10_000)
HOT, CALLS = 30, 4
INTERVAL_S = 0.5
REFRESHES, QUICK_REFRESHES = 40, 6
MOST_ROUNDS = 5
NS_PER_MS = 1e6

FIRST, STARTED, REFRESH = "first screen", "processor time of that", "processor time a refresh"
CASES = (FIRST, STARTED, REFRESH)
BOUNDS = {FIRST: Target(1_000, "ms"), REFRESH: Target(100, "ms")}
MAIN = "import sys; from idempotency_manager.cli import main; sys.exit(main())"
CAPTION = (
    "The real command at a terminal of {columns} by {rows}, in a process of its own. First screen: from the start of "
    "its interpreter until the numbers are drawn; the file is in the page cache of {system}. A refresh: what the "
    "process took in {refreshes} refreshes, drawing and the count of all records now and then included, for each of "
    "them. The ratio is to the smaller file."
)

Times = dict[tuple[str, str], list[float]]


def run(options: Options) -> list[Table]:
    """Fills a small and a large file, and watches both in turns."""
    sizes = QUICK_SIZES if options.quick else SIZES
    refreshes = QUICK_REFRESHES if options.quick else REFRESHES
    times: Times = defaultdict(list)
    with folder_on_disk(options) as folder:
        files = {size: _filled(folder / str(size), size) for size in sizes}
        for _ in range(1 if options.quick else min(options.rounds, MOST_ROUNDS)):
            for size, file in files.items():
                for case, spent in zip(CASES, _watch(file, refreshes), strict=True):
                    times[case, f"{size:,} records"].append(spent)
        caption = CAPTION.format(columns=COLUMNS, rows=ROWS, system=file_system(folder), refreshes=refreshes)
    rows = tuple(
        _row(case, label, times, f"{sizes[0]:,} records") for case in CASES for of, label in times if of == case
    )
    return [Table("17  idempotency top", caption, ("ms", "slowest round"), "÷ smaller", rows)]


def _filled(folder: Path, size: int) -> Path:
    folder.mkdir()
    file = folder / FILE
    with IdempotencyManager(f"sqlite:///{file}", enable_auto_cleanup=False) as manager:
        manager.stats()
    add_rows(file, range(size), expired=False)
    with IdempotencyManager(f"sqlite:///{file}", enable_auto_cleanup=False) as manager:
        for number in range(HOT):
            for _ in range(CALLS):
                manager.execute(Action(f"hot-{number}", "post", "slack"), lambda: 1)
    read_through(folder)
    return file


def _watch(file: Path, refreshes: int) -> tuple[float, float, float]:
    """Watches for so many refreshes; answers with the time of each case."""
    start = perf_counter_ns()
    words = ("top", "--store", f"sqlite:///{file}", "--interval", f"{INTERVAL_S * 1_000:.0f}ms")
    with at_terminal("-c", MAIN, *words) as terminal:
        terminal.read_until(b"% hits")  # one of the numbers, which are drawn together
        first, started = perf_counter_ns() - start, terminal.cpu_ns()
        terminal.read_for(2 * INTERVAL_S)  # what is imported late, and the first of everything
        before = terminal.cpu_ns()
        terminal.read_for(refreshes * INTERVAL_S)
        return first, started, (terminal.cpu_ns() - before) / refreshes


def _row(case: str, label: str, times: Times, smallest: str) -> Row:
    mine = times[case, label]
    middle, worst = median(mine) / NS_PER_MS, max(mine) / NS_PER_MS
    row = Row(case, label, (f"{middle:,.0f}", f"{worst:,.0f}"), numbers={"ns": median(mine), "ns_max": max(mine)})
    if label == smallest:
        return row
    row = Row(case, label, row.cells, ratio(mine, times[case, smallest]), numbers=row.numbers)
    return row.bounded(BOUNDS[case], middle) if case in BOUNDS else row
