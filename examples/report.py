"""What the two runs really did, in tables, and whether that is what the demonstration promises."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from examples.ledger_service import Effect, Ledger
from examples.scenario import Case
from idempotency_manager import State

LOOKS = ("trello.list", "slack.history", "drive.list", "sheets.get")
_WRONG, _RIGHT = "bold red", "green"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the automation.

    Attributes:
        name: What a person calls it.
        ledger: What really happened.
        unproved: Planned faults that never came about, as texts.
        seconds: How long it took.
        remembered: How many actions the store knows in each state; nothing where there is no store.
    """

    name: str
    ledger: Ledger
    unproved: Sequence[str]
    seconds: float
    remembered: Counter[State] = field(default_factory=Counter)

    def duplicates(self, effect: Effect, cases: Sequence[Case]) -> int:
        """Count the effects beyond the first for each invoice."""
        return sum(max(0, self.ledger.count(effect, case.invoice.id) - 1) for case in cases)

    def missing(self, effect: Effect, cases: Sequence[Case]) -> int:
        """Count the invoices without this effect."""
        return sum(self.ledger.count(effect, case.invoice.id) == 0 for case in cases)


@dataclass(frozen=True, slots=True)
class Totals:
    """The effects of one run, all kinds together."""

    happened: int
    duplicates: int
    missing: int

    @classmethod
    def of(cls, run: Run, cases: Sequence[Case]) -> "Totals":
        """Add up a run."""
        return cls(
            sum(len(run.ledger.of(effect)) for effect in Effect),
            sum(run.duplicates(effect, cases) for effect in Effect),
            sum(run.missing(effect, cases) for effect in Effect),
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
    wanted = len(cases) * len(Effect)
    if protected.remembered != {State.COMPLETED: wanted}:
        found.append(f"{protected.name}: the store remembers {_states(protected)}, of {wanted} actions")
    if bare.duplicates < max(1, planned):
        found.append(f"{without.name}: {bare.duplicates} duplicates of {planned} planned, so this proves nothing")
    return found


def _states(run: Run) -> str:
    return ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in sorted(run.remembered.items()))


def show(console: Console, without: Run, protected: Run, cases: Sequence[Case]) -> None:
    """Print what both runs did, by invoice and in total."""
    console.print(_by_invoice(without, protected, cases))
    console.print(_in_total(without, protected, cases))
    looks = sum(protected.ledger.requests(name) for name in LOOKS)
    console.print(f"{looks} requests looked for an effect whose answer had been lost.")
    console.print(f"In the end the store remembers {_states(protected)}.")
    wanted = len(cases) * len(Effect)
    for run in (without, protected):
        totals = Totals.of(run, cases)
        console.print(
            f"{run.name}: {totals.happened} effects where {wanted} were wanted, "
            f"{totals.duplicates} duplicates, {totals.missing} missing ({run.seconds:.1f} s)",
            style=_WRONG if totals.duplicates or totals.missing else _RIGHT,
            highlight=False,
        )


def _by_invoice(without: Run, protected: Run, cases: Sequence[Case]) -> Table:
    table = Table(title="What really happened: cards, messages, files, rows of each invoice", box=box.SIMPLE_HEAD)
    table.add_column("invoice")
    table.add_column("what goes wrong", max_width=46)
    for run in (without, protected):
        table.add_column(run.name, justify="center")
    for case in cases:
        table.add_row(case.invoice.id, case.story, _counts(without, case), _counts(protected, case))
    return table


def _counts(run: Run, case: Case) -> Text:
    counts = [run.ledger.count(effect, case.invoice.id) for effect in Effect]
    return Text("  ").join(Text(str(count), style=_RIGHT if count == 1 else _WRONG) for count in counts)


def _in_total(without: Run, protected: Run, cases: Sequence[Case]) -> Table:
    table = Table(title="In total", box=box.SIMPLE_HEAD)
    table.add_column("effect")
    for heading in ("expected", without.name, "duplicates", protected.name, "duplicates", "missing"):
        table.add_column(heading, justify="right")
    for effect in Effect:
        table.add_row(
            effect.value,
            str(len(cases)),
            str(len(without.ledger.of(effect))),
            _zero_is_right(without.duplicates(effect, cases)),
            str(len(protected.ledger.of(effect))),
            _zero_is_right(protected.duplicates(effect, cases)),
            _zero_is_right(protected.missing(effect, cases)),
        )
    return table


def _zero_is_right(number: int) -> Text:
    return Text(str(number), style=_WRONG if number else _RIGHT)
