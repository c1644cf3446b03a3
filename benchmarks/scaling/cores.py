"""What a claim, a completion, a duplicate call and a removal take of an engine's processor."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from benchmarks._report import Facts
from benchmarks.peers.on_disk import CROWD
from idempotency_manager import IdempotencyManager
from servers import RedisServer

from .subjects import IN_PROCESS, MEMORY, POSTGRES, REDIS, SETTINGS, SQLITE, Subject, running
from .work import Claims, call_all, guarded, open_manager

OPERATIONS, QUICK_OPERATIONS = 4_000, 500
SHORT = timedelta(seconds=5)
"""How long records live whose removal is measured: longer than it takes to make them."""

BEHIND_S = 0.5
"""Attempts and counters are written a little later: this much later they were."""

CLAIM, COMPLETE, DUPLICATE, REMOVE = "claim", "complete", "duplicate", "remove"
VERBS = (CLAIM, COMPLETE, DUPLICATE, REMOVE)
TASKS = (1, CROWD)
NS_PER_US = 1e3

CAPTION = (
    "Microseconds of processor time for each of {operations:,} operations, one after the other from one task and from "
    "{crowd} tasks at once, and what one core could do of them in a second if it did nothing else. Redis, PostgreSQL: "
    "of the server with all its processes and threads (/proc/PID/task/*/schedstat), the system's work for it included; "
    "the caller's own time is not in it, and stands beside. memory, SQLite: of the process that calls, the interpreter "
    "included, as the engine is a part of it. Removal: Redis removes expired records itself; elsewhere "
    "cleanup_expired does. The last column is what the one caller here got in a second, sharing the machine's cores "
    "and its disk with the engine. Settings: {settings}."
)


@dataclass(frozen=True, slots=True)
class Costs:
    """Nanoseconds of processor time for each operation.

    Attributes:
        engine: Which engine.
        tasks: How many tasks called at once.
        of_engine: The engine's, by operation.
        of_caller: The caller's, by operation; nothing where the engine is a part of it.
        elapsed: How long each took by the clock on the wall, its share of many at once, by operation.
    """

    engine: str
    tasks: int
    of_engine: dict[str, float] = field(default_factory=dict)
    of_caller: dict[str, float] = field(default_factory=dict)
    elapsed: dict[str, float] = field(default_factory=dict)


def measure(*, quick: bool) -> list[Costs]:
    """Has each engine work, for one task and for many."""
    operations = QUICK_OPERATIONS if quick else OPERATIONS
    found = []
    for name in (MEMORY, SQLITE, REDIS, POSTGRES):
        with running(name) as subject, asyncio.Runner() as runner:
            found += [_costs(subject, runner, tasks, operations) for tasks in TASKS]
    return found


def table(found: list[Costs], *, quick: bool) -> Facts:
    """What was found, in words."""
    rows = tuple(_row(one, verb) for one in found for verb in VERBS)
    settings = "; ".join(f"{name}: {setting}" for name, setting in SETTINGS.items())
    caption = CAPTION.format(operations=QUICK_OPERATIONS if quick else OPERATIONS, crowd=CROWD, settings=settings)
    columns = (
        "engine",
        "tasks",
        "operation",
        "µs of a core",
        "a second, each core",
        "µs of the caller",
        "a second here",
    )
    return Facts("A core's operations", caption, columns, rows)


def _row(costs: Costs, verb: str) -> tuple[str, ...]:
    spent = costs.of_engine[verb]
    beside = f"{costs.of_caller[verb] / NS_PER_US:.1f}" if verb in costs.of_caller else ""
    here = f"{1e9 / costs.elapsed[verb]:,.0f}" if verb in costs.elapsed else ""
    return (costs.engine, str(costs.tasks), verb, f"{spent / NS_PER_US:.1f}", f"{1e9 / spent:,.0f}", beside, here)


_STARTS: Iterator[int] = iter(range(0, 10**8, 10**6))
"""Of the numbers of the actions of each measurement."""


def _costs(subject: Subject, runner: asyncio.Runner, tasks: int, operations: int) -> Costs:
    costs = Costs(subject.name, tasks)
    start = next(_STARTS)
    numbers, warming = range(start, start + operations), range(start + operations, start + operations + CROWD)
    with open_manager(subject.url) as manager:
        later, claims = guarded(manager), Claims(manager, tasks)
        runner.run(call_all(later, warming, CROWD))
        works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            CLAIM: lambda: claims.claim(numbers),
            COMPLETE: claims.complete,
            DUPLICATE: lambda: call_all(later, numbers, tasks),
        }
        for verb, work in works.items():
            before, mine, since = subject.spent(), time.process_time_ns(), time.perf_counter_ns()
            runner.run(work())
            costs.elapsed[verb] = (time.perf_counter_ns() - since) / operations
            time.sleep(BEHIND_S)
            costs.of_engine[verb] = (subject.spent() - before) / operations
            if subject.name not in IN_PROCESS:
                costs.of_caller[verb] = (time.process_time_ns() - mine) / operations
    costs.of_engine[REMOVE] = _removal(subject, runner, operations)
    return costs


def _removal(subject: Subject, runner: asyncio.Runner, operations: int) -> float:
    """Makes records that expire soon, and measures what it costs that they go, beyond what doing nothing costs."""
    start = next(_STARTS)
    with open_manager(subject.url, lease=SHORT, default_ttl=SHORT) as manager:
        end = time.monotonic() + SHORT.total_seconds()
        runner.run(call_all(guarded(manager), range(start, start + operations), CROWD))
        if subject.name != REDIS:
            time.sleep(max(0.0, end - time.monotonic()) + SHORT.total_seconds())
        assert time.monotonic() < end or subject.name != REDIS, "some are gone before their removal is measured"
        before, since = subject.spent(), time.monotonic()
        _remove(subject.server, manager, operations)
        spent, took = subject.spent() - before, time.monotonic() - since
        before = subject.spent()
        time.sleep(took)
        return max(0, spent - (subject.spent() - before)) / operations


def _remove(server: object, manager: IdempotencyManager, operations: int) -> None:
    if not isinstance(server, RedisServer):
        assert manager.cleanup_expired() >= operations
        return
    with server.connect() as connection:
        living = int(str(connection.command("DBSIZE"))) - operations
        while int(str(connection.command("DBSIZE"))) > living:
            time.sleep(BEHIND_S)
