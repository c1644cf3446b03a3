"""The plugin as pytest loads it: in suites of their own, beside the plugins that such suites have."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Suite

EVERY_KIND = """
import asyncio

import pytest
from helpers import acreate_card, cards, create_card

from idempotency_manager import InDoubtError, get_manager


@pytest.fixture(params=["asyncio"])
def anyio_backend(request):
    return request.param


@pytest.mark.parametrize("number", range(4))
def test_each_test_has_a_manager_of_its_own(idempotency, number):
    assert get_manager() is idempotency.manager
    assert create_card("evt_1") == create_card("evt_1")
    assert idempotency.assert_executed_once(create_card, "evt_1").replays == 1
    assert idempotency.manager.get_keys() == [create_card.key("evt_1")]
    idempotency.clock.advance("24h")
    create_card("evt_1")
    assert len(idempotency.executions) == 2


@pytest.mark.asyncio
async def test_under_pytest_asyncio(idempotency):
    with idempotency.crash_after_effect():
        await acreate_card("evt_1")
    with pytest.raises(InDoubtError):
        await acreate_card("evt_1")
    await idempotency.concurrent_delivery(acreate_card, "evt_2")


@pytest.mark.anyio
async def test_under_anyio(idempotency):
    with idempotency.crash_after_effect():
        await acreate_card("evt_1")
    await idempotency.duplicate_delivery(acreate_card, "evt_2")


class TestWithSettings:
    @pytest.fixture
    def idempotency_config(self):
        return {"on_in_doubt": "retry", "default_ttl": "1h"}

    def test_they_hold(self, idempotency):
        with idempotency.crash_after_effect():
            create_card("evt_1")
        create_card("evt_1")
        idempotency.clock.advance("1h")
        create_card("evt_1")
        assert len(idempotency.executions) == 3
"""

FAILING = """
from helpers import create_card


def test_it(idempotency):
    create_card("evt_1")
    idempotency.assert_executed_once(create_card, "evt_2")
"""

NOTHING_IMPORTED = """
import sys

OF_THE_PACKAGE = {name for name in sys.modules if name.startswith("idempotency_manager.")}


def test_nothing_was_imported_for_the_plugin():
    import idempotency_manager  # what any import of the plugin imports before

    assert "idempotency_manager.pytest_plugin" in OF_THE_PACKAGE
    assert "idempotency_manager.testing" not in OF_THE_PACKAGE
    assert OF_THE_PACKAGE - {"idempotency_manager.pytest_plugin"} <= BARE


def test_the_first_test_that_asks_imports_it(idempotency):
    assert "idempotency_manager.testing" in sys.modules
"""


def records_in(file: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        (number,) = connection.execute("SELECT count(*) FROM idempotency_records").fetchone()
        (namespaces,) = connection.execute("SELECT count(*) FROM idempotency_namespaces").fetchone()
    assert namespaces > 1
    return int(number)


def test_a_suite_of_every_kind_passes_with_warnings_as_errors(suite: Suite) -> None:
    suite.add(test_every_kind=EVERY_KIND)
    result = suite.run()
    result.assert_outcomes(passed=7)
    result.stdout.no_fnmatch_line("*idempotency store*")


def test_a_suite_in_several_processes_shares_a_real_store(suite: Suite) -> None:
    suite.add(test_every_kind=EVERY_KIND)
    result = suite.run("-n2", f"--idempotency-store=sqlite:///{suite.folder}/records.db")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines([f"idempotency store: sqlite:///{suite.folder}/records.db"])
    assert records_in(f"{suite.folder}/records.db") == 0


def test_a_suite_runs_on_a_server_and_leaves_no_record(suite: Suite, redis_url: str) -> None:
    suite.add(test_every_kind=EVERY_KIND)
    suite.run(f"--idempotency-store={redis_url}").assert_outcomes(passed=7)
    from idempotency_manager import IdempotencyManager

    with IdempotencyManager(redis_url, namespace="test") as look:
        assert look.get_keys() == []


def test_a_failure_shows_what_was_executed_and_the_tests_own_line(suite: Suite) -> None:
    suite.add(test_failing=FAILING)
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>   *idempotency.assert_executed_once(create_card, "evt_2")',
            "E   *AssertionError: create_card('evt_2') was not executed",
            "E   *1. create_card on trello for 'evt_1' with {}: completed: 'card-1'",
        ]
    )
    result.stdout.no_fnmatch_line("*_idempotency.py*")


def test_without_the_plugin_a_suite_goes_on_without_it(suite: Suite) -> None:
    suite.add(test_plain="def test_plain():\n    import idempotency_manager\n", test_failing=FAILING)
    result = suite.run("-p", "no:idempotency_manager")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'idempotency' not found*"])


def test_what_is_no_store_is_refused_before_anything_runs_and_shows_no_password(suite: Suite) -> None:
    suite.add(test_every_kind=EVERY_KIND)
    result = suite.run("--idempotency-store=mysql://user:secret@host/database")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: *--idempotency-store='mysql://user:[*][*][*]@host/database'*known are memory, *"]
    )
    result.stderr.no_fnmatch_line("*secret*")


def test_loading_the_plugin_imports_nothing_that_the_package_does_not(suite: Suite) -> None:
    command = [sys.executable, "-c", "import sys, idempotency_manager; print(*sys.modules)"]
    bare = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    suite.add(test_imports=f"BARE = {set(bare)!r}\n{NOTHING_IMPORTED}")
    suite.run().assert_outcomes(passed=2)


def test_a_package_that_was_imported_before_pytest_is_no_warning(suite: Suite) -> None:
    suite.add(test_failing=FAILING)
    program = "import sys, idempotency_manager, pytest; sys.exit(pytest.main(['-Werror']))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=suite.folder, capture_output=True, text=True, check=False)
    assert "1 failed" in ran.stdout, ran.stdout + ran.stderr
