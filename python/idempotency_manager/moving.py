"""Moving records from one store to another: `copy_records(source, target)`.

From a manager in memory to a file, and on to Redis or PostgreSQL, is how a user grows. Between stores that outlive
their process, `idempotency migrate` does the same from the command line.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from ._config import store_url
from ._core import Inventory
from ._place import place
from ._types import State
from .exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from ._core import IdempotencyRecord
    from ._manager import IdempotencyManager

__all__ = ["Copied", "copy_records"]

_PART = 500
"""Records that are written at once."""
_MARGIN = timedelta(minutes=1)
_SECRETS_AND_WAITS = ("password", "sentinel_password", "timeout", "connect_timeout", "busy_timeout", "local_copies")


@dataclass(frozen=True, slots=True)
class Copied:
    """What `copy_records` came to.

    Attributes:
        written: Records that were written.
        same: Records that were there already, from an earlier run.
        expired: Records whose time was over when their turn came.
        occupied: Keys of which the target had another record, which was left as it was.
        in_progress: Records that were copied while their action was running, if its worker was.
        records: Live records that both have now, counted in each.
        digest: The sum of their SHA-256, in whatever order; the same in both.
        others: Live records that only the target has.
        problem: Why the two do not agree; None where they do.
    """

    written: int
    same: int
    expired: int
    occupied: tuple[str, ...]
    in_progress: int
    records: int
    digest: str
    others: int
    problem: str | None


def copy_records(
    source: IdempotencyManager,
    target: IdempotencyManager,
    *,
    keep_target: bool = False,
    on_progress: Callable[[int, int | None], object] | None = None,
) -> Copied:
    """Copy all live records of a store to another, and compare the two.

    Records are copied as they are, leases included: stop the workers first, or what they do meanwhile is missing. It
    may be broken off and run again: what is there is skipped. Nothing in the target is written over or removed, and
    nothing in the source is changed.

    Args:
        source: The manager whose records are copied.
        target: The manager to copy them to.
        keep_target: Whether it is well that the target has other records under some keys.
        on_progress: Told how many have been copied, and of about how many.

    Raises:
        ConfigurationError: The two are one store.
        StoreError: One of them can't be read or written; run it again.
    """
    if source is target or _address(source) == _address(target):
        raise ConfigurationError("source and target are the same store: give two")
    began = time.monotonic()
    counts: Counter[str] = Counter()
    occupied: list[str] = []
    total = held(source)
    for part in parts(source.iter_records()):
        for record, word in zip(part, target._core.restore(part).wait(), strict=True):  # noqa: SLF001 - its own half
            counts[word] += 1
            counts["in_progress"] += record.state == State.IN_PROGRESS
            if word == "occupied":
                occupied.append(record.key)
        if on_progress is not None:
            done = sum(counts[word] for word in ("written", "same", "expired", "occupied"))
            on_progress(done, max(total, done))
    compared = _compare(source, target, set(occupied), timedelta(seconds=time.monotonic() - began))
    problem = compared.problem
    if problem is None and occupied and not keep_target:
        problem = f"the target has other records under {len(occupied):,} of the keys, and they were left as they are"
    return Copied(
        counts["written"],
        counts["same"],
        counts["expired"],
        tuple(occupied),
        counts["in_progress"],
        compared.records,
        compared.digest,
        compared.others,
        problem,
    )


def held(manager: IdempotencyManager) -> int:
    """Count the records in all states."""
    stats = manager.stats()
    return stats.total_cached + stats.in_progress + stats.in_doubt


def parts(records: Iterable[IdempotencyRecord]) -> Iterator[list[IdempotencyRecord]]:
    """Cut into parts that are written at once."""
    records = iter(records)
    while part := list(islice(records, _PART)):
        yield part


def _address(manager: IdempotencyManager) -> object:
    """Tell where a store is, as far as its URL says; one in memory is wherever its manager is."""
    url = store_url(manager.config)
    if url.scheme == "memory":
        return id(manager)
    address = {
        name: value for name, value in place(url, manager.config.namespace).items() if name not in _SECRETS_AND_WAITS
    }
    if url.scheme == "sqlite":
        return (os.path.realpath(address["path"]), address["namespace"])
    return address


@dataclass(frozen=True, slots=True)
class _Compared:
    records: int
    digest: str
    others: int
    problem: str | None


def _compare(
    source: IdempotencyManager, target: IdempotencyManager, without: Collection[str], took: timedelta
) -> _Compared:
    """Walk both. What ends before that is through is in neither sum: it could be gone from one and not the other."""
    while True:
        until = _now(source) + max(_MARGIN, 4 * took)
        began = time.monotonic()
        compared = _compare_until(source, target, without, until)
        took = timedelta(seconds=time.monotonic() - began)
        if compared.problem is None or _now(source) < until:
            return compared


def _compare_until(
    source: IdempotencyManager, target: IdempotencyManager, without: Collection[str], until: datetime
) -> _Compared:
    def taken(records: Iterable[IdempotencyRecord]) -> Iterator[IdempotencyRecord]:
        lasting = (record for record in records if record.executed_at is None or record.expires_at > until)
        return (record for record in lasting if record.key not in without)

    def known(record: IdempotencyRecord) -> bool:
        return source.get_record(record.key) is not None

    ours, theirs = _sum(taken(source.iter_records())), _sum(taken(target.iter_records()))
    others, problem = 0, None
    if ours.digest != theirs.digest:
        # The target may have records of its own.
        theirs, all_of_theirs = _sum(filter(known, taken(target.iter_records()))), theirs.records
        others = all_of_theirs - theirs.records
    if (ours.records, ours.digest) != (theirs.records, theirs.digest):
        problem = (
            f"the two differ: the source has {ours.records:,} records (digest {ours.digest[:16]}…), and of these the "
            f"target {theirs.records:,} (digest {theirs.digest[:16]}…): stop what writes to them, and run it again"
        )
    return _Compared(ours.records, ours.digest, others, problem)


def _sum(records: Iterable[IdempotencyRecord]) -> Inventory:
    inventory = Inventory()
    for part in parts(records):
        inventory.add(part)
    return inventory


def _now(manager: IdempotencyManager) -> datetime:
    clock = manager.config.clock
    return datetime.now(UTC) if clock is None else clock.now()
