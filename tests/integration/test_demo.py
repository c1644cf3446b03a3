"""The programs in examples/, run as a user runs them."""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from examples.ledger_service import Effect, Fault, Ledger
from examples.report import Run, problems
from examples.scenario import CASES, WRITES
from idempotency_manager import State

ROOT = Path(__file__).parents[2]
WANTED = len(CASES) * len(Effect)
PLANNED = sum(case.planned_duplicates for case in CASES)
TOTAL = re.compile(r"^(\w+): (\d+) effects where (\d+) were wanted, (\d+) duplicates, (\d+) missing", re.MULTILINE)


def run(module: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module]
    environment = {**os.environ, "COLUMNS": "120"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=55, check=False)


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    return run("examples.demo")


def ledger_with(copies: int) -> Ledger:
    """Make the ledger of a run that left `copies` of every effect for every invoice."""
    ledger = Ledger()
    for effect in Effect:
        for case in CASES:
            for _ in range(copies):
                ledger.add(effect, case.invoice.id, lambda _number: {})
    return ledger


def bare_run(copies: int = 2) -> Run:
    return Run("without", ledger_with(copies), (), 1.0)


def guarded_run(copies: int = 1, unproved: tuple[str, ...] = ()) -> Run:
    return Run("with", ledger_with(copies), unproved, 1.0, Counter({State.COMPLETED: WANTED}))


def test_the_demo_prints_duplicates_without_the_package_and_none_with_it(
    demo: subprocess.CompletedProcess[str],
) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    totals = {name: tuple(map(int, numbers)) for name, *numbers in TOTAL.findall(demo.stdout)}
    assert totals["with"] == (WANTED, WANTED, 0, 0)
    happened, wanted, duplicates, missing = totals["without"]
    assert (wanted, missing) == (WANTED, 0)
    assert happened - wanted == duplicates >= PLANNED


def test_the_tables_show_one_of_each_effect_for_each_invoice_with_the_package(
    demo: subprocess.CompletedProcess[str],
) -> None:
    rows = re.findall(r"^ *(INV-\d+) .*?((?:\d+ +){7}\d+) *$", demo.stdout, re.MULTILINE)
    assert [invoice for invoice, _ in rows] == [case.invoice.id for case in CASES]
    assert {tuple(counts.split()[4:]) for _, counts in rows} == {("1", "1", "1", "1")}


@pytest.mark.parametrize(
    ("module", "printed"),
    [
        ("examples.webhook_handler", "16 deliveries, 2 charges, 2 different answers"),
        ("examples.worker", "50 calls, 5 mails, results agree"),
    ],
)
def test_a_small_example_does_each_thing_once(module: str, printed: str) -> None:
    example = run(module)
    assert (example.returncode, example.stdout.strip()) == (0, printed), example.stderr


def test_a_demo_that_shows_what_it_promises_has_no_problem() -> None:
    assert problems(bare_run(), guarded_run(), CASES) == []


def test_a_duplicate_with_the_package_is_a_problem() -> None:
    assert problems(bare_run(), guarded_run(copies=2), CASES) == [f"with: {WANTED} duplicates"]


def test_a_missing_effect_with_the_package_is_a_problem() -> None:
    assert problems(bare_run(), guarded_run(copies=0), CASES) == [f"missing effects: 0 without, {WANTED} with"]


def test_a_run_without_the_package_that_has_no_duplicate_proves_nothing() -> None:
    found = problems(bare_run(copies=1), guarded_run(), CASES)
    assert found == [f"without: 0 duplicates of {PLANNED} planned, so this proves nothing"]


def test_an_action_that_the_store_does_not_know_as_finished_is_a_problem() -> None:
    protected = replace(guarded_run(), remembered=Counter({State.COMPLETED: WANTED - 1, State.IN_DOUBT: 1}))
    assert problems(bare_run(), protected, CASES) == [
        f"with: the store remembers {WANTED - 1} completed, 1 in doubt, of {WANTED} actions"
    ]


def test_a_planned_fault_that_never_came_about_is_a_problem() -> None:
    assert problems(bare_run(), guarded_run(unproved=("slack.post INV-003",)), CASES) == [
        "with: never came about: slack.post INV-003"
    ]


def test_the_scenario_has_every_fault_and_every_way_of_delivery() -> None:
    planned = {fault for case in CASES for name in WRITES for fault in case.faults.get(name, ())}
    assert planned == set(Fault)
    assert any(case.copies > 1 for case in CASES)
    assert any(case.again for case in CASES)
