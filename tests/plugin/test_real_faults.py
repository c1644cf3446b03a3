"""A planned fault leaves behind what the real one does: the two are compared on one store."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import IdempotencyManager, InDoubtError, LeaseLostError, ResultNotRecordedError, testing
from idempotency_manager.testing import FaultPlan, Idempotency, inject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from idempotency_manager import IdempotencyRecord

KILLED = """
import os, signal, sys
from idempotency_manager import IdempotencyManager

with IdempotencyManager(sys.argv[1], namespace=sys.argv[2]) as manager:
    manager.execute(
        {"signal_id": "evt_1", "action": "real", "target": "t"},
        lambda: os.kill(os.getpid(), signal.SIGKILL),
    )
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/records.db"


@pytest.fixture
def idempotency(url: str) -> Iterator[Idempotency]:
    with testing.idempotency(url) as opened:
        yield opened


def action(name: str) -> dict[str, Any]:
    return {"signal_id": "evt_1", "action": name, "target": "t"}


def left(idempotency: Idempotency, name: str) -> tuple[object, ...]:
    """What the next caller may see of an action."""
    manager = idempotency.manager
    record = manager.get_record(manager.generate_key(action(name)))
    return None if record is None else shown(record)  # type: ignore[return-value]


def shown(record: IdempotencyRecord) -> tuple[object, ...]:
    return record.state, record.error, record.executed_at, record.result, record.attempt_count, record.signal_id


def test_a_crash_leaves_what_a_killed_process_leaves(idempotency: Idempotency, url: str) -> None:
    namespace = idempotency.manager.config.namespace
    killed = subprocess.run([sys.executable, "-c", KILLED, url, namespace], check=False)
    assert killed.returncode == -signal.SIGKILL
    with idempotency.crash_after_effect():
        idempotency.manager.execute(action("planned"), lambda: "card-1")
    with idempotency.crash_before_effect():
        idempotency.manager.execute(action("before"), lambda: "card-1")
    assert left(idempotency, "planned") == left(idempotency, "before") == left(idempotency, "real")
    for name in ("planned", "before", "real"):
        with pytest.raises(InDoubtError):
            idempotency.manager.execute(action(name), lambda: "card-2")


def test_a_store_that_is_down_leaves_what_one_leaves_that_does_not_answer(idempotency: Idempotency) -> None:
    errors = []
    with idempotency.store_down_after_effect(), pytest.raises(ResultNotRecordedError) as caught:
        idempotency.manager.execute(action("planned"), lambda: "card-1")
    errors.append(caught.value)
    plan = FaultPlan()
    inject(idempotency.manager, plan)
    plan.fail_before("finish", None)
    with pytest.raises(ResultNotRecordedError) as caught:
        idempotency.manager.execute(action("real"), lambda: "card-1")
    plan.heal()
    errors.append(caught.value)
    idempotency.clock.advance("31s")  # what the planned fault does at once
    assert [error.result for error in errors] == ["card-1", "card-1"]
    assert [execution.outcome for execution in idempotency.executions] == ["not_recorded", "not_recorded"]
    assert left(idempotency, "planned") == left(idempotency, "real")


def test_a_lost_lease_leaves_what_another_process_leaves_that_takes_over_and_dies(
    idempotency: Idempotency, url: str
) -> None:
    errors = []
    config = idempotency.manager.config

    def be_overtaken() -> str:
        idempotency.clock.advance("31s")
        with (
            IdempotencyManager(url, namespace=config.namespace, clock=idempotency.clock) as other,
            pytest.raises(LookupError),
        ):
            other.execute(action("real"), die, on_in_doubt="retry", in_doubt_on=(LookupError,))
        return "card-1"

    def die() -> str:
        raise LookupError

    with idempotency.lease_lost(action="planned"), pytest.raises(LeaseLostError) as caught:
        idempotency.manager.execute(action("planned"), lambda: "card-1")
    errors.append(caught.value)
    with pytest.raises(LeaseLostError) as caught:
        idempotency.manager.execute(action("real"), be_overtaken)
    errors.append(caught.value)
    for error in errors:
        assert error.result == "card-1"
        assert error.record is not None
        assert error.record.attempt_count == 2
    planned, real = left(idempotency, "planned"), left(idempotency, "real")
    assert (planned[0], *planned[2:]) == (real[0], *real[2:])  # but for why the other one ended
