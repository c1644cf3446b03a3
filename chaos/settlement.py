"""After the last kill: settles what is in doubt, finishes what is unfinished, and audits store against ledger."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.ledger import DONE
from chaos.lines import Line
from chaos.stores import Place
from chaos.worker import action_of, has_latch, open_store, perform
from idempotency_manager import IdempotencyManager, IdempotencyRecord, State

_BEGINNING_SECONDS, _PATIENCE_SECONDS = 60.0, 10.0
_ATTEMPTS = 20

Actions = Mapping[str, Mapping[str, Any]]


@dataclass(slots=True)
class Findings:
    """What the settlement met, as lists of actions.

    Attributes:
        doubts: In doubt after the last kill.
        happened: Of these, the ones whose effect was in the ledger.
        undone: A worker had passed the result on, and the store says no more than that the action was begun.
        forgotten: A worker had passed the result on, and the store no longer has it.
        not_told: A worker was told "executed" for an effect that others had found meanwhile.
        unnoticed: Still "in progress" although every process that could be at it is dead.
        unfinished: Could not be finished.
        actions: The ledger's history of each, at the end.
        records: The store's record of each, at the end.
        report: The rest of the ledger's report, before the settlement.
    """

    doubts: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    not_told: list[str] = field(default_factory=list)
    unnoticed: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    actions: Actions = field(default_factory=dict)
    records: Mapping[str, IdempotencyRecord | None] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def duplicates(self) -> int:
        """Effects beyond the first of each action."""
        return duplicates(self.actions)

    @property
    def unreported(self) -> list[str]:
        """Of the actions that were doubled, those of which nobody was told that they were in doubt."""
        told = {*self.in_doubt, *(name for name, history in self.actions.items() if history["reports"])}
        return [name for name, history in self.actions.items() if len(history["effects"]) > 1 and name not in told]

    @property
    def lost(self) -> list[str]:
        """Actions whose effect or result is gone: no effect, no record of it, or one that was there and is not."""
        return [name for name in self.actions if name in self.forgotten or not self._is_right(name)]

    @property
    def suspects(self) -> list[str]:
        """The actions to look into: doubled, lost, or not settled."""
        doubled = (name for name, history in self.actions.items() if len(history["effects"]) > 1)
        return [*doubled, *self.lost, *self.unnoticed, *self.unfinished]

    @property
    def in_doubt(self) -> list[str]:
        """Actions that were in doubt at any time: a reconciler looked, or the settlement found them so."""
        return [name for name, history in self.actions.items() if history["looks"] or name in self.doubts]

    @property
    def reconciled(self) -> list[str]:
        """Of these, the ones that ended with one effect and a record of just that."""
        return [name for name in self.in_doubt if self._is_right(name) and len(self.actions[name]["effects"]) == 1]

    def _is_right(self, name: str) -> bool:
        record = self.records.get(name)
        effects: Sequence[int] = self.actions[name]["effects"]
        return bool(effects) and _is_recorded(record, effects)


def duplicates(actions: Actions) -> int:
    """Count the effects beyond the first of each action."""
    return sum(max(0, len(history["effects"]) - 1) for history in actions.values())


def time_to_begin(line: Line) -> float:
    """Wait until a worker has done something, and return the seconds that took.

    Raises:
        TimeoutError: None has.
    """
    begin = time.monotonic()
    while not line.ask("report")["outcomes"]:
        if time.monotonic() > begin + _BEGINNING_SECONDS:
            raise TimeoutError("no worker has done anything; the logs in --folder say why")
        time.sleep(0.02)
    return time.monotonic() - begin


def quiet_report(line: Line) -> Mapping[str, Any]:
    """Wait until nobody can send any more, and return what the ledger knows then.

    Raises:
        TimeoutError: Somebody still can.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while (report := line.ask("report"))["open"]:
        if time.monotonic() > end:
            raise TimeoutError(f"{report['open']} calls are still open, though every worker is dead")
        time.sleep(0.02)
    return report


def settle(line: Line, place: Place, lease: float) -> Findings:
    """Settle and audit; every worker must be dead."""
    found = Findings(report=quiet_report(line))
    actions: Actions = found.report["actions"]
    # Where the completion that it was told of may be undone, they may have found the action in doubt after that.
    found.not_told = [] if place.may_undo else list(found.report["not_told"])
    if not place.sees_deaths:
        time.sleep(lease)
    with open_store(place.url, lease) as manager:
        records = {name: _record(manager, name) for name in actions}
        for name, record in records.items():
            acknowledged = actions[name]["acknowledged"]
            if acknowledged is not None and not _is_recorded(record, [acknowledged]):
                (found.undone if record and place.may_undo else found.forgotten).append(name)
            if record and record.state is State.IN_PROGRESS and not has_latch(name):
                found.unnoticed.append(name)
        _resolve(manager, actions, found)
        done = {name for name, record in records.items() if record and record.state is State.COMPLETED}
        done.update(found.happened)
        found.unfinished = [name for name in actions if not _finish(line, manager, name, is_done=name in done)]
        found.records = {name: _record(manager, name) for name in actions}
    found.actions = line.ask("report")["actions"]
    return found


def _resolve(manager: IdempotencyManager, actions: Actions, found: Findings) -> None:
    """Settle by hand what is in doubt: nobody can send any more, so what is not in the ledger did not happen."""
    for record in manager.get_in_doubt():
        name = str(record.signal_id)
        effects = actions[name]["effects"]
        found.doubts.append(name)
        if effects:
            found.happened.append(name)
            manager.resolve_in_doubt(record.key, result={"number": effects[0]})
        else:
            manager.resolve_in_doubt(record.key, not_executed=True)


def _finish(line: Line, manager: IdempotencyManager, name: str, *, is_done: bool) -> bool:
    """Ask for an action once more, as its caller would: what is done is replayed, what is not is done now."""
    for _ in range(_ATTEMPTS):
        # Without a call, the ledger hangs up on whoever would do it again.
        call = None if is_done else line.ask("deliveries", action=name)["call"]
        ended = perform(line, manager, name)
        if ended["outcome"] in DONE:
            return True
        if not line.renewed() and call is not None:
            line.ask("outcomes", call=call, **ended)
    return False


def _record(manager: IdempotencyManager, name: str) -> IdempotencyRecord | None:
    return manager.get_record(manager.generate_key(action_of(name)))


def _is_recorded(record: IdempotencyRecord | None, effects: Sequence[int]) -> bool:
    return record is not None and record.state is State.COMPLETED and record.result.get("number") in effects
