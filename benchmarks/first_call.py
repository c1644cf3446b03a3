"""Topic 4: what a first call costs on top of the bare function."""

from itertools import islice

from ._measure import Batch, Contender, Options, above, interleave
from ._report import Table, Target, timed
from .peers import HAND_WRITTEN, POWERTOOLS, THIS, Decorate, load_all
from .workload import CardArguments, CreateCard, call_each, create_card, distinct

BARE = "bare function"
LIMITS = {HAND_WRITTEN: Target(0.5)}
KEYS, QUICK_KEYS, SLOW_KEYS = 100_000, 10_000, 2_000
MOST_ROUNDS = 7

CAPTION = (
    "{keys:,} calls with arguments never seen before, into an empty cache that never evicts, less the time of the "
    "bare function in the same round (Powertools: {slow:,} keys, being slow). This package and hand-written claim "
    "the key before they run and store an encoded result after; lru_cache, cachebox, moka and theine store the "
    "object. The ratio is this package's time divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Races the first calls, each round in a new cache."""
    keys = QUICK_KEYS if options.quick else KEYS
    calls = list(islice(distinct(), keys))
    peers = load_all()
    contenders = [Contender(BARE, lambda: _batch(create_card, calls), keys)]
    contenders += [_contender(peer.name, peer.decorate, calls) for peer in peers]
    fewer = Options(min(options.rounds, MOST_ROUNDS), options.quick)
    samples = above(interleave(contenders, fewer), BARE)
    rows = tuple(timed(f"{keys:,} keys", peer.name, samples, THIS, LIMITS.get(peer.name)) for peer in peers)
    caption = CAPTION.format(keys=keys, slow=min(SLOW_KEYS, keys))
    columns = ("ns above the function", "fastest round")
    return [Table("4  First call", caption, columns, "this package ÷ it", rows)]


def _contender(name: str, decorate: Decorate, calls: list[CardArguments]) -> Contender:
    count = min(SLOW_KEYS, len(calls)) if name == POWERTOOLS else len(calls)
    return Contender(name, lambda: _batch(decorate(create_card), calls), count)


def _batch(function: CreateCard, calls: list[CardArguments]) -> Batch:
    return lambda count: call_each(function, islice(calls, count))
