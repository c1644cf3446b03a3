"""Runs the same automation twice against services that misbehave: without this package, and with it.

    python -m examples.demo

Both runs get the same webhooks and the same faults; one webhook is the end of the automation's process, between an
effect and the record of it. The run with this package keeps its records in a SQLite file, which outlasts the process.

The exit code is 0 only where the run without the package made every duplicate that the faults provoke, and the run with
it made exactly one of each effect for each invoice.
"""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from examples.ledger_service import LedgerService, Plan
from examples.ledger_service.webhooks import deliver_at_once, is_acknowledged
from examples.process import Automation, ask_for_stats, running
from examples.report import Run, conclude, introduce, problems, show
from examples.scenario import CASES, WRITES, Case, plan_of


def main() -> int:
    """Run both automations, print what they did, and return the exit code."""
    console = Console()
    introduce(console, CASES)
    # Each run has a service, a ledger and a process of its own, so they can share the time.
    with (
        console.status("sending the webhooks to both …"),
        tempfile.TemporaryDirectory() as directory,
        ThreadPoolExecutor(2) as pool,
    ):
        without = pool.submit(_run, "without", "examples.automation_unprotected", Path(directory))
        protected = pool.submit(_run, "with", "examples.automation", Path(directory))
        runs = without.result(), protected.result()
    show(console, *runs, CASES)
    found = problems(*runs, CASES)
    conclude(console, *runs, CASES, found)
    return 1 if found else 0


def _run(name: str, module: str, directory: Path) -> Run:
    """Send every webhook of the scenario to one automation, and see what became of it."""
    with LedgerService(Plan(plan_of(CASES))) as service:
        store = f"sqlite:///{quote(str(directory / 'records.db'))}"
        environment = {"LEDGER_URL": service.url, "IDEMPOTENCY_STORE": store}
        with running(module, environment, directory / f"{name}.log") as automation:
            _deliver_everything(automation)
            stats = ask_for_stats(automation.url)
    # Only the automation that uses the package ever looks, so only it can meet the faults of looking.
    due = [place for place in service.plan.unused() if stats or place[0] in WRITES]
    unproved = [f"{endpoint} {subject}" for endpoint, subject in due]
    return Run(name, service.ledger, unproved, stats)


def _deliver_everything(automation: Automation) -> None:
    """Deliver the webhooks: first all that come at the same time, then those that come again, then the fatal ones."""

    def send(case: Case) -> None:
        deliver_at_once(case.invoice.to_event(), automation.url, case.copies)

    with ThreadPoolExecutor(len(CASES)) as pool:
        for sent in [pool.submit(send, case) for case in CASES if not case.fatal]:
            sent.result()
    for case in CASES:
        if case.again:
            send(case)
    for case in CASES:
        if case.fatal:
            # Counters are written behind the calls that they count. Asking for them has them written before the kill.
            ask_for_stats(automation.url)
            is_acknowledged(case.invoice.to_event(), automation.url)
            automation.start_again()
            send(case)


if __name__ == "__main__":
    sys.exit(main())
