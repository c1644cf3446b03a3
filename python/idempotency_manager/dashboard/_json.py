"""A snapshot as JSON, for the page."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ._model import thinned

if TYPE_CHECKING:
    from ._model import Entry, Snapshot

POINTS = 240
"""Of a plot."""


def to_plain(value: object) -> Any:
    """Give what JSON has no word for: times as ISO 8601, durations as seconds.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def fields_of(snapshot: Snapshot) -> dict[str, Any]:
    """Give a snapshot as the page reads it."""
    counters, held, doubts = snapshot.counters, snapshot.held, snapshot.doubts
    return {
        "store": snapshot.store,
        "namespace": snapshot.namespace,
        "taken_at": snapshot.taken_at,
        "problem": snapshot.problem,
        "counters": {**asdict(counters), "lookups": counters.lookups, "hit_rate": counters.hit_rate},
        "held": None if held is None else {**asdict(held), "size": held.size, "utilization": held.utilization},
        "history": [asdict(point) for point in thinned(snapshot.history, POINTS)],
        "sample": str(snapshot.sample),
        "of_all": snapshot.sample.is_newest,
        "hottest": [asdict(entry) for entry in snapshot.hottest],
        "retried": [{**asdict(signal), "retries": signal.retries} for signal in snapshot.retried],
        "expiring": [asdict(entry) for entry in snapshot.expiring],
        "doubts": None if doubts is None else {"total": doubts.total, "entries": [_doubt(e) for e in doubts.entries]},
    }


def _doubt(entry: Entry) -> dict[str, Any]:
    """Give an action in doubt, with the command lines of the two ways out, for a page that may change nothing."""
    command = f"idempotency resolve {shlex.quote(entry.key)}"
    return {**asdict(entry), "it_happened": f"{command} --result JSON", "it_did_not": f"{command} --not-executed"}
