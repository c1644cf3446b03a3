"""Topic 6: eight threads on a thousand hot keys."""

import threading
from functools import partial
from itertools import islice

from ._measure import Batch, Contender, Options, Samples, calls_that_fill, interleave, median, ratio
from ._report import Row, Table, Target
from .peers import THIS, load_all
from .workload import CardArguments, CreateCard, call_each, call_round_robin, create_card, distinct

THREADS = 8
HOT_KEYS = 1_000
LIMIT = Target(0.9, at_least=True)
BATCH_NS = 150_000_000
"""Of one thread: long enough that starting eight is lost in it."""

CAPTION = (
    "Duplicate calls of topic 2, going round 1,000 remembered keys, from one thread and from eight that share the "
    "work. Under the interpreter's lock eight threads can't be faster than one; the question is what their "
    "contention costs. The ratio is eight threads' calls per second divided by one thread's."
)


def run(options: Options) -> list[Table]:
    """Races each contender with itself, one thread against eight."""
    peers = load_all()
    hot = list(islice(distinct(), HOT_KEYS))
    contenders: list[Contender] = []
    for peer in peers:
        function = peer.decorate(create_card)
        call_each(function, hot)
        calls = calls_that_fill(partial(call_round_robin, function, hot), BATCH_NS)
        contenders += [_contender(peer.name, function, hot, calls, count) for count in (1, THREADS)]
    samples = interleave(contenders, options)
    rows = tuple(_row(peer.name, samples) for peer in peers)
    columns = ("calls/s, 1 thread", f"calls/s, {THREADS} threads")
    return [Table("6  Threads", CAPTION, columns, f"{THREADS} threads ÷ 1", rows)]


def _contender(name: str, function: CreateCard, hot: list[CardArguments], calls: int, threads: int) -> Contender:
    return Contender(_name(name, threads), lambda: _batch(function, hot, threads), calls)


def _name(peer: str, threads: int) -> str:
    return f"{peer} x {threads}"


def _batch(function: CreateCard, hot: list[CardArguments], threads: int) -> Batch:
    def batch(calls: int) -> None:
        each = max(1, calls // threads)
        workers = [threading.Thread(target=partial(call_round_robin, function, hot, each)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return batch


def _row(name: str, samples: dict[str, Samples]) -> Row:
    one, many = samples[_name(name, 1)], samples[_name(name, THREADS)]
    times = ratio(one, many)
    cells = (f"{1e9 / median(one):,.0f}", f"{1e9 / median(many):,.0f}")
    numbers = {"ns_1": median(one), f"ns_{THREADS}": median(many)}
    case = f"{HOT_KEYS:,} hot keys"
    row = Row(case, name, cells, times, numbers=numbers)
    return row.bounded(LIMIT, times) if name == THIS else row
