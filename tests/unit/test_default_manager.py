"""The default manager: made once, however many threads ask for it first."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from idempotency_manager import IdempotencyManager, get_manager, idempotent
from idempotency_manager._default import _Default, set_manager

THREADS, ROUNDS = 8, 50


@pytest.fixture(autouse=True)
def _no_default_manager() -> Iterator[None]:
    """Let each test begin without one, and let threads take turns so often that a gap between two steps shows."""
    before, interval = set_manager(None), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
    set_manager(before)


def test_threads_that_ask_for_it_first_at_the_same_moment_get_the_same_one() -> None:
    ready = threading.Barrier(THREADS)

    def ask(_number: int) -> IdempotencyManager:
        ready.wait()
        return get_manager()

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(ROUNDS):
            assert len(set(pool.map(ask, range(THREADS)))) == 1
            set_manager(None)


def test_first_calls_of_a_decorated_function_at_the_same_moment_run_it_once() -> None:
    ready = threading.Barrier(THREADS)
    runs: list[str] = []

    @idempotent(target="mail")
    def send(signal_id: str) -> str:
        runs.append(signal_id)
        return signal_id

    def call(number: int) -> str:
        ready.wait()
        return send(str(number))

    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(ROUNDS):
            set(pool.map(call, [number] * THREADS))
            set_manager(None)
    assert runs == [str(number) for number in range(ROUNDS)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_makes_its_own_where_a_thread_was_making_one_when_the_process_was_forked() -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with _Default.turn:
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        # In this thread: one begun here could have the holder's identity, and with it the lock.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        get_manager()
        os._exit(0)
    done.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
