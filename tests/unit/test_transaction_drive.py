"""The steps of a call are taken alike in a thread and in a task, and no step is left over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager._transaction_drive import adrive, drive

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def steps(log: list[str], *results: Any) -> Generator[Any, Any, list[Any]]:
    """A sequence that collects what its steps give, and cleans up by another step when one raises."""
    came = []
    try:
        for result in results:
            one = yield lambda result=result: result() if callable(result) else result
            came.append(one)
    except BaseException as error:
        log.append(type(error).__name__)
        yield lambda: log.append("cleaned up")
        raise
    return came


def fails() -> None:
    raise LookupError


async def later() -> int:
    await asyncio.sleep(0)
    return 2


async def fails_later() -> None:
    await asyncio.sleep(0)
    raise LookupError


def test_values_are_sent_back() -> None:
    assert drive(steps([], 1, 2)) == [1, 2]


async def test_values_and_what_is_awaited_are_sent_back() -> None:
    assert await adrive(steps([], 1, later)) == [1, 2]


def test_an_error_is_the_sequences_to_judge() -> None:
    log: list[str] = []
    with pytest.raises(LookupError):
        drive(steps(log, 1, fails))
    assert log == ["LookupError", "cleaned up"]


def test_an_executor_that_runs_out_of_items_raises_what_it_raised() -> None:
    """A generator that raises this would raise something else."""
    log: list[str] = []
    with pytest.raises(StopIteration):
        drive(steps(log, lambda: next(iter([]))))
    assert log == ["StopIteration", "cleaned up"]


def test_ctrl_c_between_two_steps_cleans_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []

    def interrupted(_: object, advance: Callable[[], Callable[[], Any]]) -> None:
        monkeypatch.undo()
        advance()()
        raise KeyboardInterrupt

    monkeypatch.setattr("idempotency_manager._transaction_drive._drive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drive(steps(log, 1, 2))
    assert log == ["KeyboardInterrupt", "cleaned up"]


@pytest.mark.parametrize("failing", [fails, fails_later])
async def test_an_error_of_a_task_is_the_sequences_to_judge(failing: Any) -> None:
    log: list[str] = []
    with pytest.raises(LookupError):
        await adrive(steps(log, failing))
    assert log == ["LookupError", "cleaned up"]


def test_a_thread_can_await_nothing() -> None:
    log: list[str] = []
    with pytest.raises(im.InvalidActionError, match="aexecute_in_transaction"):
        drive(steps(log, later))
    assert log == ["InvalidActionError", "cleaned up"]


async def test_a_cancelled_task_cleans_up() -> None:
    log: list[str] = []
    task = asyncio.ensure_future(adrive(steps(log, asyncio.Event().wait)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["CancelledError", "cleaned up"]


def test_a_coroutine_that_nobody_awaits_any_more_takes_no_step() -> None:
    """As when a loop is closed under it."""
    log: list[str] = []

    def outer() -> Generator[Any, Any, list[Any]]:
        return (yield from steps(log, later))

    coroutine = adrive(outer())
    coroutine.send(None)
    coroutine.close()
    assert len(log) == 1
    assert "cleaned up" not in log
