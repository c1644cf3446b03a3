"""Topic 2: a duplicate call of a decorated function."""

from functools import partial

from ._measure import Contender, Options, interleave, ready
from ._report import Facts, Row, Table, Target, timed
from .correctness import facts
from .peers import CACHEBOX, HAND_WRITTEN, LRU, POWERTOOLS, THIS, Peer, load_all
from .workload import call_again, call_round_robin, create_card, equal_copies

LIMITS = {LRU: Target(1.5), CACHEBOX: Target(0.4), HAND_WRITTEN: Target(0.3), POWERTOOLS: Target(0.02)}
SAME, EQUAL = "same objects", "equal objects"
COPIES = 1000

CAPTION = (
    "f(signal_id=…, board=…, title=…, position=…) again, the two-field dict it returned already remembered. Not the "
    "same work: lru_cache, cachebox, moka and theine look the arguments up by hash, in the order given, and "
    "lru_cache, moka and theine hand every caller the same dict (cachebox a shallow copy); this package, "
    "hand-written and Powertools make a key from the content and decode a result of the caller's own. 'Equal "
    "objects' passes arguments just parsed from JSON. The ratio is this package's time divided by the row's."
)


def run(options: Options) -> list[Table | Facts]:
    """The times, and beside them what each contender gets right."""
    peers = load_all()
    rows = [*_rows(SAME, peers, options), *_rows(EQUAL, peers, options)]
    times = Table("2  Duplicate call", CAPTION, ("ns per call", "fastest round"), "this package ÷ it", tuple(rows))
    return [times, facts(peers)]


def _rows(case: str, peers: list[Peer], options: Options) -> list[Row]:
    samples = interleave([_contender(case, peer) for peer in peers], options)
    bounds = LIMITS if case == SAME else {}
    return [timed(case, peer.name, samples, THIS, bounds.get(peer.name)) for peer in peers]


def _contender(case: str, peer: Peer) -> Contender:
    function = peer.decorate(create_card)
    if case == SAME:
        call_again(function, 1)
        return ready(peer.name, partial(call_again, function))
    copies = equal_copies(4711, COPIES)
    call_round_robin(function, copies, 1)
    return ready(peer.name, partial(call_round_robin, function, copies))
