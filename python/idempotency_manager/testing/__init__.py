"""Help for tests of code that uses the package: what the fixture `idempotency` is, for every runner."""

from __future__ import annotations

from idempotency_manager._core import FaultPlan, ManualClock
from idempotency_manager._default import set_manager

from ._executions import Executed
from ._faults import Fault, SimulatedCrash
from ._idempotency import Idempotency, idempotency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from idempotency_manager._async_manager import AsyncIdempotencyManager
    from idempotency_manager._manager import IdempotencyManager

__all__ = [
    "Executed",
    "Fault",
    "FaultPlan",
    "Idempotency",
    "ManualClock",
    "SimulatedCrash",
    "idempotency",
    "inject",
    "set_manager",
]


def inject(manager: IdempotencyManager | AsyncIdempotencyManager, plan: FaultPlan) -> None:
    """Put a plan of faults between a manager and its store, for the calls that follow.

    The store then answers as one across a network does: later, and not always. What `plan` says nothing of goes well.

        plan = FaultPlan()
        inject(manager, plan)
        plan.fail_before("claim")  # the next claim finds the store out of reach

    Raises:
        IdempotencyError: The manager is closed.
    """
    manager._core.inject(plan)  # noqa: SLF001 - this package's own
