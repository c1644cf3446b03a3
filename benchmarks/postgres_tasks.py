"""Topic 16: 64 asyncio tasks, the records on a PostgreSQL."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from ._measure import Options, Samples, interleave
from ._remote import DUPLICATE, FIRST, Tasks, entry, hot, settle
from ._report import Table, Target
from ._servers import POSTGRES_IS, postgres_server
from .peers import psycopg_commands as psycopg
from .peers.on_disk import CROWD, THIS, Guarded
from .peers.on_server import connector
from .redis_tasks import QUICKER, row

SELECT, PAIR = "psycopg async, SELECT", "psycopg async, INSERT and UPDATE"
POOL = 10
"""Connections of either pool: what this package has if it is told nothing."""

CALLS, FIRST_CALLS = 50 * CROWD, 20 * CROWD
NAMES = {DUPLICATE: (THIS, SELECT), FIRST: (THIS, PAIR)}
BOUNDS: dict[str, dict[str, Target]] = {DUPLICATE: {}, FIRST: {PAIR: Target(1.5, at_least=True)}}

CAPTION = (
    "{crowd} asyncio tasks in one event loop, the work of topic 15 ({durable}), {calls:,} duplicate calls a round and "
    "{first:,} first calls; {pool} connections for this package, and {pool} in psycopg's pool. The ratio is this "
    "package's calls per second divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Races the duplicate calls, then the first calls."""
    less = QUICKER if options.quick else 1
    calls, first = CALLS // less, FIRST_CALLS // less
    with (
        postgres_server() as server,
        connector(THIS)(f"{server.url}?pool_size={POOL}") as guarded,
        asyncio.Runner() as runner,
    ):
        settle(guarded)
        with psycopg.connected(server.url) as connection:
            psycopg.fill(connection, map(entry, hot()))
        samples = _race(server.url, Tasks(runner), guarded, (calls, first), options)
    rows = tuple(
        row(case, name, samples[case], BOUNDS[case].get(name)) for case, names in NAMES.items() for name in names
    )
    caption = CAPTION.format(crowd=CROWD, durable=POSTGRES_IS, calls=calls, first=first, pool=POOL)
    return [Table(f"16  {CROWD} tasks, PostgreSQL", caption, ("calls/s", "fastest round"), "this package ÷ it", rows)]


def _race(
    url: str, tasks: Tasks, guarded: Guarded, calls: tuple[int, int], options: Options
) -> dict[str, dict[str, Samples]]:
    opened = AsyncExitStack()
    pool = tasks.run(opened.enter_async_context(psycopg.connected_later(url, POOL)))
    looked, first = calls
    try:
        return {
            DUPLICATE: interleave(
                [
                    tasks.duplicates(THIS, guarded, looked),
                    tasks.looks(SELECT, partial(psycopg.look_later, pool), looked),
                ],
                options,
            ),
            FIRST: interleave(
                [
                    tasks.first_calls(THIS, guarded, first),
                    tasks.writes(PAIR, partial(psycopg.first_later, pool), first),
                ],
                options,
            ),
        }
    finally:
        tasks.run(opened.aclose())
