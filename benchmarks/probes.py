"""Questions that are answered by running the thing.

Each takes a peer and returns a few words. A probe may raise: whoever asks shows the exception's name.
"""

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from .peers import Decorate, Peer

LONG_ENOUGH_TO_MEET_S = 0.05
TWICE = 2


def keywords_in_another_order_run_again(peer: Peer) -> str:
    """Keywords in another order run it again?"""
    guarded, runs = _counted(peer.decorate)
    guarded(signal_id="evt_1", board="b", detail=1)
    guarded(detail=1, board="b", signal_id="evt_1")
    return _yes(len(runs) == TWICE)


def a_caller_can_change_what_the_next_one_gets(peer: Peer) -> str:
    """A caller can change what the next one gets?

    Spoils the first caller's result and a replay's, at the top and inside, and looks at what comes after.
    """
    guarded, _ = _counted(peer.decorate)
    spoiled = []
    for _ in range(TWICE):
        result = guarded(signal_id="evt_1", board="b", detail=1)
        result["labels"].append("spoiled")
        result["spoiled"] = "yes"
        after = guarded(signal_id="evt_1", board="b", detail=1)
        spoiled.append(("spoiled" in after, "spoiled" in after["labels"]))
    if any(top for top, _ in spoiled):
        return "yes"
    return "inside it, yes" if any(inside for _, inside in spoiled) else "no"


def two_racing_threads_run_it_twice(peer: Peer) -> str:
    """Two racing threads run it twice?

    They leave a barrier together; the function is still running when the second one calls.
    """
    runs: list[object] = []
    errors: list[str] = []
    together = threading.Barrier(TWICE)

    def slow(*, signal_id: str, board: str, detail: int) -> dict[str, str]:  # noqa: ARG001 - part of the call
        runs.append(signal_id)
        time.sleep(LONG_ENOUGH_TO_MEET_S)
        return {"id": signal_id}

    guarded = peer.decorate(slow)

    def call() -> None:
        together.wait()
        try:
            guarded(signal_id="evt_1", board="b", detail=1)
        except Exception as error:  # noqa: BLE001 - what it is, is the answer
            errors.append(type(error).__name__)

    threads = [threading.Thread(target=call) for _ in range(TWICE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _yes(len(runs) == TWICE) + (f"; the second gets {errors[0]}" if errors else "")


def none_is_run_again(peer: Peer) -> str:
    """A None result is run again?"""
    guarded, runs = _counted(peer.decorate, result=None)
    guarded(signal_id="evt_1", board="b", detail=1)
    guarded(signal_id="evt_1", board="b", detail=1)
    return _yes(len(runs) == TWICE)


def dict_and_list_arguments_work(peer: Peer) -> str:
    """Dict and list arguments work?"""
    guarded, runs = _counted(peer.decorate)
    for _ in range(TWICE):
        guarded(signal_id="evt_1", board="b", detail={"labels": ["a", "b"]})
    return "yes" if len(runs) == 1 else "accepted, but run again"


def one_and_true_are_one_call(peer: Peer) -> str:
    """1 and True are the same call?"""
    guarded, runs = _counted(peer.decorate)
    guarded(signal_id="evt_1", board="b", detail=1)
    guarded(signal_id="evt_1", board="b", detail=True)
    return _yes(len(runs) == 1)


def an_async_function_works(peer: Peer) -> str:
    """An async function works?

    Awaited twice, one after the other.
    """
    runs: list[object] = []

    async def effect(*, signal_id: str, board: str, detail: int) -> dict[str, str]:  # noqa: ARG001 - part of the call
        runs.append(signal_id)
        return {"id": signal_id}

    guarded = peer.decorate_async(effect)

    async def twice() -> None:
        for _ in range(TWICE):
            await guarded(signal_id="evt_1", board="b", detail=1)

    asyncio.run(twice())
    return "yes" if len(runs) == 1 else "accepted, but run again"


def an_error_lets_the_next_call_run(peer: Peer) -> str:
    """After an ordinary exception, the next call does what?"""
    return _after(peer, ValueError("refused"))


def after_a_timeout_the_next_call(peer: Peer) -> str:
    """After a timeout (did it happen?), the next call does what?"""
    return _after(peer, TimeoutError("no answer"))


def _after(peer: Peer, error: Exception) -> str:
    runs: list[object] = []

    def fails(*, signal_id: str, board: str, detail: int) -> dict[str, str]:  # noqa: ARG001 - part of the call
        runs.append(signal_id)
        raise error

    guarded = peer.decorate(fails)
    raised: list[str] = []
    for _ in range(TWICE):
        try:
            guarded(signal_id="evt_1", board="b", detail=1)
        except Exception as failure:  # noqa: BLE001 - what it is, is the answer
            raised.append(type(failure).__name__)
    return "runs again" if len(runs) == TWICE else f"refuses: {raised[-1]}"


def answer(probe: Callable[[Peer], str], peer: Peer) -> str:
    """What the probe found, or the name of the exception that it met."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a coroutine that a peer could not await is collected below
        try:
            return probe(peer)
        except Exception as error:  # noqa: BLE001 - what it is, is the answer
            return f"no: {type(error).__name__}"
        finally:
            gc.collect()


def question(probe: Callable[[Peer], str]) -> str:
    """The probe's question: the first line of its docstring."""
    return (probe.__doc__ or "").partition("\n")[0]


def _counted(decorate: Decorate, *, result: object = ...) -> tuple[Callable[..., Any], list[object]]:
    runs: list[object] = []

    def effect(*, signal_id: str, board: str, detail: object) -> Any:  # noqa: ARG001 - a result of any kind
        runs.append(signal_id)
        return {"id": signal_id, "labels": ["new"]} if result is ... else result

    return decorate(effect), runs


def _yes(truth: object) -> str:
    return "yes" if truth else "no"
