"""The end of the interpreter: at once, without a hang and without a word, whatever still runs."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

PRELUDE = """
import asyncio, sys, threading, time
import idempotency_manager as im
from idempotency_manager.testing import FaultPlan, inject

ACTION = {"signal_id": "s", "action": "card", "target": "trello"}
manager = im.IdempotencyManager(lease="20ms", cleanup_interval="10ms")
plan = FaultPlan()
"""


def run(code: str, *, exit_code: int = 0) -> str:
    """Run a program that must end within a second or so of its `over()`; answers with what it said."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root / "python"), "PYTHONFAULTHANDLER": "1"},
    )
    ended = time.time()
    assert done.returncode == exit_code, done.stdout
    assert "Fatal" not in done.stdout
    assert "panicked" not in done.stdout
    began = [line for line in done.stdout.splitlines() if line.startswith("over ")]
    assert ended - float(began[-1].split()[1]) < 1.5, done.stdout
    return done.stdout


OVER = "print('over', time.time(), flush=True)\n"

PROGRAMS = {
    "after calls, with cleaning and renewing threads": "manager.execute(ACTION, lambda: time.sleep(0.05))",
    "with a store that waits": "inject(manager, plan); manager.execute(ACTION, lambda: time.sleep(0.05))",
    "with answers on their way": """
        inject(manager, plan)
        plan.delay("get", "30ms")
        for _ in range(50):
            operation = manager._core.get("a:b:c")
    """,
    "with a daemon thread that executes": """
        began = threading.Event()
        slow = lambda: (began.set(), time.sleep(60))
        threading.Thread(target=manager.execute, args=(ACTION, slow), daemon=True).start()
        began.wait()
    """,
    "with daemon threads that wait for a key": """
        began = threading.Event()
        slow = lambda: (began.set(), time.sleep(60))
        for _ in range(5):
            threading.Thread(target=manager.execute, args=(ACTION, slow), daemon=True).start()
        began.wait()
        time.sleep(0.1)
    """,
    "with a daemon thread that waits for a store": """
        inject(manager, plan)
        plan.hold("claim")
        threading.Thread(target=manager.execute, args=(ACTION, int), daemon=True).start()
        plan.wait_for("claim")
        time.sleep(0.1)
    """,
    "with a thread that waits for a key whose holder ends": """
        began, go = threading.Event(), threading.Event()
        slow = lambda: (began.set(), go.wait())
        for _ in range(5):
            threading.Thread(target=manager.execute, args=(ACTION, slow)).start()
        began.wait()
        threading.Timer(0.1, go.set).start()
    """,
    "after asyncio": """
        async def main():
            async def executor():
                await asyncio.sleep(0.01)
            await manager.aexecute(ACTION, executor)
        asyncio.run(main())
    """,
    "after asyncio cancelled what ran": """
        inject(manager, plan)
        plan.delay("claim", "50ms")
        async def main():
            async def executor():
                await asyncio.sleep(60)
            for number in range(10):
                asyncio.ensure_future(manager.aexecute({**ACTION, "signal_id": str(number)}, executor))
            await asyncio.sleep(0.02 if sys.argv[1:] else 0.2)
        asyncio.run(main())
    """,
    "with a loop that was never closed": """
        import warnings
        warnings.simplefilter("ignore")
        inject(manager, plan)
        plan.delay("claim", "20ms")
        async def executor():
            await asyncio.sleep(60)
        loop = asyncio.new_event_loop()
        task = loop.create_task(manager.aexecute(ACTION, executor))
        loop.run_until_complete(asyncio.sleep(0.01))
        task._log_destroy_pending = False
    """,
    "with a manager closed twice": "manager.close(); manager.close()",
    "with many managers": """
        managers = [im.IdempotencyManager(lease="10ms") for _ in range(100)]
        for one in managers:
            one.execute(ACTION, int)
    """,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_ends_at_once_and_well(program: str) -> None:
    run(textwrap.dedent(program).strip() + "\n" + OVER)


def test_an_exception_ends_it_with_its_own_code() -> None:
    run("manager.execute(ACTION, int)\n" + OVER + "sys.exit(3)", exit_code=3)


def test_an_atexit_function_may_still_call() -> None:
    said = run("""
        import atexit
        inject(manager, plan)
        @atexit.register
        def last():
            print("said", manager.execute(ACTION, lambda: "last words"))
            print("over", time.time(), flush=True)
    """)
    assert "said last words" in said


def test_a_thread_that_ends_after_the_main_one_still_calls() -> None:
    said = run("""
        def late():
            threading.main_thread().join()
            print("said", manager.execute(ACTION, lambda: "late"))
            print("over", time.time(), flush=True)
        threading.Thread(target=late).start()
    """)
    assert "said late" in said
