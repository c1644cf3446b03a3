"""Which records `list` and `export` are about."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from idempotency_manager._types import State
from idempotency_manager.moving import held

from ._options import DURATION
from ._progress import track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import timedelta

    from idempotency_manager import IdempotencyManager, IdempotencyRecord

Command = TypeVar("Command", bound="Callable[..., Any]")
_STATES = [str(state) for state in State]

_OPTIONS = (
    click.option("--action", metavar="NAME", help="Of this action."),
    click.option("--target", metavar="NAME", help="On this target."),
    click.option("--signal", metavar="ID", help="Asked for by this signal."),
    click.option("--state", type=click.Choice(_STATES), multiple=True, help="In this state; may be given repeatedly."),
    click.option("--older-than", type=DURATION, help="Started longer ago than this, such as 15m."),
    click.option("--newer-than", type=DURATION, help="Started since this long ago, such as 24h."),
    click.option("--expiring-within", type=DURATION, help="Finished, and forgotten within this time."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many."),
)


def filters(command: Command) -> Command:
    """Add the filter options; the command gets them as keywords and hands them to `selected`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class _Filter:
    """The options of one call, as a question to each record."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        now = datetime.now(UTC)
        names = {"action": "action_type", "target": "target", "signal": "signal_id"}
        self._equal = {field: options[name] for name, field in names.items() if options[name] is not None}
        self._states: tuple[str, ...] = options["state"]
        self._before = _moved(now, options["older_than"], -1)
        self._since = _moved(now, options["newer_than"], -1)
        self._expires = _moved(now, options["expiring_within"], 1)

    def takes(self, record: IdempotencyRecord) -> bool:
        if any(getattr(record, name) != wanted for name, wanted in self._equal.items()):
            return False
        if self._states and record.state not in self._states:
            return False
        if self._before is not None and record.started_at > self._before:
            return False
        if self._since is not None and record.started_at < self._since:
            return False
        # What is running or in doubt never expires.
        return self._expires is None or (record.executed_at is not None and record.expires_at <= self._expires)


def _moved(now: datetime, by: timedelta | None, direction: int) -> datetime | None:
    return None if by is None else now + direction * by


def selected(
    manager: IdempotencyManager, what: str, *, limit: int | None = None, **options: Any
) -> Iterator[IdempotencyRecord]:
    """Give the records that the options select, a page in memory at a time.

    A signal has few records and is found by its index, and so is doubt. Everything else is a pass over all records: an
    action or a target may have most of them, whose keys an index would give all at once.

    Args:
        manager: The store.
        what: What is going on, for the progress bar.
        limit: How many at most.
        **options: The filter options.
    """
    records = manager.iter_records(
        signal_id=options["signal"], state=State.IN_DOUBT if options["state"] == ("in_doubt",) else None
    )
    passed = track(records, lambda: held(manager), what)
    return islice(filter(_Filter(options).takes, passed), limit)
