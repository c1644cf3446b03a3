"""`fork`, in every thread and at every moment: the child works, and the parent goes on unharmed."""

import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PRELUDE = """
import faulthandler, logging, os, signal, sys, threading, time, warnings
logging.disable()
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads: that is the point
{before}
import idempotency_manager as im
from idempotency_manager.testing import FaultPlan, inject

def action(signal_id, **params):
    return {{"signal_id": str(signal_id), "action": "card", "target": "trello", "params": params}}

def fork(child):
    # Runs a function in a forked child; answers with its process id.
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        faulthandler.dump_traceback_later(5, exit=True)
        child()
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)

# A thread that fails fails the program.
threading.excepthook = lambda args: (sys.excepthook(*args[:3]), os._exit(1))

def join(*pids):
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0] * len(pids), codes

manager = im.IdempotencyManager({manager})
"""


def run(code: str, *, before: str = "", manager: str = "", seconds: float = 20) -> None:
    """Run a program that must end by itself, in time, well and without a word of a fatal error."""
    program = PRELUDE.format(before=before, manager=manager) + textwrap.dedent(code)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root / "python")},
    )
    assert done.returncode == 0, done.stderr
    assert "Fatal" not in done.stderr


def test_a_child_calls_claims_and_counts_and_the_parent_does_not_notice() -> None:
    run("""
        assert manager.execute(action(1), lambda: "parent's") == "parent's"

        def child():
            assert manager.execute(action(1), lambda: "child's") == "parent's"
            assert manager.execute(action(2), lambda: "child's") == "child's"
            with manager.claim(action(3)) as attempt:
                attempt.complete(3)
            record = manager.get_record(manager.generate_key(action(2)))
            assert record.owner.endswith(f":{os.getpid()}"), record.owner
            assert manager.stats().total_cached == 3
            manager.clear_all()

        join(fork(child))
        assert manager.stats().total_cached == 1
        assert manager.execute(action(2), lambda: "parent's") == "parent's"
    """)


def test_a_child_renews_its_leases_and_so_does_the_parent() -> None:
    run(
        """
        plan = FaultPlan()
        inject(manager, plan)

        def renewed():
            assert plan.wait_for("renew", calls=plan.calls("renew") + 5)
            return im.current_execution().remaining().total_seconds()

        def child():
            assert manager.execute(action("child"), renewed) > 0

        assert manager.execute(action(1), renewed) > 0
        join(fork(child))
        assert manager.execute(action(2), renewed) > 0
        """,
        manager='lease="60ms"',
    )


def test_a_fork_inside_an_executor_gives_both_sides_a_claim_of_their_own_copy() -> None:
    run("""
        def executor():
            pid = os.fork()
            assert im.current_execution() is not None
            return pid

        pid = manager.execute(action(1), executor)
        assert manager.execute(action(1), executor) == pid
        assert manager.get_record(manager.generate_key(action(1))).state == "completed"
        if pid == 0:
            os._exit(0)
        join(pid)
    """)


def test_a_fork_while_other_threads_execute_and_wait_leaves_the_child_free() -> None:
    run("""
        go, began = threading.Event(), threading.Event()

        def slow():
            began.set()
            go.wait()
            return "slow"

        holder = threading.Thread(target=manager.execute, args=(action(1), slow))
        holder.start()
        began.wait()
        waiters = [threading.Thread(target=manager.execute, args=(action(1), slow)) for _ in range(4)]
        for waiter in waiters:
            waiter.start()
        while sum(1 for _ in manager.iter_records(state=im.State.IN_PROGRESS)) != 1:
            pass
        time.sleep(0.05)

        def child():
            assert manager.execute(action(2), lambda: 2) == 2
            # The holder is a thread of the parent: here nobody finishes the claim, and a wait for it ends in time.
            try:
                manager.execute(action(1), lambda: 1, on_concurrent="raise")
            except im.AlreadyInProgressError as error:
                assert error.record.state == "in_progress"
            else:
                raise AssertionError("the parent's claim was taken")
            assert manager.clear_all() == 2

        join(*(fork(child) for _ in range(4)))
        go.set()
        holder.join()
        for waiter in waiters:
            waiter.join()
        assert manager.execute(action(1), lambda: "again") == "slow"
    """)


