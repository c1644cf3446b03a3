"""A process that is killed or stopped while it holds a claim, as the others see it, and as it sees it when it wakes."""

import signal
import time
from pathlib import Path

import pytest

from tests.integration.store_user import LEASE_SECONDS, user

HOUR_SECONDS = 3_600.0


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'records.db'}"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_holder_leaves_its_action_in_doubt_long_before_its_lease_lapses(
    store: str, number: signal.Signals
) -> None:
    with user(store, lease=HOUR_SECONDS) as holder, user(store, lease=HOUR_SECONDS) as other:
        holder("execute", name="a", pause=True)
        holder.process.send_signal(number)
        assert holder.process.wait(10) == -number
        assert other("state", name="a") == {"result": "in_doubt"}
        answer = other("execute", name="a")
        assert (answer["error"], answer["effects"]) == ("InDoubtError", 0)
        assert other("execute", name="a", found="card 1") == {"result": "card 1", "effects": 0}


def test_a_waiter_learns_at_once_that_the_holder_was_killed(store: str) -> None:
    with user(store, lease=HOUR_SECONDS) as holder, user(store, lease=HOUR_SECONDS) as waiter:
        holder("execute", name="a", pause=True)
        waiter.send("execute", name="a", found="card 1")
        holder.process.kill()
        assert waiter.read() == {"result": "card 1", "effects": 0}


def test_a_stopped_holder_wakes_to_a_lost_lease_and_keeps_its_result(store: str) -> None:
    with user(store) as holder, user(store) as other:
        holder("execute", name="a", pause=True)
        holder.process.send_signal(signal.SIGSTOP)
        assert other("execute", name="a", found="card 1") == {"result": "card 1", "effects": 0}  # waits for the lapse
        holder.process.send_signal(signal.SIGCONT)
        answer = holder("go")
        assert (answer["error"], answer["carried"], answer["effects"]) == ("LeaseLostError", "a", 1)
        assert other("execute", name="a") == {"result": "card 1", "effects": 0}


def test_a_stopped_holder_that_nobody_has_overtaken_completes_when_it_wakes(store: str) -> None:
    with user(store) as holder, user(store) as other:
        holder("execute", name="a", pause=True)
        holder.process.send_signal(signal.SIGSTOP)
        time.sleep(2 * LEASE_SECONDS)  # the lease is real time's
        assert other("state", name="a") == {"result": "in_doubt"}
        assert other("execute", name="a")["error"] == "InDoubtError"
        holder.process.send_signal(signal.SIGCONT)
        assert holder("go") == {"result": "a", "effects": 1}
        assert other("execute", name="a") == {"result": "a", "effects": 0}
