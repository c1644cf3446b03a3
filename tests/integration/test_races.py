"""Many callers at once: one execution, and nobody waits for ever."""

import asyncio
import contextvars
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from idempotency_manager import (
    AlreadyInProgressError,
    IdempotencyManager,
    InDoubtError,
    LeaseLostError,
    ReentrantCallError,
    State,
)


def action(signal_id: object = "s", **params: Any) -> dict[str, Any]:
    return {"signal_id": str(signal_id), "action": "card", "target": "trello", "params": params}


@pytest.fixture
def manager() -> Iterator[IdempotencyManager]:
    with IdempotencyManager() as manager:
        yield manager


class Counted:
    """An effect that counts, and may hold until it is let go."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> int:
        with self.lock:
            self.count += 1
        return self.count

    def slow(self) -> int:
        self.began.set()
        assert self.go.wait(10)
        return self()


def together(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Call in so many threads that begin at once; answers with what each returned or raised."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait()
        try:
            return call(number)
        except Exception as error:  # noqa: BLE001 - they are what is looked at
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


class TestSingleFlight:
    @pytest.mark.parametrize("count", [2, 8, 64])
    def test_threads_at_once_run_it_once(self, manager: IdempotencyManager, count: int) -> None:
        effect = Counted()
        assert together(count, lambda _: manager.execute(action(), effect)) == [1] * count
        assert manager.stats().duplicates_prevented == count - 1

    @pytest.mark.parametrize("count", [2, 64])
    async def test_tasks_at_once_run_it_once(self, manager: IdempotencyManager, count: int) -> None:
        effect = Counted()

        async def executor() -> int:
            await asyncio.sleep(0.01)
            return effect()

        results = await asyncio.gather(*(manager.aexecute(action(), executor) for _ in range(count)))
        assert results == [1] * count

    @pytest.mark.parametrize("task_first", [False, True])
    async def test_a_thread_and_a_task_that_race_run_it_once(
        self, manager: IdempotencyManager, *, task_first: bool
    ) -> None:
        effect = Counted()

        async def executor() -> int:
            effect.began.set()
            while not effect.go.is_set():  # noqa: ASYNC110 - a thread sets it
                await asyncio.sleep(0.001)
            return effect()

        def thread() -> asyncio.Future[int]:
            return asyncio.ensure_future(asyncio.to_thread(manager.execute, action(), effect.slow))

        def task() -> asyncio.Future[int]:
            return asyncio.ensure_future(manager.aexecute(action(), executor))

        first = task() if task_first else thread()
        while not effect.began.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.001)
        others = [thread(), task(), thread(), task()]
        await asyncio.sleep(0.05)
        effect.go.set()
        assert await asyncio.gather(first, *others) == [1] * 5

    def test_many_keys_at_once_are_as_many_executions(self, manager: IdempotencyManager) -> None:
        effects = [Counted() for _ in range(50)]

        def all_keys(number: int) -> list[int]:
            order = [(number * 7 + step) % 50 for step in range(50)]
            return [manager.execute(action(key), effects[key]) for key in order]

        assert together(16, all_keys) == [[1] * 50] * 16

    def test_on_concurrent_raise_lets_one_through(self, manager: IdempotencyManager) -> None:
        effect = Counted()

        def call(number: int) -> Any:
            if number:
                assert effect.began.wait(10)
            try:
                return manager.execute(action(), effect.slow, on_concurrent="raise")
            finally:
                if number == 1:
                    effect.go.set()

        results = together(2, call)
        assert results[0] == 1
        assert isinstance(results[1], AlreadyInProgressError)
        assert results[1].record.state is State.IN_PROGRESS

    def test_a_wait_that_takes_too_long_says_who_is_at_it(self) -> None:
        manager, effect = IdempotencyManager(wait_timeout="80ms"), Counted()
        with ThreadPoolExecutor(1) as pool:
            holder = pool.submit(manager.execute, action(), effect.slow)
            effect.began.wait()
            with pytest.raises(AlreadyInProgressError) as caught:
                manager.execute(action(), effect)
            effect.go.set()
            assert holder.result() == 1
        assert caught.value.record.owner is not None
        assert caught.value.record.owner.endswith(f":{os.getpid()}")

    @pytest.mark.parametrize("awaited", [False, True])
    def test_of_those_who_wait_for_a_failure_exactly_one_takes_over_at_a_time(self, *, awaited: bool) -> None:
        manager, count, failures = IdempotencyManager(), 16, 5
        running, most, calls = 0, 0, 0
        lock = threading.Lock()

        def executor() -> int:
            nonlocal running, most, calls
            with lock:
                running += 1
                calls += 1
                most, mine = max(most, running), calls
            threading.Event().wait(0.005)
            with lock:
                running -= 1
            if mine <= failures:
                raise LookupError(mine)
            return mine

        async def later() -> int:
            await asyncio.sleep(0)
            return executor()

        def call(_: int) -> Any:
            return asyncio.run(manager.aexecute(action(), later)) if awaited else manager.execute(action(), executor)

        results = together(count, call)
        assert (calls, most) == (failures + 1, 1)
        assert sorted(error.args[0] for error in results if isinstance(error, LookupError)) == [1, 2, 3, 4, 5]
        assert [result for result in results if isinstance(result, int)] == [failures + 1] * (count - failures)

    def test_those_who_wait_for_what_ends_in_doubt_hear_of_the_doubt(self, manager: IdempotencyManager) -> None:
        effect = Counted()

        def lost() -> None:
            effect.slow()
            raise TimeoutError("read timed out")

        def call(number: int) -> Any:
            if number:
                effect.began.wait()
                threading.Timer(0.05, effect.go.set).start()
            return manager.execute(action(), lost)

        results = together(6, call)
        assert isinstance(results[0], TimeoutError)
        assert all(isinstance(error, InDoubtError) for error in results[1:])
        assert effect.count == 1


class TestWhileTheManagerChanges:
    def test_configure_clear_cleanup_and_eviction_while_calls_run(self) -> None:
        manager = IdempotencyManager(max_cache_size=20, default_ttl="40s")
        over = threading.Event()
        done = [0] * 7

        def calls(number: int) -> None:
            while not over.is_set():
                key = f"{number % 3}-{done[number] % 40}"
                try:
                    assert manager.execute(action(key), lambda key=key: key) == key
                except LeaseLostError as error:
                    # Cleared while it ran: the result is not lost.
                    assert error.result == key  # noqa: PT017 - it may happen, and need not
                done[number] += 1

        def changes() -> None:
            for step in itertools.count():
                if step >= 150 and min(done[1:]) >= 20:  # each caller has met some of it
                    break
                manager.configure(max_cache_size=20 + step % 5, default_ttl=f"{30 + step}s")
                manager.clear_all()
                manager.cleanup_expired()
                manager.cleanup_oldest_entries(3)
                for key in manager.get_keys():
                    manager.clear_key(key)
                assert manager.stats().total_cached <= 25
            over.set()

        results = together(7, lambda number: changes() if number == 0 else calls(number))
        assert results == [None] * 7
        stats = manager.stats()
        assert (stats.in_progress, stats.in_doubt) == (0, 0)

    def test_clearing_a_claim_wakes_who_waits_for_it_and_loses_no_result(self, manager: IdempotencyManager) -> None:
        effect, second = Counted(), Counted()
        with ThreadPoolExecutor(2) as pool:
            holder = pool.submit(manager.execute, action(), effect.slow)
            effect.began.wait()
            waiter = pool.submit(manager.execute, action(), second)
            threading.Event().wait(0.05)
            assert manager.clear_key(manager.generate_key(action()))
            assert waiter.result(10) == 1
            effect.go.set()
            with pytest.raises(LeaseLostError) as caught:
                holder.result(10)
        assert (caught.value.result, second.count) == (1, 1)

    def test_closing_a_manager_lets_calls_end_as_they_would_have(self) -> None:
        manager, effect = IdempotencyManager(), Counted()
        with ThreadPoolExecutor(2) as pool:
            holder = pool.submit(manager.execute, action(), effect.slow)
            effect.began.wait()
            waiter = pool.submit(manager.execute, action(), effect)
            threading.Event().wait(0.05)
            manager.close()
            effect.go.set()
            assert (holder.result(10), waiter.result(10)) == (1, 1)

    def test_ctrl_c_ends_the_wait_of_the_main_thread_and_nothing_else(self, manager: IdempotencyManager) -> None:
        effect = Counted()
        with ThreadPoolExecutor(1) as pool:
            holder = pool.submit(manager.execute, action(), effect.slow)
            effect.began.wait()
            timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                manager.execute(action(), effect)
            timer.join()
            effect.go.set()
            assert holder.result(10) == 1


class TestNesting:
    def test_an_executor_may_call_other_keys(self, manager: IdempotencyManager) -> None:
        def outer(depth: int) -> list[int]:
            if depth == 0:
                return [0]
            return [depth, *manager.execute(action(depth - 1), lambda: outer(depth - 1))]

        assert manager.execute(action(5), lambda: outer(5)) == [5, 4, 3, 2, 1, 0]

    @pytest.mark.parametrize("on_concurrent", ["wait", "raise"])
    def test_its_own_key_is_an_error_and_no_deadlock(self, manager: IdempotencyManager, on_concurrent: str) -> None:
        def executor() -> Any:
            return manager.execute(action(), lambda: "inner", on_concurrent=on_concurrent)

        with pytest.raises(ReentrantCallError) as caught:
            manager.execute(action(), executor)
        assert caught.value.key == manager.generate_key(action())
        assert manager.execute(action(), lambda: "afterwards") == "afterwards"

    def test_through_another_key_in_between_too(self, manager: IdempotencyManager) -> None:
        def inner() -> Any:
            return manager.execute(action(1), lambda: None)

        with pytest.raises(ReentrantCallError):
            manager.execute(action(1), lambda: manager.execute(action(2), inner))

    def test_in_a_claim_block(self, manager: IdempotencyManager) -> None:
        with manager.claim(action()) as attempt:
            with pytest.raises(ReentrantCallError):
                manager.execute(action(), lambda: None)
            attempt.complete(1)
        assert manager.execute(action(), lambda: 2) == 1

    def test_in_a_thread_with_a_copy_of_the_context(self, manager: IdempotencyManager) -> None:
        def executor() -> Any:
            context = contextvars.copy_context()
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(context.run, manager.execute, action(), lambda: None).result(10)

        with pytest.raises(ReentrantCallError):
            manager.execute(action(), executor)

    async def test_in_tasks_that_it_gathers(self, manager: IdempotencyManager) -> None:
        async def nothing() -> None:
            await asyncio.sleep(0)

        async def executor() -> None:
            await asyncio.gather(manager.aexecute(action(2), nothing), manager.aexecute(action(1), nothing))

        with pytest.raises(ReentrantCallError):
            await manager.aexecute(action(1), executor)

    async def test_a_task_that_outlives_the_execution_may_call_the_key(self, manager: IdempotencyManager) -> None:
        tasks = []
        ended = asyncio.Event()

        async def straggler() -> Any:
            await ended.wait()
            return await manager.aexecute(action(), executor)

        async def executor() -> str:
            tasks.append(asyncio.ensure_future(straggler()))
            await asyncio.sleep(0)
            return "once"

        assert await manager.aexecute(action(), executor) == "once"
        ended.set()
        assert await tasks[0] == "once"
        assert len(tasks) == 1

    def test_another_manager_has_keys_of_its_own(self, manager: IdempotencyManager) -> None:
        other = IdempotencyManager(wait_timeout=timedelta(seconds=1))
        assert manager.execute(action(), lambda: other.execute(action(), lambda: "other")) == "other"
