"""The end of the interpreter with a file open: within a second, whatever still runs, and without losing a count."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import idempotency_manager as im
    from tests.integration.conftest import Start

PROGRAM = """
manager = im.IdempotencyManager(STORE, lease="1h")
for _ in range(100):
    manager.execute(action("counted"), lambda: "made")
"""
ENDINGS = {
    "daemon threads in their actions": """
barrier = threading.Barrier(11)
for number in range(10):
    slow = lambda: (barrier.wait(), time.sleep(60))
    threading.Thread(target=manager.execute, args=(action(number), slow), daemon=True).start()
barrier.wait()
""",
    "daemon threads that wait for a key": """
began = threading.Event()
slow = lambda: (began.set(), time.sleep(60))
for _ in range(6):
    threading.Thread(target=manager.execute, args=(action("slow"), slow), daemon=True).start()
began.wait()
time.sleep(0.1)
""",
    "daemon threads that write flat out": """
def busy(name):
    number = 0
    while True:
        number += 1
        manager.execute(action(f"{name}-{number}"), int)
for name in range(8):
    threading.Thread(target=busy, args=(name,), daemon=True).start()
time.sleep(0.3)
""",
    "tasks in their actions": """
async def main():
    async def slow():
        await asyncio.sleep(60)
    for number in range(20):
        asyncio.ensure_future(manager.aexecute(action(number), slow))
    await asyncio.sleep(0.3)
asyncio.run(main())
""",
    "tasks that ask": """
async def main():
    async def quick():
        return 1
    for number in range(500):
        asyncio.ensure_future(manager.aexecute(action(number), quick))
    await asyncio.sleep(0.01)
asyncio.run(main())
""",
    "a loop that was never closed": """
warnings.simplefilter("ignore")
async def slow():
    await asyncio.sleep(60)
loop = asyncio.new_event_loop()
task = loop.create_task(manager.aexecute(action(1), slow))
loop.run_until_complete(asyncio.sleep(0.2))
task._log_destroy_pending = False
""",
    "many managers": """
managers = [im.IdempotencyManager(STORE) for _ in range(30)]
for number, one in enumerate(managers):
    one.execute(action(number), int)
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_takes_under_a_second_and_loses_no_count(
    ending: str, start: Start, durable: im.IdempotencyManager
) -> None:
    program = start(f"{PROGRAM}{ENDINGS[ending]}\nsay(time.time())")
    *_, over = program.hear_all()
    assert time.time() - over < 1
    key = durable.generate_key(signal_id="counted", action="card", target="trello", params={})
    record = durable.get_record(key)
    assert record is not None
    assert record.attempt_count == 100
    assert "Fatal" not in program.errors
