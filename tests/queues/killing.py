"""Imported by a worker under test: it kills the worker, with SIGKILL, where a plan says so, or loses an answer.

A plan is a file named like a signal, in the folder `KILL_PLANS`. Whoever removes it carries it out, so each kills once.
"""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING

from examples.queues import outbox

if TYPE_CHECKING:
    from collections.abc import Callable

PLANS = Path(os.environ["KILL_PLANS"])


def _lose_the_answer() -> None:
    raise TimeoutError("no answer")


VICTIMS = {
    "answer": _lose_the_answer,
    "process": lambda: os.kill(os.getpid(), SIGKILL),
    "worker": lambda: os.killpg(0, SIGKILL),
}


def carry_out(signal_id: str, moment: str) -> None:
    """Lose the answer, kill the process of the task, or kill the worker as a whole, if this is the moment to."""
    file = PLANS / signal_id
    if not file.exists():
        return
    planned, victim = file.read_text().split()
    if planned == moment:
        file.unlink()
        VICTIMS[victim]()


def killing(function: Callable[[str, str], str]) -> Callable[[str, str], str]:
    """Let a function of the outside world have a moment before and after it."""

    @wraps(function)
    def watched(signal_id: str, text: str) -> str:
        carry_out(signal_id, f"before-{function.__name__}")
        answer = function(signal_id, text)
        carry_out(signal_id, f"after-{function.__name__}")
        return answer

    return watched


outbox.send = killing(outbox.send)
outbox.letter = killing(outbox.letter)