def test_forks_from_many_threads_while_calls_and_the_keeper_are_busy() -> None:
    run(
        """
        over = threading.Event()

        def busy(name):
            number = 0
            while not over.is_set():
                number += 1
                manager.execute(action(f"{name}-{number}"), lambda: number)
                manager.execute(action("shared", n=number % 7), lambda: number)

        def child():
            assert manager.execute(action("child"), lambda: "child") == "child"
            manager.stats()

        def forks():
            for _ in range(3):
                join(fork(child))

        callers = [threading.Thread(target=busy, args=(n,)) for n in range(3)]
        forkers = [threading.Thread(target=forks) for _ in range(3)]
        for thread in callers + forkers:
            thread.start()
        for thread in forkers:
            thread.join()
        over.set()
        for thread in callers:
            thread.join()
        manager.close()
        """,
        manager='lease="10ms", max_cache_size=500',
    )


@pytest.mark.parametrize("store", ["memory", "faulty"])
def test_calls_of_other_threads_between_the_hooks_and_the_fork_do_not_deadlock(store: str) -> None:
    # A hook that was registered before the package was imported runs after the package's own, and lets others run.
    run(
        f"""
        if {store == "faulty"}:
            inject(manager, FaultPlan())
        over, number = threading.Event(), 0

        def busy():
            global number
            while not over.is_set():
                number += 1
                manager.execute(action(number % 50), lambda: number)
                manager.stats()
                im.IdempotencyManager(lease="10ms").execute(action(1), lambda: 1)

        caller = threading.Thread(target=busy)
        caller.start()
        for _ in range(5):
            join(fork(lambda: manager.execute(action("child"), lambda: 1)))
        over.set()
        caller.join()
        """,
        before="os.register_at_fork(before=lambda: time.sleep(0.02), after_in_parent=lambda: time.sleep(0.01))",
        manager='lease="10ms"',
    )


def test_a_manager_that_gets_another_store_while_a_thread_forks_loses_no_lock() -> None:
    run(
        """
        entered, first = threading.Event(), action(1)

        def configure():
            entered.wait()
            manager.configure(clock=Clock())

        class Clock:
            def now(self):
                from datetime import UTC, datetime
                return datetime.now(UTC)

        def executor():
            # This call keeps the store that it began with.
            thread = threading.Thread(target=configure)
            thread.start()
            join(fork(lambda: manager.execute(action("child"), lambda: 1)))
            thread.join()
            return "done"

        HOOK.append(lambda: (entered.set(), time.sleep(0.05)))
        assert manager.execute(first, executor) == "done"
        """,
        before="HOOK = []; os.register_at_fork(before=lambda: [hook() for hook in HOOK])",
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_work(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
            import multiprocessing, warnings
            import idempotency_manager as im

            manager = im.IdempotencyManager()

            @manager.idempotent(target="trello")
            def card(signal_id, number):
                return number * 2

            def work(number):
                return card("s", number) + card("s", number)

            if __name__ == "__main__":
                warnings.simplefilter("ignore", DeprecationWarning)
                card("s", 1)
                with multiprocessing.get_context({method!r}).Pool(3) as pool:
                    assert pool.map(work, range(20)) == [number * 4 for number in range(20)]
                assert manager.stats().total_cached == 1
        """)
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="it calls the C library's sleep by its Linux name")
def test_an_executor_that_holds_the_interpreter_for_longer_than_its_lease_keeps_it() -> None:
    # `PyDLL` does not let the interpreter go: no Python runs in this process meanwhile, but the native thread does.
    from idempotency_manager import IdempotencyManager, current_execution

    manager = IdempotencyManager(lease="100ms")

    def executor() -> float:
        ctypes.PyDLL(None).usleep(400_000)
        execution = current_execution()
        assert execution is not None
        return execution.remaining().total_seconds()

    assert manager.execute({"signal_id": "s", "action": "a", "target": "t"}, executor) > 0
    assert manager.get_in_doubt() == []
