"""Topic 15: a duplicate call and a first call from one thread, the records on a PostgreSQL."""

from contextlib import ExitStack
from functools import partial

from ._measure import Options, interleave
from ._remote import (
    DUPLICATE,
    FIRST,
    FIRST_NEW,
    IN_TURN,
    duplicates,
    entry,
    first_calls,
    hot,
    looks,
    pairs,
    settle,
    writes,
)
from ._report import Table, Target, timed
from ._servers import POSTGRES_IS, postgres_server
from .peers import psycopg_commands as psycopg
from .peers.on_disk import ONCE, THIS
from .peers.on_server import connector

GUARDS = (THIS, ONCE)
SELECT, SELECT_KEPT, PAIR = "psycopg, SELECT", "psycopg, SELECT, one cursor for all", "psycopg, INSERT and UPDATE"
THREE = "psycopg, INSERT, UPDATE and SELECT"
CALLS, QUICK_CALLS = 500, 50
LONGER = 5

NAMES = {DUPLICATE: (THIS, SELECT, SELECT_KEPT, ONCE), FIRST: (THIS, PAIR, ONCE), IN_TURN: (THIS, THREE, ONCE)}
BOUNDS: dict[str, dict[str, Target]] = {
    DUPLICATE: {SELECT: Target(0.8)},
    FIRST: {PAIR: Target(0.9)},
    IN_TURN: {},
}

CAPTION = (
    "One thread, one private PostgreSQL on the loopback interface ({durable}), no local copies; the work of topic "
    "13, {calls} first calls a round. psycopg has its keys and encoded results at hand: a SELECT by key, and INSERT"
    " … ON CONFLICT DO NOTHING, then UPDATE, each committed, into a table without an index but the key; it prepares"
    " each statement after five times, as it does on its own. This package guesses whether a call is a first one "
    "from the keys that it has seen finished and from what the call before was, and asks once more where it was "
    "wrong; calls of both kinds in turn are told of a pair at a time. exactly-once is a guard over psycopg with "
    "serializable transactions, whose records never expire. The ratio is this package's time divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Races the duplicate calls, then the first calls."""
    calls = QUICK_CALLS if options.quick else CALLS
    with postgres_server() as server, ExitStack() as stack:
        guards = {name: stack.enter_context(connector(name)(server.url)) for name in GUARDS}
        connection = stack.enter_context(psycopg.connected(server.url))
        psycopg.fill(connection, list(map(entry, hot())))
        for guarded in guards.values():
            settle(guarded)
        looked = [duplicates(name, guarded) for name, guarded in guards.items()]
        looked += [looks(SELECT, partial(psycopg.look, connection))]
        looked += [looks(SELECT_KEPT, partial(psycopg.look_with_one_cursor, connection))]
        written = [first_calls(name, guarded, calls) for name, guarded in guards.items()]
        written += [writes(PAIR, partial(psycopg.first, connection), calls)]
        in_turn = [pairs(name, guarded, calls) for name, guarded in guards.items()]
        in_turn += [writes(THREE, partial(psycopg.first_and_look, connection), calls, FIRST_NEW * 20)]
        samples = {
            DUPLICATE: interleave(looked, options, batch_ns=LONGER * options.batch_ns),
            FIRST: interleave(written, options),
            IN_TURN: interleave(in_turn, options),
        }
    rows = tuple(
        timed(case, name, samples[case], THIS, BOUNDS[case].get(name))
        for case, names in NAMES.items()
        for name in names
    )
    caption = CAPTION.format(durable=POSTGRES_IS, calls=calls)
    return [Table("15  One thread, PostgreSQL", caption, ("ns per call", "fastest round"), "this package ÷ it", rows)]
