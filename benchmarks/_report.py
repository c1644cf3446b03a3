"""Tables: what was measured, what was asked for, and whether the one meets the other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.table import Table as RichTable

from ._measure import Samples, median, ratio

HOLDS = {True: "[green]holds[/green]", False: "[bold red]missed[/bold red]", None: ""}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a ratio or on a value."""

    limit: float
    unit: str = "x"
    at_least: bool = False

    def met_by(self, measured: float) -> bool:
        """Whether the measured number is on the right side of the bound."""
        return measured >= self.limit if self.at_least else measured <= self.limit

    def __str__(self) -> str:
        """The bound as the table shows it."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{self.unit if self.unit == 'x' else ' ' + self.unit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one case.

    Attributes:
        case: What was done.
        contender: Who did it.
        cells: The measured numbers, already written out, in the order of the table's columns.
        ratio: The number in the table's ratio column; None where the row is compared with nothing.
        target: The bound, if the product promises one here.
        holds: Whether the bound is met; None where there is no bound.
        numbers: The same numbers for `--json`, by name.
    """

    case: str
    contender: str
    cells: tuple[str, ...]
    ratio: float | None = None
    target: Target | None = None
    holds: bool | None = None
    numbers: dict[str, float] = field(default_factory=dict)

    def bounded(self, target: Target, measured: float) -> "Row":
        """The same row with what was promised and whether it is kept."""
        return replace(self, target=target, holds=target.met_by(measured))


@dataclass(frozen=True, slots=True)
class Table:
    """One topic's answer."""

    title: str
    caption: str
    columns: tuple[str, ...]
    ratio_column: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """A table of words instead of numbers: what a contender does, found out by running it."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    missed: tuple[str, ...] = ()


def timed(case: str, name: str, samples: Mapping[str, Samples], mine: str, target: Target | None = None) -> Row:
    """A row of times in nanoseconds, and the ratio of the contender called `mine` to this one."""
    middle, least = median(samples[name]), min(samples[name])
    row = Row(case, name, (f"{middle:,.0f}", f"{least:,.0f}"), numbers={"ns": middle, "ns_min": least})
    if name == mine:
        return row
    times = ratio(samples[mine], samples[name])
    row = replace(row, ratio=times)
    return row.bounded(target, times) if target else row


def show(console: Console, answer: Table | Facts) -> None:
    """Prints one topic."""
    table = RichTable(title=answer.title, title_justify="left", title_style="bold")
    if isinstance(answer, Facts):
        for column in answer.columns:
            table.add_column(column, overflow="fold")
        for facts in answer.rows:
            table.add_row(*facts)
    else:
        _fill(table, answer)
    console.print(table)
    console.print(answer.caption, style="dim", highlight=False)
    if isinstance(answer, Facts) and answer.missed:
        console.print(f"[bold red]missed[/bold red] {'; '.join(answer.missed)}")
    console.print()


def verdicts(answers: Sequence[Table | Facts]) -> tuple[int, int]:
    """How many targets hold, and how many are missed."""
    held = [row.holds for answer in answers if isinstance(answer, Table) for row in answer.rows]
    missed = sum(len(answer.missed) for answer in answers if isinstance(answer, Facts))
    return held.count(True), held.count(False) + missed


def _fill(table: RichTable, answer: Table) -> None:
    table.add_column("case")
    table.add_column("contender")
    for column in (*answer.columns, answer.ratio_column):
        table.add_column(column, justify="right")
    table.add_column("target")
    table.add_column("")
    previous = None
    for row in answer.rows:
        if previous is not None and row.case != previous:
            table.add_section()
        times = "" if row.ratio is None else _times(row.ratio)
        case = "" if row.case == previous else row.case
        table.add_row(case, row.contender, *row.cells, times, str(row.target or ""), HOLDS[row.holds])
        previous = row.case


def _times(ratio: float) -> str:
    below_a_tenth = -1 - math.floor(math.log10(max(ratio, 1e-9)))
    digits = 2 + max(0, below_a_tenth)
    return f"{ratio:.{digits}f}x"
