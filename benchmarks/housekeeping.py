"""Topic 7: cleanup, eviction and find_keys_by_signal_id, as the store grows."""

from collections.abc import Callable
from datetime import timedelta
from time import perf_counter_ns
from typing import Any

from idempotency_manager import IdempotencyManager
from idempotency_manager.testing import ManualClock

from ._measure import Options, Samples, median, ratio
from ._report import Row, Table, Target

SIZES, QUICK_SIZES = (10_000, 100_000, 1_000_000), (10_000, 100_000)
FOUND = 100
REMOVED = 1_000
MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)
LIMIT = Target(1.5)
MOST_ROUNDS = 7
WARM_ROUNDS = 1
RESULT = {"id": "card_1", "url": "https://example.com/c/1"}
NS_PER_MS = 1e6

CAPTION = (
    "The package beside itself: the same work in stores of growing size. cleanup_expired finds {removed:,} expired "
    "records among the living; cleanup_oldest_entries({removed:,}) drops as many; a full store makes room for one "
    "more (a fifth of it at once); find_keys_by_signal_id finds {found} keys of one signal. Time per item removed "
    "or found; flat means that nothing scans the store (memory further away than the processor's cache is not free, "
    "hence the limit). The ratio is to the smallest store."
)

Operation = Callable[[IdempotencyManager, int], int]


def run(options: Options) -> list[Table]:
    """Measures every operation on every size, the sizes taking turns."""
    sizes = QUICK_SIZES if options.quick else SIZES
    rounds = min(options.rounds, MOST_ROUNDS)
    rows = [row for measure in (_cleanup, _oldest, _make_room, _find) for row in measure(sizes, rounds)]
    caption = CAPTION.format(removed=REMOVED, found=FOUND)
    return [Table("7  Housekeeping", caption, ("ns per item", "fastest round", "ms in all"), "÷ smallest", tuple(rows))]


def _cleanup(sizes: tuple[int, ...], rounds: int) -> list[Row]:
    clocks = {size: ManualClock() for size in sizes}
    stores = {size: _store(clock=clocks[size]) for size in sizes}
    for size, store in stores.items():
        _fill(store, range(size), WEEK)

    def one(size: int, turn: int) -> tuple[int, int]:
        _fill(stores[size], range(size + turn * REMOVED, size + (turn + 1) * REMOVED), MINUTE)
        clocks[size].advance(2 * MINUTE)
        start = perf_counter_ns()
        removed = stores[size].cleanup_expired()
        return perf_counter_ns() - start, removed

    return _rows("cleanup_expired", sizes, rounds, one)


def _oldest(sizes: tuple[int, ...], rounds: int) -> list[Row]:
    stores = {size: _store() for size in sizes}
    for size, store in stores.items():
        _fill(store, range(size), WEEK)

    def one(size: int, turn: int) -> tuple[int, int]:
        _fill(stores[size], range(size + turn * REMOVED, size + (turn + 1) * REMOVED), WEEK)
        start = perf_counter_ns()
        removed = stores[size].cleanup_oldest_entries(REMOVED)
        return perf_counter_ns() - start, removed

    return _rows("cleanup_oldest_entries", sizes, rounds, one)


def _make_room(sizes: tuple[int, ...], rounds: int) -> list[Row]:
    stores = {size: _store(max_cache_size=size) for size in sizes}
    for size, store in stores.items():
        _fill(store, range(size), WEEK)
    upcoming = {size: size for size in sizes}

    def one(size: int, _turn: int) -> tuple[int, int]:
        store, number = stores[size], upcoming[size]
        held = store.cache_info().current_size
        _fill(store, range(number, number + size - held), WEEK)
        number += size - held
        before = store.stats().evicted
        start = perf_counter_ns()
        _fill(store, range(number, number + 1), WEEK)
        spent = perf_counter_ns() - start
        upcoming[size] = number + 1
        return spent, store.stats().evicted - before

    return _rows("eviction when full", sizes, rounds, one)


def _find(sizes: tuple[int, ...], rounds: int) -> list[Row]:
    stores = {size: _store() for size in sizes}
    for size, store in stores.items():
        _fill(store, range(size), WEEK)

    def one(size: int, turn: int) -> tuple[int, int]:
        signal = f"evt_{(turn * 37) % (size // FOUND)}"
        start = perf_counter_ns()
        found = len(stores[size].find_keys_by_signal_id(signal))
        return perf_counter_ns() - start, found

    return _rows("find_keys_by_signal_id", sizes, rounds, one)


def _store(**config: object) -> IdempotencyManager:
    settings: dict[str, Any] = {"max_cache_size": None, "enable_auto_cleanup": False, **config}
    return IdempotencyManager("memory://", **settings)


def _fill(store: IdempotencyManager, numbers: range, ttl: timedelta) -> None:
    for number in numbers:
        action = {
            "signal_id": f"evt_{number // FOUND}",
            "action": "create_card",
            "target": "trello",
            "params": {"n": number},
        }
        store.execute(action, lambda: RESULT, ttl=ttl)


def _rows(case: str, sizes: tuple[int, ...], rounds: int, one: Callable[[int, int], tuple[int, int]]) -> list[Row]:
    each: dict[int, list[float]] = {size: [] for size in sizes}
    whole: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in range(-WARM_ROUNDS, rounds):
        for size in sizes:
            spent, items = one(size, turn + WARM_ROUNDS)
            if items == 0:
                message = f"{case} handled nothing in a store of {size:,}"
                raise RuntimeError(message)
            if turn >= 0:
                each[size].append(spent / items)
                whole[size].append(spent)
    return [_row(case, size, each, median(whole[size])) for size in sizes]


def _row(case: str, size: int, each: dict[int, list[float]], whole: float) -> Row:
    mine: Samples = each[size]
    smallest = min(each)
    cells = (f"{median(mine):,.0f}", f"{min(mine):,.0f}", f"{whole / NS_PER_MS:.2f}")
    numbers = {"ns": median(mine), "ns_min": min(mine), "ns_in_all": whole}
    label = f"{size:,} entries"
    if size == smallest:
        return Row(case, label, cells, numbers=numbers)
    times = ratio(mine, each[smallest])
    return Row(case, label, cells, times, numbers=numbers).bounded(LIMIT, times)
