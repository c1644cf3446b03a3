"""What the screen of `idempotency top` is made of."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.containers import Grid
from textual.widgets import DataTable, Static
from textual_plotext import PlotextPlot

from idempotency_manager._types import State

from ._output import printable, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from textual.app import ComposeResult

    from idempotency_manager.dashboard._model import Entry, Point, Snapshot

NONE = "-"
"""What stands where there is nothing."""
FULL = 90
"""Percent of the cap from which on it is a warning, as the shipped alert has it."""
_STYLES = {State.IN_DOUBT: "bold red", State.FAILED: "yellow", State.IN_PROGRESS: "cyan", State.COMPLETED: "green"}


def plain(value: object) -> Text:
    """Write what is stored as it is: no markup, and nothing that would steer a terminal."""
    return Text(printable(str(value)), no_wrap=True, overflow="ellipsis")


def number(value: float) -> Text:
    """Write a number on the right."""
    return Text(f"{value:,}", justify="right")


def percent(value: float | None) -> str:
    """Write a share."""
    return NONE if value is None else f"{value:.1f} %"


# ---------------------------------------------------------------- numbers


class Tile(Static):
    """A number, and what it is of."""

    def show(self, value: str, label: str, style: str = "bold") -> None:
        """Show it."""
        self.update(Text.assemble((value, style), "\n", (label, "dim")))


class Tiles(Grid):
    """The statistics."""

    NAMES = ("held", "doubt", "rate", "duplicates", "full", "gone")

    def compose(self) -> ComposeResult:
        """Make a tile for each."""
        for name in self.NAMES:
            yield Tile(id=f"tile-{name}")

    def _tile(self, name: str) -> Tile:
        return self.query_one(f"#tile-{name}", Tile)

    def show(self, snapshot: Snapshot) -> None:
        """Show what was counted."""
        counters, held, doubts = snapshot.counters, snapshot.held, snapshot.doubts
        if held is None:
            self._tile("held").show("… held", "being counted")
            self._tile("full").show("… full", "being counted")
        else:
            self._tile("held").show(f"{held.size:,} held", f"{held.in_progress:,} in progress")
            if held.utilization is None:
                self._tile("full").show("no cap", "on records")
            else:
                style = "bold red" if held.utilization > FULL else "bold"
                self._tile("full").show(f"{percent(held.utilization)} full", f"of {held.max_size:,}", style)
        total = None if doubts is None else doubts.total
        style = "bold red" if total else "bold"
        look = "look at them" if total else "all is known"
        self._tile("doubt").show("… in doubt" if total is None else f"{total:,} in doubt", look, style)
        self._tile("rate").show(f"{percent(counters.hit_rate)} hits", f"of {counters.lookups:,}")
        self._tile("duplicates").show(f"{counters.duplicates_prevented:,}", "calls prevented")
        self._tile("gone").show(f"{counters.expired_cleaned:,} expired", f"{counters.evicted:,} evicted")


# ---------------------------------------------------------------- plots


class Plot(PlotextPlot):
    """A line over time."""

    def __init__(self, title: str, unit: str, *, top: float | None = None, id: str) -> None:  # noqa: A002 - textual's
        super().__init__(id=id)
        self._title, self._unit, self._top = title, unit, top

    def show(self, history: Sequence[Point], values: Sequence[float | None]) -> None:
        """Show the values that there are."""
        self.plt.clear_data()
        pairs = [(point.at, value) for point, value in zip(history, values, strict=True) if value is not None]
        if not pairs:
            self.plt.title(f"{self._title}: no look-ups yet")
            self.refresh()
            return
        end = history[-1].at
        ages = [(at - end).total_seconds() for at, _ in pairs]
        numbers = [value for _, value in pairs]
        self.plt.title(f"{self._title}, now {numbers[-1]:,.1f} {self._unit}")
        self.plt.plot(ages, numbers, marker="braille", color="cyan")
        first = min((history[0].at - end).total_seconds(), -1.0)
        self.plt.xlim(first, 0)
        self.plt.xticks([first, first / 2, 0], [f"-{span(end - history[0].at)}", "", "now"])
        top = self._top or _round_up(max(1.0, *numbers))
        self.plt.ylim(0, top)
        self.plt.yticks([0, top / 2, top], [f"{tick:,.10g}" for tick in (0, top / 2, top)])
        self.refresh()


def _round_up(value: float) -> float:
    """Give a number with one digit that is no smaller, so that an axis ends well."""
    size = 10.0 ** floor(log10(value))
    return next(digit * size for digit in (1, 2, 4, 6, 8, 10) if digit * size >= value)


# ---------------------------------------------------------------- tables


class Records(DataTable[Text]):
    """A table of what is stored, whose cursor stays on its row when the rows change."""

    TITLES: ClassVar[tuple[str, ...]] = ()

    def on_mount(self) -> None:
        """Make the columns."""
        self.cursor_type = "row"
        self.zebra_stripes = True
        for title in self.TITLES:
            self.add_column(title, key=title)

    def show(self, snapshot: Snapshot) -> None:
        """Show what a snapshot has for this table."""
        raise NotImplementedError

    def put(self, rows: Iterable[tuple[str, tuple[Text, ...]]]) -> None:
        """Show these rows, each with its key."""
        fresh = dict(rows)
        if list(fresh) == [str(key.value) for key in self.rows]:
            for key, cells in fresh.items():
                for title, cell in zip(self.TITLES, cells, strict=True):
                    if self.get_cell(key, title) != cell:
                        self.update_cell(key, title, cell, update_width=True)
            return
        current = self.selected()
        self.clear()
        for key, cells in fresh.items():
            self.add_row(*cells, key=key)
        if current in fresh:
            self.move_cursor(row=self.get_row_index(current))

    def selected(self) -> str | None:
        """Give the key of the row under the cursor."""
        if not self.is_valid_row_index(self.cursor_row):
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value


def _state(state: State) -> Text:
    return Text(state.replace("_", " "), _STYLES[state])


class Hottest(Records):
    """Keys that were asked for most often."""

    TITLES = ("Calls", "State", "Age", "Key")

    def show(self, snapshot: Snapshot) -> None:
        """Show them."""
        now = snapshot.taken_at
        self.put(
            (entry.key, (number(entry.attempts), _state(entry.state), _age(entry, now), plain(entry.key)))
            for entry in snapshot.hottest
        )


class Retried(Records):
    """Signals that were retried most often."""

    TITLES = ("Retries", "Calls", "Actions", "Signal")

    def show(self, snapshot: Snapshot) -> None:
        """Show them."""
        self.put(
            (one.signal_id, (number(one.retries), number(one.calls), number(one.keys), plain(one.signal_id)))
            for one in snapshot.retried
        )


class Expiring(Records):
    """What is forgotten next."""

    TITLES = ("Left", "State", "Calls", "Key")

    def show(self, snapshot: Snapshot) -> None:
        """Show it."""
        self.put((entry.key, _expiring(entry, snapshot.taken_at)) for entry in snapshot.expiring)


class InDoubt(Records):
    """What was started and never finished."""

    TITLES = ("Age", "Calls", "Owner", "Key", "Broken off by")

    def show(self, snapshot: Snapshot) -> None:
        """Show it."""
        entries = snapshot.doubts.entries if snapshot.doubts else ()
        self.put((entry.key, _in_doubt(entry, snapshot.taken_at)) for entry in entries)


def _expiring(entry: Entry, now: datetime) -> tuple[Text, ...]:
    left = Text(span(entry.expires_at - now), justify="right")
    return left, _state(entry.state), number(entry.attempts), plain(entry.key)


def _in_doubt(entry: Entry, now: datetime) -> tuple[Text, ...]:
    why = entry.error or "the end of its process, or of its lease"
    return _age(entry, now), number(entry.attempts), plain(entry.owner or NONE), plain(entry.key), plain(why)


def _age(entry: Entry, now: datetime) -> Text:
    return Text(span(now - entry.started_at), justify="right")
