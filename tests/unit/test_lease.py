"""What the thread that renews leases leaves alone."""

import time

from idempotency_manager import IdempotencyManager, State
from idempotency_manager.testing import ManualClock


def test_a_claim_that_lapses_by_a_manual_clock_is_not_renewed_by_the_thread_that_it_started() -> None:
    for _ in range(50):
        clock = ManualClock()
        with (
            IdempotencyManager(clock=clock) as manager,
            manager.claim({"signal_id": "evt_1", "action": "create_card", "target": "trello"}) as attempt,
        ):
            clock.advance("31s")
            time.sleep(0.002)  # the native thread gets its first turn now, in real time
            record = manager.get_record(attempt.key)
            assert record is not None
            assert record.state is State.IN_DOUBT
            attempt.release()
