"""Topic 14: 64 asyncio tasks, the records on a Redis; and what the server itself can serve."""

import asyncio
import subprocess
from contextlib import AsyncExitStack, ExitStack
from functools import partial

from servers import RedisServer

from ._measure import Contender, Options, OwnTime, Samples, interleave, median, ratio
from ._remote import DUPLICATE, FIRST, Tasks, entry, hot, settle
from ._report import Row, Table, Target
from ._servers import REDIS_IS, redis_server
from .peers import redis_commands as redis_py
from .peers.on_disk import CROWD, ONCE, THIS, Guarded
from .peers.on_server import connector

GUARDS = (THIS, ONCE)
GET, PAIR = "redis-py asyncio, GET", "redis-py asyncio, SET NX and SET"
CEILING = f"redis-benchmark -c {CROWD}, GET"
CALLS, FIRST_CALLS = 100 * CROWD, 30 * CROWD
CEILING_CALLS = 100_000
QUICKER = 10

NAMES = {DUPLICATE: (THIS, GET, CEILING, ONCE), FIRST: (THIS, PAIR, ONCE)}
BOUNDS = {
    DUPLICATE: {GET: Target(3, at_least=True), CEILING: Target(0.35, at_least=True)},
    FIRST: {PAIR: Target(3, at_least=True)},
}

CAPTION = (
    "{crowd} asyncio tasks in one event loop, one call after the other in each; the same server as in topic 13 "
    "({durable}), the same work, {calls:,} duplicate calls a round and {first:,} first calls. This package has one "
    "connection, no local copies. redis-py has its pool, as many connections as tasks (with one it is slower), has "
    "its keys and encoded results at hand, and decodes nothing. redis-benchmark is a C program without a guard or an "
    "interpreter, with {crowd} connections and its own clock: GET of {hot:,} records of the same size. It and the "
    "server share this machine's cores, as the others and the server do. The ratio is this package's calls per "
    "second divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Races the duplicate calls, then the first calls."""
    less = QUICKER if options.quick else 1
    with redis_server() as server, ExitStack() as stack, asyncio.Runner() as runner:
        guards = {name: stack.enter_context(connector(name)(server.url)) for name in GUARDS}
        for guarded in guards.values():
            settle(guarded)
        fill(server.url)
        samples = _race(server, Tasks(runner), guards, less, options)
    rows = tuple(
        row(case, name, samples[case], BOUNDS[case].get(name)) for case, names in NAMES.items() for name in names
    )
    caption = CAPTION.format(
        durable=REDIS_IS, crowd=CROWD, calls=CALLS // less, first=FIRST_CALLS // less, hot=len(hot())
    )
    columns = ("calls/s", "fastest round")
    return [Table(f"14  {CROWD} tasks, Redis", caption, columns, "this package ÷ it", rows)]


def row(case: str, name: str, samples: dict[str, Samples], target: Target | None) -> Row:
    """A row of calls per second."""
    middle, least = median(samples[name]), min(samples[name])
    mine = Row(case, name, (f"{1e9 / middle:,.0f}", f"{1e9 / least:,.0f}"), numbers={"ns": middle, "ns_min": least})
    if name == THIS:
        return mine
    times = ratio(samples[name], samples[THIS])
    compared = Row(case, name, mine.cells, times, numbers=mine.numbers)
    return compared.bounded(target, times) if target else compared


def _race(
    server: RedisServer, tasks: Tasks, guards: dict[str, Guarded], less: int, options: Options
) -> dict[str, dict[str, Samples]]:
    opened = AsyncExitStack()
    client = tasks.run(opened.enter_async_context(redis_py.connected_later(server.url)))
    calls, first = CALLS // less, FIRST_CALLS // less
    looked = [tasks.duplicates(name, guarded, calls) for name, guarded in guards.items()]
    looked += [tasks.looks(GET, partial(redis_py.look_later, client), calls), _ceiling(server, CEILING_CALLS // less)]
    written = [tasks.first_calls(name, guarded, first) for name, guarded in guards.items()]
    written += [tasks.writes(PAIR, partial(redis_py.first_later, client), first)]
    try:
        return {DUPLICATE: interleave(looked, options), FIRST: interleave(written, options)}
    finally:
        tasks.run(opened.aclose())


def fill(url: str) -> None:
    """Makes the records that are looked at, by redis-py and by redis-benchmark."""
    entries = list(map(entry, hot()))
    with redis_py.connected(url) as client:
        redis_py.fill(client, entries)
        for number, one in enumerate(entries):
            client.set(f"{NUMBERED}{number:012d}", one.result)


NUMBERED = "numbered:"


def _ceiling(server: RedisServer, calls: int) -> Contender:
    where = ["-h", server.host, "-p", str(server.port)]
    how = ["-c", str(CROWD), "-n", str(calls), "-r", str(len(hot())), "--csv"]
    return Contender(
        CEILING, lambda: lambda _calls: _served([*where, *how, "GET", f"{NUMBERED}__rand_int__"], calls), calls
    )


def _served(arguments: list[str], calls: int) -> OwnTime:
    answer = subprocess.run(["redis-benchmark", *arguments], check=True, capture_output=True, text=True).stdout  # noqa: S603, S607 - the server's own tool, from where the server comes
    per_second = float(answer.splitlines()[-1].split('"')[3])
    return OwnTime(calls / per_second * 1e9)
