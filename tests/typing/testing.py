"""What type checkers say of tests that use `idempotency_manager.testing`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, assert_type

from idempotency_manager import AsyncIdempotencyManager, IdempotencyManager, idempotent, testing
from idempotency_manager.testing import Executed, Fault, Idempotency, ManualClock, SimulatedCrash


@idempotent(target="trello")
def create_card(signal_id: str, title: str) -> dict[str, int]:
    return {title: len(signal_id)}


@idempotent(target="trello")
async def acreate_card(signal_id: str) -> int:
    return len(signal_id)


def executions(idempotency: Idempotency) -> None:
    assert_type(idempotency.manager, IdempotencyManager)
    assert_type(idempotency.clock, ManualClock)
    assert_type(idempotency.executions, list[Executed])
    execution = idempotency.assert_executed_once(create_card, "evt_1", title="hello")
    assert_type(execution, Executed)
    assert_type(execution.params, Mapping[str, Any] | None)
    assert_type(execution.error, str | None)
    assert_type(execution.replays, int)
    idempotency.assert_executed_once(action="create_card", target="trello")
    idempotency.assert_not_executed()


def faults(idempotency: Idempotency) -> None:
    with idempotency.crash_after_effect(create_card) as fault:
        create_card("evt_1", "hello")
    assert_type(fault, Fault)
    assert_type(fault.struck, Executed | None)
    for other in (idempotency.crash_before_effect(), idempotency.lease_lost(action="a")):
        assert_type(other, Fault)
    idempotency.store_down_after_effect(create_card, signal_id="evt_1")
    idempotency.lease_lost(action=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def deliveries(idempotency: Idempotency) -> None:
    assert_type(idempotency.duplicate_delivery(create_card, "evt_1", title="hello"), dict[str, int])
    assert_type(await idempotency.concurrent_delivery(acreate_card, "evt_1"), int)
    idempotency.duplicate_delivery(create_card, 1, "hello")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def outside_pytest(manager: AsyncIdempotencyManager) -> None:
    opened = testing.idempotency("sqlite:///records.db", default_ttl="7d", clock=ManualClock())
    assert_type(opened.__enter__(), Idempotency)
    with testing.idempotency() as idempotency:
        idempotency.adopt(manager)
    as_any: AbstractContextManager[Idempotency] = testing.idempotency()
    del as_any
    testing.idempotency(default_tll="7d")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    crash: BaseException = SimulatedCrash()
    del crash
