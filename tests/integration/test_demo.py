"""The programs in examples/, run as a user runs them."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from examples.ledger_service import Effect, Fault, Ledger
from examples.report import Run, problems
from examples.scenario import CASES, WRITES

ROOT = Path(__file__).parents[2]
COLUMNS = 80
WANTED = len(CASES) * len(Effect)
PLANNED = sum(case.planned_duplicates for case in CASES)


def run(module: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module]
    environment = {**os.environ, "COLUMNS": str(COLUMNS)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=55, check=False)


def rows(demo: subprocess.CompletedProcess[str], start: str) -> list[str]:
    """Return the rows of the printed tables that start so, in order."""
    return [line for line in demo.stdout.splitlines() if line.startswith(f"│{start}")]


def numbers(row: str) -> list[int]:
    """Return the numbers of a row that stand alone."""
    return [int(number) for number in re.findall(r"(?<=[ │])\d+(?= )", row)]


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
    return Run("without", ledger_with(copies), ())


def guarded_run(copies: int = 1, unproved: tuple[str, ...] = ()) -> Run:
    return Run("with", ledger_with(copies), unproved, {"total_cached": WANTED, "in_progress": 0, "in_doubt": 0})


def test_the_demo_prints_duplicates_without_the_package_and_none_with_it(
    demo: subprocess.CompletedProcess[str],
) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    without, protected = [numbers(row) for row in rows(demo, "   all ")]
    assert protected == [WANTED, WANTED, 0, 0]
    wanted, happened, duplicates, missing = without
    assert (wanted, missing) == (WANTED, 0)
    assert happened - wanted == duplicates >= PLANNED


def test_the_last_line_says_what_has_been_seen(demo: subprocess.CompletedProcess[str]) -> None:
    last = demo.stdout.splitlines()[-1]
    assert re.fullmatch(r"The same faults made \d+ duplicates without idempotency_manager, none with it\.", last)


def test_the_output_fits_a_narrow_terminal_without_a_broken_row(demo: subprocess.CompletedProcess[str]) -> None:
    assert max(map(len, demo.stdout.splitlines())) <= COLUMNS
    assert len(rows(demo, " INV-")) == len(CASES)
    assert all(case.story in demo.stdout for case in CASES)
    assert "…" not in demo.stdout


def test_the_tables_show_one_of_each_effect_for_each_invoice_with_the_package(
    demo: subprocess.CompletedProcess[str],
) -> None:
    assert [numbers(row)[-len(Effect) :] for row in rows(demo, " INV-")] == [[1] * len(Effect)] * len(CASES)


def test_a_kill_between_the_card_and_its_record_makes_a_second_card_only_without_the_package(
    demo: subprocess.CompletedProcess[str],
) -> None:
    [killed] = [case for case in CASES if case.fatal]
    [row] = rows(demo, f" {killed.invoice.id} ")
    assert numbers(row)[-2 * len(Effect) :] == [2, 1, 1, 1, 1, 1, 1, 1]


def test_the_package_counts_one_kept_result_for_each_effect(demo: subprocess.CompletedProcess[str]) -> None:
    counted = {name: numbers(*rows(demo, f" {name} ")) for name in ("total_cached", "in_progress", "in_doubt")}
    assert counted == {"total_cached": [WANTED], "in_progress": [0], "in_doubt": [0]}


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
    stats = {"total_cached": WANTED - 1, "in_progress": 0, "in_doubt": 1}
    assert problems(bare_run(), replace(guarded_run(), stats=stats), CASES) == [
        f"with: of {WANTED} actions, {WANTED - 1} are finished, 0 in progress, 1 in doubt"
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
    assert any(case.fatal for case in CASES)
