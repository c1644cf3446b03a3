"""Topic 13: a duplicate call and a first call from one thread, the records on a Redis."""

from contextlib import ExitStack
from functools import partial

from ._measure import Contender, Options, Samples, interleave, ready
from ._remote import DUPLICATE, FIRST, FIRST_NEW, duplicates, entry, first_calls, hot, looks, settle, writes
from ._report import Table, Target, timed
from ._servers import REDIS_IS, redis_server
from ._socket import asking
from .peers import redis_commands as redis_py
from .peers.on_disk import ONCE, THIS
from .peers.on_server import POWERTOOLS, connector

GUARDS = (THIS, POWERTOOLS, ONCE)
GET, PAIR, PAIR_EXPIRING = "redis-py, GET", "redis-py, SET NX and SET", "redis-py, the same with expiries"
BARE = "a bare socket, GET"
CALLS, QUICK_CALLS = 1_000, 50
LONGER = 5
"""Times as long a batch as without a network."""

NAMES = {DUPLICATE: (THIS, GET, BARE, POWERTOOLS, ONCE), FIRST: (THIS, PAIR, PAIR_EXPIRING, POWERTOOLS, ONCE)}
BOUNDS = {
    DUPLICATE: {GET: Target(0.75), POWERTOOLS: Target(0.2), ONCE: Target(0.2)},
    FIRST: {PAIR: Target(0.75), POWERTOOLS: Target(0.5), ONCE: Target(0.5)},
}

CAPTION = (
    "One thread, one private redis-server on the loopback interface ({durable}), no local copies. Duplicate calls go "
    "round {hot:,} actions that were done before; first calls, {calls:,} a round, are of actions never seen. "
    "redis-py (with hiredis) has its keys and its encoded results at hand and decodes nothing: a GET is no duplicate "
    "call, and SET NX and SET hold no lease and no fence. The bare socket sends one GET that was encoded before and "
    "reads the answer. Powertools and exactly-once are guards over redis-py: they make a key, and decode. The ratio is "
    "this package's time divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Races the duplicate calls, then the first calls."""
    calls = QUICK_CALLS if options.quick else CALLS
    with redis_server() as server, ExitStack() as stack:
        guards = {name: stack.enter_context(connector(name)(server.url)) for name in GUARDS}
        client = stack.enter_context(redis_py.connected(server.url))
        redis_py.fill(client, list(map(entry, hot())))
        for guarded in guards.values():
            settle(guarded)
        bare = stack.enter_context(asking(server.address, "GET", entry(hot()[0]).key))
        looked = [looks(GET, partial(redis_py.look, client)), ready(BARE, bare)]
        written = [
            writes(PAIR, partial(redis_py.first, client), calls),
            writes(PAIR_EXPIRING, partial(redis_py.first_expiring, client), calls, FIRST_NEW * 10),
        ]
        samples = {
            DUPLICATE: _race([duplicates(name, guarded) for name, guarded in guards.items()], looked, options),
            FIRST: _race([first_calls(name, one, calls) for name, one in guards.items()], written, options),
        }
    rows = tuple(
        timed(case, name, samples[case], THIS, BOUNDS[case].get(name))
        for case, names in NAMES.items()
        for name in names
    )
    caption = CAPTION.format(durable=REDIS_IS, hot=len(hot()), calls=calls)
    return [Table("13  One thread, Redis", caption, ("ns per call", "fastest round"), "this package ÷ it", rows)]


def _race(guards: list[Contender], commands: list[Contender], options: Options) -> dict[str, Samples]:
    return interleave([*guards, *commands], options, batch_ns=LONGER * options.batch_ns)
