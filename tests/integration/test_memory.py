"""Nothing is kept that nobody needs: memory stays flat, and cycles are collected."""

import asyncio
import contextlib
import gc
import logging
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from idempotency_manager import IdempotencyManager
from idempotency_manager.testing import FaultPlan, inject


class Thing:
    """Something that can be watched going."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep pytest from collecting the log: that would be memory too."""
    logger = logging.getLogger("idempotency_manager")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)


def resident() -> int:
    """The process's memory, in bytes."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - no file
        return int(statm.read().split()[1]) * 4096


def _calls(manager: IdempotencyManager) -> dict[str, Callable[[int], Any]]:
    @manager.idempotent(target="t")
    def hit(signal_id: str) -> dict[str, str]:
        return {"id": signal_id}

    @manager.idempotent(target="t")
    def first(signal_id: str, number: int) -> dict[str, int]:
        return {signal_id: number}

    @manager.idempotent(target="t")
    def failing(signal_id: str) -> None:
        raise LookupError(signal_id)

    @manager.idempotent(target="t", on_in_doubt="retry")
    def doubtful(signal_id: str) -> None:
        raise TimeoutError(signal_id)

    def swallowed(function: Callable[[str], None]) -> None:
        with contextlib.suppress(LookupError, TimeoutError):
            function("s")

    def block(number: int) -> None:
        with manager.claim({"signal_id": "b", "action": "a", "target": "t", "params": {"n": number}}) as attempt:
            attempt.release()

    return {
        "hit": lambda _: hit("s"),
        "first": lambda number: first("s", number),
        "failing": lambda _: swallowed(failing),
        "in doubt": lambda _: swallowed(doubtful),
        "claim block": block,
    }


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux shows it")
@pytest.mark.parametrize("kind", ["hit", "first", "failing", "in doubt", "claim block"])
def test_memory_stays_flat_over_many_calls(kind: str) -> None:
    call = _calls(IdempotencyManager(max_cache_size=100, on_event=lambda _event: None))[kind]
    count = 20_000 if kind in ("hit", "first") else 5_000
    for number in range(2_000):
        call(number)
    gc.collect()
    tracemalloc.start()
    before, objects = resident(), len(gc.get_objects())
    for number in range(2_000, 2_000 + count):
        call(number)
    gc.collect()
    traced, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert traced < 200_000
    assert len(gc.get_objects()) - objects < 200
    # A leak of 100 bytes a call would show.
    assert resident() - before < 100 * count


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux shows it")
@pytest.mark.parametrize("waits", [False, True], ids=["memory", "pending"])
async def test_memory_stays_flat_over_many_awaited_calls(*, waits: bool) -> None:
    manager = IdempotencyManager(max_cache_size=100)
    if waits:
        inject(manager, FaultPlan())

    @manager.idempotent(target="t")
    async def first(signal_id: str, number: int) -> dict[str, int]:
        await asyncio.sleep(0)
        return {signal_id: number}

    count = 2_000 if waits else 10_000
    for number in range(1_000):
        await first("s", number)
    gc.collect()
    before, objects = resident(), len(gc.get_objects())
    for number in range(1_000, 1_000 + count):
        await first("s", number)
        await first("s", number)
    gc.collect()
    assert len(gc.get_objects()) - objects < 200
    assert resident() - before < 200 * count + 2_000_000


class TestNothingIsKept:
    def test_neither_arguments_nor_results_of_a_call(self) -> None:
        manager = IdempotencyManager()

        class Result(dict):  # type: ignore[type-arg]
            pass

        kept: list[Any] = []

        @manager.idempotent(target="t", params=())
        def call(signal_id: str, thing: Thing) -> Any:
            result = Result()
            kept.extend((weakref.ref(thing), weakref.ref(result)))
            return dict(result)

        call("s", Thing())
        call("s", Thing())
        assert [reference() for reference in kept] == [None, None]

    def test_references_to_arguments_are_given_back(self) -> None:
        manager = IdempotencyManager()
        text, number, data = "text-" * 20, 2**70, {"a": [1, 2, 3]}

        @manager.idempotent(target="t")
        def call(signal_id: str, text: str, number: int, *, data: object) -> object:
            return [signal_id, text, number, data]

        before = [sys.getrefcount(value) for value in (text, number, data, None)]
        for step in range(1_000):
            call("s", text, number, data=data)
            call("s", text, number + step, data=data)
        after = [sys.getrefcount(value) for value in (text, number, data, None)]
        assert after[:3] == before[:3]
        assert abs(after[3] - before[3]) < 100

    def test_an_exception_and_the_frames_behind_it(self) -> None:
        manager = IdempotencyManager()
        things = []

        def fail() -> None:
            thing = Thing()
            things.append(weakref.ref(thing))
            raise TimeoutError("lost")

        with pytest.raises(TimeoutError):
            manager.execute({"signal_id": "s", "action": "a", "target": "t"}, fail)
        gc.collect()
        assert things[0]() is None

    def test_an_object_that_the_memory_store_keeps_goes_with_its_record(self) -> None:
        manager = IdempotencyManager()
        reference = weakref.ref(manager.execute({"signal_id": "s", "action": "a", "target": "t"}, Thing))
        assert reference() is not None
        manager.clear_all()
        gc.collect()
        assert reference() is None


class TestCyclesAreCollected:
    def test_a_manager_whose_listener_knows_it(self) -> None:
        class Listener:
            manager: IdempotencyManager

            def __call__(self, event: object) -> None:
                pass

        listener = Listener()
        listener.manager = IdempotencyManager(on_event=listener)
        listener.manager.execute({"signal_id": "s", "action": "a", "target": "t"}, int)
        listener.manager.close()
        reference = weakref.ref(listener)
        del listener
        _collect_until(lambda: reference() is None)

    def test_a_decorated_function_that_knows_itself(self) -> None:
        manager = IdempotencyManager()
        thing = Thing()

        def make() -> None:
            @manager.idempotent(target="t")
            def recursive(signal_id: str) -> object:
                return (recursive, thing) and signal_id  # noqa: F821 - deleted outside, not here

            recursive("s")

        make()
        reference = weakref.ref(thing)
        del thing
        _collect_until(lambda: reference() is None)

    def test_a_coroutine_that_knows_itself(self) -> None:
        manager = IdempotencyManager()
        thing = Thing()
        holder: dict[str, Any] = {"thing": thing}

        async def executor() -> None:
            await asyncio.sleep(0)
            raise AssertionError(holder)  # noqa: F821 - as above

        coroutine = manager.aexecute({"signal_id": "s", "action": "a", "target": "t"}, executor)
        holder["coroutine"] = coroutine
        coroutine.send(None)
        reference = weakref.ref(thing)
        del thing, holder, coroutine, executor
        _collect_until(lambda: reference() is None)
        assert len(manager.get_in_doubt()) == 1


def _collect_until(gone: Callable[[], bool]) -> None:
    # A background thread may hold a manager for the moment in which it works.
    for _ in range(50):
        gc.collect()
        if gone():
            return
    raise AssertionError("still there")
