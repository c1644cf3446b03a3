"""Workers cut tasks off that take too long, in the middle: then nobody knows whether the effect happened."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from billiard.pool import soft_timeout_sighandler
from dramatiq.middleware import Shutdown
from dramatiq.middleware import TimeLimitExceeded as DramatiqTimeLimitExceeded
from rq.timeouts import HorseMonitorTimeoutException, JobTimeoutException, UnixSignalDeathPenalty

from idempotency_manager import IdempotencyManager, InDoubtError, State, idempotent

if TYPE_CHECKING:
    from collections.abc import Iterator


def in_the_middle(cut_off: Any) -> Any:
    @idempotent(target="mail")
    def remind(signal_id: str) -> None:
        cut_off()

    return remind


def check(manager: IdempotencyManager, remind: Any, error: type[BaseException]) -> None:
    with pytest.raises(error):
        remind("evt_1")
    [record] = manager.iter_records()
    assert record.state is State.IN_DOUBT
    with pytest.raises(InDoubtError):
        remind("evt_1")


@pytest.mark.parametrize(
    "error",
    [
        SoftTimeLimitExceeded,
        TimeLimitExceeded,
        DramatiqTimeLimitExceeded,
        Shutdown,
        JobTimeoutException,
        HorseMonitorTimeoutException,
    ],
)
def test_an_error_of_a_time_limit_leaves_the_action_in_doubt(
    manager: IdempotencyManager, error: type[BaseException]
) -> None:
    def cut_off() -> None:
        raise error

    check(manager, in_the_middle(cut_off), error)


@pytest.fixture
def soft_limit() -> Iterator[None]:
    """What a process of Celery's pool does with the signal of a soft time limit."""
    before = signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("soft_limit")
def test_the_signal_of_celerys_soft_time_limit_leaves_the_action_in_doubt(manager: IdempotencyManager) -> None:
    check(manager, in_the_middle(lambda: os.kill(os.getpid(), signal.SIGUSR1)), SoftTimeLimitExceeded)


def test_the_alarm_of_rqs_time_limit_leaves_the_action_in_doubt(manager: IdempotencyManager) -> None:
    def cut_off() -> None:
        with UnixSignalDeathPenalty(1000, JobTimeoutException):  # as RQ runs a job, but for when the alarm comes
            signal.raise_signal(signal.SIGALRM)

    check(manager, in_the_middle(cut_off), JobTimeoutException)
