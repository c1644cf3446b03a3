"""A callable that is called at every interval."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from idempotency_manager import ConfigurationError
from idempotency_manager.telemetry import every
from idempotency_manager.testing import FaultPlan, inject

if TYPE_CHECKING:
    from idempotency_manager import IdempotencyManager
    from idempotency_manager.telemetry import Reading

PATIENCE = 10


class Sent:
    """Readings as they come; a test waits for as many as it wants."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self._arrived = threading.Condition()

    def __call__(self, reading: Reading) -> None:
        with self._arrived:
            self.readings.append(reading)
            self._arrived.notify_all()

    def wait_for(self, count: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.readings) >= count, PATIENCE)


def test_a_reading_is_sent_at_every_interval(manager: IdempotencyManager) -> None:
    sent = Sent()
    with every("10ms", sent):
        manager.mark_executed("a:b:c", 1)
        sent.wait_for(3)
    assert sent.readings[-1].stats.total_cached == 1


def test_closing_sends_one_last_reading_and_ends_the_thread(manager: IdempotencyManager) -> None:
    sent = Sent()
    before = threading.active_count()
    reporter = every("1h", sent, manager)
    assert threading.active_count() == before + 1
    manager.mark_executed("a:b:c", 1)
    reporter.close()
    reporter.close()
    assert threading.active_count() == before
    assert [reading.stats.total_cached for reading in sent.readings] == [1]


def test_it_ends_with_its_manager(manager: IdempotencyManager) -> None:
    sent = Sent()
    reporter = every("10ms", sent, manager)
    sent.wait_for(1)
    manager.close()
    reporter._thread.join(PATIENCE)
    assert not reporter._thread.is_alive()


def test_what_the_callable_raises_is_logged_and_it_is_called_again(
    manager: IdempotencyManager, caplog: pytest.LogCaptureFixture
) -> None:
    sent = Sent()

    def fails_first(reading: Reading) -> None:
        sent(reading)
        if len(sent.readings) == 1:
            raise ValueError("no route")

    with caplog.at_level(logging.ERROR, "idempotency_manager"), every("10ms", fails_first, manager):
        sent.wait_for(2)
    (logged,) = caplog.records
    assert "fails_first" in logged.getMessage()
    assert logged.exc_info is not None
    assert str(logged.exc_info[1]) == "no route"


def test_a_store_out_of_reach_is_logged_and_read_again(
    manager: IdempotencyManager, caplog: pytest.LogCaptureFixture
) -> None:
    plan, sent = FaultPlan(), Sent()
    inject(manager, plan)
    plan.fail_before("tally")
    with caplog.at_level(logging.WARNING, "idempotency_manager"), every("10ms", sent, manager):
        sent.wait_for(1)
    assert "could not read a store" in caplog.records[0].getMessage()


def test_a_callable_may_close_its_reporter(manager: IdempotencyManager) -> None:
    closed = threading.Event()

    def closes(_: Reading) -> None:
        reporter.close()
        closed.set()

    reporter = every("10ms", closes, manager)
    assert closed.wait(PATIENCE)
    reporter._thread.join(PATIENCE)
    assert not reporter._thread.is_alive()


def test_it_goes_on_in_a_forked_child(manager: IdempotencyManager) -> None:
    sent = Sent()
    with every("20ms", sent, manager):
        sent.wait_for(1)
        child = os.fork()
        if child == 0:
            before = len(sent.readings)
            try:
                sent.wait_for(before + 2)
            finally:
                os._exit(0 if len(sent.readings) >= before + 2 else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_it_stays_closed_in_a_forked_child(manager: IdempotencyManager) -> None:
    every("1h", Sent(), manager).close()
    child = os.fork()
    if child == 0:
        os._exit(threading.active_count() - 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_last_reading_is_sent_when_the_process_ends() -> None:
    program = (
        "from idempotency_manager import get_manager, telemetry\n"
        "telemetry.every('1h', lambda reading: print(reading.stats.total_cached))\n"
        "get_manager().mark_executed('a:b:c', 1)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert (ended.stdout, ended.stderr) == ("1\n", "")


def test_a_callable_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = (
        "import threading\n"
        "from idempotency_manager import telemetry\n"
        "telemetry.every('1h', lambda reading: threading.Event().wait())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


@pytest.mark.parametrize("interval", [0, "10", -1, None])
def test_an_interval_that_is_none_is_refused(manager: IdempotencyManager, interval: object) -> None:
    with pytest.raises(ConfigurationError, match="interval"):
        every(interval, Sent(), manager)  # type: ignore[arg-type]
