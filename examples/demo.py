"""Runs the same automation twice against a service that misbehaves: without this package, and with it.

    python -m examples.demo

Both runs get the same webhooks and the same faults. The exit code is 0 only where the run without the package made
every duplicate that the faults provoke, and the run with it made exactly one of each effect for each invoice.
"""

import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from examples.ledger_service import LedgerService, Plan
from examples.ledger_service.webhooks import deliver_at_once
from examples.report import Run, problems, show
from examples.scenario import CASES, WRITES, Case, plan_of
from examples.supervisor import Supervisor
from idempotency_manager import IdempotencyManager, State


def main() -> int:
    """Run both automations, print what they did, and return the exit code."""
    console = Console()
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(2) as pool:
        # Each run has a service, a ledger and a process of its own, so they can share the time.
        without = pool.submit(_run, "examples.automation_unprotected", Path(directory), guarded=False)
        protected = pool.submit(_run, "examples.automation", Path(directory), guarded=True)
        runs = without.result(), protected.result()
    show(console, *runs, CASES)
    found = problems(*runs, CASES)
    for problem in found:
        console.print(problem, style="bold red")
    return 1 if found else 0


def _run(module: str, directory: Path, *, guarded: bool) -> Run:
    """Send every webhook of the scenario to one automation, and see what became of it."""
    started = time.monotonic()
    name = "with" if guarded else "without"
    store = f"sqlite:///{directory / name}.db"
    with LedgerService(Plan(plan_of(CASES))) as service:
        environment = {"LEDGER_URL": service.url, "IDEMPOTENCY_STORE": store}
        with Supervisor(module, environment, directory / f"{name}.log") as supervisor:
            service.kill_caller = supervisor.kill_and_restart
            _deliver_everything(supervisor)
    seconds = time.monotonic() - started
    # Only the guarded automation ever looks, so only it can meet the faults of looking.
    due = [place for place in service.plan.unused() if guarded or place[0] in WRITES]
    unproved = [f"{endpoint} {subject}" for endpoint, subject in due]
    return Run(name, service.ledger, unproved, seconds, _remembered(store) if guarded else Counter())


def _remembered(store: str) -> Counter[State]:
    """Count what the store knows, now that the process that used it is gone."""
    with IdempotencyManager(store) as manager:
        return Counter(record.state for record in manager.iter_records())


def _deliver_everything(supervisor: Supervisor) -> None:
    """Deliver the webhooks: most at the same time, those that kill the automation alone, late ones last."""

    def send(case: Case) -> None:
        deliver_at_once(case.invoice.to_event(), supervisor.url, case.copies)

    with ThreadPoolExecutor(len(CASES)) as pool:
        for sent in [pool.submit(send, case) for case in CASES if not case.kills]:
            sent.result()
    for case in CASES:
        if case.kills:
            send(case)
    for case in CASES:
        if case.again:
            send(case)


if __name__ == "__main__":
    sys.exit(main())
