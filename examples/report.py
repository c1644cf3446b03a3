"""What the two runs really did, in tables, and whether that is what the demonstration promises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from examples.ledger_service import Effect, Ledger
from examples.scenario import Case

LOOKS = ("trello.list", "slack.history", "drive.list", "sheets.get")
PACKAGE = "idempotency_manager"
_WRONG, _RIGHT = "bold red", "green"
_STATS = {
    "total_cached": "results kept",
    "duplicates_prevented": "calls that were given a kept result",
    "cache_hits": "calls for which there was one",
    "cache_misses": "calls for which there was none yet",
    "hit_rate": "percent of all calls",
    "expired_cleaned": "results removed because their time was up",
    "evicted": "results removed because the store was full",
    "in_progress": "still running",
    "in_doubt": "nobody knows whether they happened",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the automation.

    Attributes:
        name: "without" or "with".
        ledger: What really happened.
        unproved: Planned faults that never came about, as texts.
        stats: The package's counters at the end; nothing where it was not used.
    """

    name: str
    ledger: Ledger
    unproved: Sequence[str]
    stats: Mapping[str, float] = field(default_factory=dict)

    def duplicates(self, effect: Effect, cases: Sequence[Case]) -> int:
        """Count the effects beyond the first for each invoice."""
        return sum(max(0, self.ledger.count(effect, case.invoice.id) - 1) for case in cases)

    def missing(self, effect: Effect, cases: Sequence[Case]) -> int:
        """Count the invoices without this effect."""
        return sum(self.ledger.count(effect, case.invoice.id) == 0 for case in cases)


@dataclass(frozen=True, slots=True)
class Totals:
    """Effects of one run, of one kind or of several together."""

    wanted: int
    happened: int
    duplicates: int
    missing: int

    @classmethod
    def of(cls, run: Run, cases: Sequence[Case], *effects: Effect) -> "Totals":
        """Add up a run; without `effects`, all of them."""
        chosen = effects or tuple(Effect)
        return cls(
            len(cases) * len(chosen),
            sum(len(run.ledger.of(effect)) for effect in chosen),
            sum(run.duplicates(effect, cases) for effect in chosen),
            sum(run.missing(effect, cases) for effect in chosen),
        )


def problems(without: Run, protected: Run, cases: Sequence[Case]) -> list[str]:
    """Say what the two runs failed to show; nothing means that the demonstration holds."""
    bare, guarded = Totals.of(without, cases), Totals.of(protected, cases)
    planned = sum(case.planned_duplicates for case in cases)
    found = [f"{run.name}: never came about: {place}" for run in (without, protected) for place in run.unproved]
    if guarded.duplicates:
        found.append(f"{protected.name}: {guarded.duplicates} duplicates")
    if guarded.missing or bare.missing:
        found.append(f"missing effects: {bare.missing} {without.name}, {guarded.missing} {protected.name}")
    finished, running, in_doubt = (protected.stats.get(name) for name in ("total_cached", "in_progress", "in_doubt"))
    if (finished, running, in_doubt) != (guarded.wanted, 0, 0):
        state = f"{finished} are finished, {running} in progress, {in_doubt} in doubt"
        found.append(f"{protected.name}: of {guarded.wanted} actions, {state}")
    if bare.duplicates < max(1, planned):
        found.append(f"{without.name}: {bare.duplicates} duplicates of {planned} planned, so this proves nothing")
    return found


def introduce(console: Console, cases: Sequence[Case]) -> None:
    """Print what is about to be seen."""
    console.print(
        f"{len(cases)} invoices are overdue. For each, an automation makes a Trello card, a Slack message, a Drive "
        "file and a Sheets row. The services fail on purpose, some webhooks come twice, and one kills the automation. "
        f"It retries, as it should. All of that happens twice: [bold]without {PACKAGE}[/], and [bold]with[/] it.\n",
        highlight=False,
    )


def show(console: Console, without: Run, protected: Run, cases: Sequence[Case]) -> None:
    """Print what both runs did: by invoice, as the package counted it, and in total."""
    for table in (_by_invoice(without, protected, cases), _counted(protected), _in_total(without, protected, cases)):
        console.print(table)
        console.print()


def conclude(console: Console, without: Run, protected: Run, cases: Sequence[Case], found: Sequence[str]) -> None:
    """Print in words what has been seen, or what went wrong."""
    for problem in found:
        console.print(problem, style=_WRONG, highlight=False)
    if found:
        console.print("The demo failed: it did not show what it promises.", style=_WRONG)
        return
    bare, guarded = Totals.of(without, cases), Totals.of(protected, cases)
    console.print(
        f"The same faults made {bare.duplicates} duplicates without {PACKAGE}, {guarded.duplicates or 'none'} with it.",
        style="bold green",
        highlight=False,
    )


def _by_invoice(without: Run, protected: Run, cases: Sequence[Case]) -> Table:
    legend = "C cards, M messages, F files, R rows: 1 of each is right"
    table = _table("What really happened for each invoice", legend)
    table.add_column("invoice")
    table.add_column("what goes wrong")
    for run in (without, protected):
        table.add_column(f"{run.name}\nC  M  F  R", justify="center")
    for case in cases:
        table.add_row(case.invoice.id, case.story, _counts(without, case), _counts(protected, case))
    return table


def _counts(run: Run, case: Case) -> Text:
    counts = [run.ledger.count(effect, case.invoice.id) for effect in Effect]
    return Text("  ").join(Text(str(count), style=_RIGHT if count == 1 else _WRONG) for count in counts)


def _in_total(without: Run, protected: Run, cases: Sequence[Case]) -> Table:
    table = _table("In total")
    table.add_column("effect")
    for heading in ("wanted", "happened", "duplicates", "missing"):
        table.add_column(heading, justify="right")
    for run in (without, protected):
        table.add_row(Text(f"{run.name} {PACKAGE}", style="bold"))
        for effect in Effect:
            table.add_row(f"  {effect.value}s", *_cells(Totals.of(run, cases, effect)))
        table.add_row("  all", *_cells(Totals.of(run, cases)), end_section=True)
    return table


def _cells(totals: Totals) -> list[Text]:
    right = totals.happened == totals.wanted
    return [
        Text(str(totals.wanted)),
        Text(str(totals.happened), style=_RIGHT if right else _WRONG),
        *(Text(str(number), style=_WRONG if number else _RIGHT) for number in (totals.duplicates, totals.missing)),
    ]


def _counted(run: Run) -> Table:
    looks = sum(run.ledger.requests(name) for name in LOOKS)
    table = _table(
        "get_idempotency_stats() at the end of the run with it",
        f"{looks} requests looked for the effect of a lost answer, before a second try",
    )
    table.add_column("counter")
    table.add_column("value", justify="right")
    table.add_column("that is")
    for name, meaning in _STATS.items():
        table.add_row(name, f"{run.stats.get(name, 0):.4g}", meaning)
    return table


def _table(title: str, caption: str | None = None) -> Table:
    return Table(
        title=title,
        caption=caption,
        box=box.ROUNDED,
        title_style="bold",
        caption_style="dim",
        title_justify="left",
        caption_justify="left",
    )
