"""What so many records a day need, by arithmetic on what was measured. Every step is printed."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from benchmarks._report import Facts
from benchmarks.peers.on_disk import CROWD

from .cores import CLAIM, COMPLETE, DUPLICATE, NS_PER_US, REMOVE, Costs
from .kept import SHORT, Kept
from .subjects import POSTGRES, REDIS, SQLITE

LOADS = (1_000_000, 100_000_000, 10_000_000_000)
DAY_S = 86_400
PEAK = 5
"""The busiest second of a day has so many times the mean."""

BUSY = 0.5
"""How much of a core may be busy in that second."""

DUPLICATES = 1
"""Duplicate calls for each record: a queue that delivers everything twice."""

NODE_BYTES = 32 * 10**9
"""Records on one node of Redis: half of a machine with 64 GB, as a rewrite of its file may need as much again."""

GB, MB = 1e9, 1e6

CAPTION = (
    "Assumed: records live for a day (the default), so as many are there as come in a day; {duplicates} duplicate call "
    "for each; the busiest second has {peak} times the mean; no core more than {busy:.0%} busy then; {node:.0f} GB of "
    "records on a node of Redis; results of {short} B. The rest is measured (above, from {crowd} tasks). Cores are the "
    "engine's; a replica of each node doubles machines, not cores. Whoever assumes something else has the "
    "arithmetic below."
)


@dataclass(frozen=True, slots=True)
class Engine:
    """What was measured of an engine, for a record in its whole life."""

    kept: Kept
    costs: Costs

    @property
    def name(self) -> str:
        """Which engine."""
        return self.kept.engine

    @property
    def core_us(self) -> float:
        """Microseconds of a core for a record: claim, completion, removal, and its duplicate calls."""
        spent = self.costs.of_engine
        once = spent[CLAIM] + spent[COMPLETE] + spent[REMOVE]
        return (once + DUPLICATES * spent[DUPLICATE]) / NS_PER_US

    def cores(self, records: int) -> float:
        """Cores for so many records a day, in the busiest second, with room."""
        return records / DAY_S * PEAK * self.core_us / 1e6 / BUSY

    def room(self, records: int) -> float:
        """Bytes for so many living records."""
        return records * self.kept.kept

    def written(self, records: int) -> float:
        """Bytes a second that so many records a day make it write to its log, on average."""
        return records / DAY_S * (self.kept.written or 0)

    def a_day(self) -> float:
        """Records a day that one core can serve."""
        return BUSY * 1e6 / self.core_us / PEAK * DAY_S

    @property
    def here(self) -> float:
        """First calls a second that one process got here, the disk included."""
        return 1e9 / (self.costs.elapsed[CLAIM] + self.costs.elapsed[COMPLETE])


def engines(kept: list[Kept], costs: list[Costs]) -> list[Engine]:
    """The durable engines, with short results and many tasks."""
    return [
        Engine(
            next(one for one in kept if one.engine == name and one.result == SHORT),
            next(one for one in costs if one.engine == name and one.tasks == CROWD),
        )
        for name in (SQLITE, REDIS, POSTGRES)
    ]


def tables(measured: list[Engine]) -> list[Facts]:
    """What each load needs, the arithmetic, and where one core ends."""
    caption = CAPTION.format(
        duplicates=DUPLICATES, peak=PEAK, busy=BUSY, node=NODE_BYTES / GB, short=SHORT, crowd=CROWD
    )
    columns = ("records a day", "engine", "first calls/s, mean and peak", "cores", "room", "log, MB/s", "nodes")
    rows = tuple(_row(load, engine) for load in LOADS for engine in measured)
    steps = tuple((step,) for engine in measured for step in _steps(engine))
    return [
        Facts("What so many records a day need", caption, columns, rows),
        Facts("The arithmetic", "For 100,000,000 records a day; the other loads in proportion.", ("",), steps),
    ]


def _row(load: int, engine: Engine) -> tuple[str, ...]:
    rate = load / DAY_S
    return (
        f"{load:,}",
        engine.name,
        f"{rate:,.0f}, {rate * PEAK:,.0f}",
        f"{engine.cores(load):,.2f}",
        _bytes(engine.room(load)),
        f"{engine.written(load) / MB:,.2f}" if engine.kept.written else "",
        f"{_nodes(load, engine):,}" if engine.name == REDIS else "",
    )


def _nodes(load: int, engine: Engine) -> int:
    return max(ceil(engine.cores(load)), ceil(engine.room(load) / NODE_BYTES))


def _steps(engine: Engine) -> Iterator[str]:
    load = LOADS[1]
    spent = {verb: ns / NS_PER_US for verb, ns in engine.costs.of_engine.items()}
    rate = load / DAY_S
    yield (
        f"{engine.name}: {spent[CLAIM]:.1f} µs (claim) + {spent[COMPLETE]:.1f} µs (complete) + {spent[REMOVE]:.1f} µs "
        f"(remove) + {DUPLICATES} x {spent[DUPLICATE]:.1f} µs (duplicate) = {engine.core_us:.1f} µs of a core a record"
    )
    yield (
        f"{load:,} / {DAY_S:,} s = {rate:,.0f}/s; x {PEAK} = {rate * PEAK:,.0f}/s; x {engine.core_us:.1f} µs = "
        f"{rate * PEAK * engine.core_us / 1e6:.3f} cores; / {BUSY} = {engine.cores(load):.2f} cores"
    )
    yield f"{load:,} x {engine.kept.kept:,.0f} B = {_bytes(engine.room(load))}"
    if engine.kept.written:
        yield f"{rate:,.0f}/s x {engine.kept.written:,.0f} B written = {engine.written(load) / MB:,.2f} MB/s"
    if engine.name == REDIS:
        yield (
            f"{_bytes(engine.room(load))} / {NODE_BYTES / GB:.0f} GB = {engine.room(load) / NODE_BYTES:.2f} nodes by "
            f"room, {engine.cores(load):.2f} by cores, one core each: {_nodes(load, engine)}"
        )
    yield (
        f"one core: {BUSY} x 1,000,000 µs / {engine.core_us:.1f} µs / {PEAK} x {DAY_S:,} s = "
        f"{engine.a_day() / 1e6:,.0f} million records a day"
    )
    if engine.name == SQLITE:
        yield (
            f"but one after the other to one disk: {engine.here:,.0f} first calls/s here, / {PEAK} x {DAY_S:,} s = "
            f"{engine.here / PEAK * DAY_S / 1e6:,.0f} million records a day"
        )


def _bytes(count: float) -> str:
    unit, name = next(((size, name) for size, name in ((1e12, "TB"), (GB, "GB")) if count >= size), (MB, "MB"))
    return f"{count / unit:,.1f} {name}"
