"""Event loops of every kind learn of answers that come from other threads."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

import idempotency_manager as im


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """One that can't watch descriptors, as some are on other systems."""

    def add_reader(self, *_: object) -> None:
        """Refuse."""
        raise NotImplementedError


@pytest.fixture
def manager(tmp_path: Path) -> im.AsyncIdempotencyManager:
    """A manager whose answers come from a thread."""
    return im.AsyncIdempotencyManager(f"sqlite:///{tmp_path / 'records.db'}")


async def execute_many(manager: im.AsyncIdempotencyManager, name: str) -> None:
    """Run actions side by side, and each once more."""

    async def executor() -> str:
        return name

    for _ in range(2):
        actions = [{"signal_id": f"{name}-{number}", "action": "card", "target": "trello"} for number in range(20)]
        assert await asyncio.gather(*(manager.execute(one, executor) for one in actions)) == [name] * 20


@pytest.mark.parametrize("kind", [asyncio.SelectorEventLoop, LoopWithoutReaders])
def test_a_loop_is_told_of_answers(manager: im.AsyncIdempotencyManager, kind: type[asyncio.SelectorEventLoop]) -> None:
    with asyncio.Runner(loop_factory=kind) as runner:
        runner.run(asyncio.wait_for(execute_many(manager, "one"), 20))
        runner.run(manager.close())


def test_loops_that_one_thread_runs_in_turn_are_each_told(manager: im.AsyncIdempotencyManager) -> None:
    loops = [asyncio.new_event_loop() for _ in range(7)]
    for turn in range(3):
        for number, loop in enumerate(loops):
            loop.run_until_complete(asyncio.wait_for(execute_many(manager, f"{turn}-{number}"), 20))
    loops[0].run_until_complete(manager.close())
    for loop in loops:
        loop.close()


def test_loops_that_are_closed_leave_no_descriptor_open(manager: im.AsyncIdempotencyManager) -> None:
    def open_after(loops: int) -> int:
        for number in range(loops):
            asyncio.run(execute_many(manager, f"{loops}-{number}"))
        gc.collect()
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    assert open_after(20) <= open_after(2)
    asyncio.run(manager.close())
