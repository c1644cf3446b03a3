"""Processes that are killed anywhere in a transaction: the row and the memory of it are both there, or neither is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.killed_writers import ACTIONS, KILLS, ROUNDS

ROOT = Path(__file__).parents[2]
LEAST_STATEMENTS = 12  # what a call takes in a database that has the tables already, the caller's own included

everywhere = pytest.mark.parametrize("owner", ["call", "caller"])
both_journals = pytest.mark.parametrize("journal_mode", ["wal", "delete"])


def run(how: str, folder: Path, journal_mode: str, owner: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.integration.killed_writers", how, str(folder), journal_mode, owner]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def remembered(left: dict[str, Any]) -> list[str]:
    """The signals of all records, each of which is completed."""
    assert {state for _, state, _, _ in left["records"]} <= {"completed"}
    return sorted(signal_id for signal_id, *_ in left["records"])


def assert_both_or_neither(left: dict[str, Any]) -> None:
    assert sorted(left["cards"]) == remembered(left)
    assert len(set(left["cards"])) == len(left["cards"])


@everywhere
@both_journals
def test_killed_before_any_statement_it_has_left_both_or_neither(tmp_path: Path, journal_mode: str, owner: str) -> None:
    runs = run("statement", tmp_path, journal_mode, owner)
    statuses = [each["status"] for each in runs]
    assert statuses.count(0) == 2, "one came through with the tables, one without"
    assert set(statuses) == {0, -signal.SIGKILL}
    assert len(runs) > 2 * LEAST_STATEMENTS
    for each in runs:
        assert_both_or_neither(each["killed"])
        assert each["again"]["cards"] == ["inv-0"]
        [(_, state, result, attempts)] = each["again"]["records"]
        assert (state, result) == ("completed", '"card-0"')
        assert attempts == 1 + len(each["killed"]["cards"])
    assert {len(each["killed"]["cards"]) for each in runs} == {0, 1}, "some were killed before, some after the commit"


@everywhere
@both_journals
def test_killed_inside_a_commit_it_has_left_both_or_neither(tmp_path: Path, journal_mode: str, owner: str) -> None:
    runs = run("size", tmp_path, journal_mode, owner)
    killed = [each for each in runs if each["status"] == -signal.SIGXFSZ]
    assert len(killed) > 2
    assert len(runs) - len(killed) == 2
    for each in runs:
        assert_both_or_neither(each["killed"])
        assert each["again"]["cards"] == remembered(each["again"]) == ["inv-0"]


@everywhere
@both_journals
def test_killed_at_random_it_never_has_one_without_the_other(tmp_path: Path, journal_mode: str, owner: str) -> None:
    *killed, last = run("random", tmp_path, journal_mode, owner)
    assert len(killed) == KILLS
    for each in killed:
        assert_both_or_neither(each["killed"])
    assert last["status"] == 0
    assert sorted(last["again"]["cards"]) == remembered(last["again"]) == sorted(f"inv-{n}" for n in range(ACTIONS))


@pytest.mark.parametrize("owner", ["call", "caller", "caller, deferred"])
@both_journals
def test_of_two_that_race_one_runs_and_the_other_is_answered(tmp_path: Path, journal_mode: str, owner: str) -> None:
    rounds = run("race", tmp_path, journal_mode, owner)
    assert len(rounds) == ROUNDS
    for each in rounds:
        assert each["statuses"] == [0, 0]
        assert each["again"]["cards"] == ["inv-0"]
        assert [record[1:] for record in each["again"]["records"]] == [["completed", '"card-0"', 2]]
