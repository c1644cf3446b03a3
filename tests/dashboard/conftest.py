"""A store worth looking at, and a browser to look with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, sync_playwright

from idempotency_manager import Action, IdempotencyManager
from idempotency_manager.dashboard._watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from idempotency_manager.testing import ManualClock

HOSTILE = "<script>document.title='owned'</script>"


def fail() -> None:
    """Leave an action in doubt."""
    raise TimeoutError("read timed out")


def populate(manager: IdempotencyManager, pass_time: Callable[[], object] = bool) -> dict[str, str]:
    """Fill a store with a bit of everything; answers with some of its keys."""
    asked = [Action(f"invoice-{number}", "create_card", "trello", {"cents": number}) for number in range(8)]
    for number, action in enumerate(asked):
        for _ in range(1 + number):
            manager.execute(action, lambda: {"id": "card_1"}, ttl=600 + 60 * number)
    doubtful = [Action(HOSTILE, "send<b>", "[bold]mail"), Action("invoice-9", "post", "slack", {"text": "hi"})]
    for action in doubtful:
        pass_time()
        with pytest.raises(TimeoutError):
            manager.execute(action, fail)
    hostile, plain = map(manager.generate_key, doubtful)
    return {"hostile": hostile, "plain": plain, "hottest": manager.generate_key(asked[-1])}


@pytest.fixture
def keys(manager: IdempotencyManager, clock: ManualClock) -> dict[str, str]:
    """A store in memory with a bit of everything; some of its keys."""
    return populate(manager, lambda: clock.advance(1))


class Ticks:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def ticks() -> Ticks:
    """A stopwatch that stands."""
    return Ticks()


@pytest.fixture
def watch(manager: IdempotencyManager, clock: ManualClock, ticks: Ticks) -> Watch:
    """A look at the store, by the test's own clock."""
    return Watch(manager, timedelta(seconds=2), now=clock.now, tick=ticks)


class Served:
    """`idempotency dashboard`, as a process of its own."""

    def __init__(self, store: str, *options: str) -> None:
        command = [sys.executable, "-m", "idempotency_manager.cli", "dashboard", "--store", store, "--port", "0"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("IDEMPOTENCY_")}
        self.process = subprocess.Popen(
            [*command, "--interval", "250ms", "--json", *options], stdout=subprocess.PIPE, text=True, env=clean
        )
        assert self.process.stdout is not None
        self.told = json.loads(self.process.stdout.readline())
        self.address: str = self.told["address"]

    @property
    def origin(self) -> str:
        """Where it is, without the token."""
        return self.address.partition("/?")[0]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C does; answers with its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Starts `idempotency dashboard` on a store; it ends with the test."""
    started: list[Served] = []

    def start(store: str, *options: str) -> Served:
        started.append(Served(store, *options))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.stop(signal.SIGKILL)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a file that holds a bit of everything."""
    url = f"sqlite:///{tmp_path}/store.db"
    with IdempotencyManager(url) as manager:
        populate(manager)
    return url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it, and outside of CI, no test of the page runs.

    Playwright's loop runs as long as it is there, so no asynchronous test may share its time.
    """
    executable = shutil.which("chromium")
    if executable is None:
        remedy = "there is no chromium for the tests of the web page: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(remedy)
        warnings.warn(remedy, UserWarning, stacklevel=1)
        pytest.skip(remedy)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def lookups(manager: IdempotencyManager) -> Callable[[int, int], None]:
    """Looks up what is there and what is not, so often."""

    def look(hits: int, misses: int) -> None:
        manager.mark_executed("there", result=1)
        for _ in range(hits):
            manager.check_executed("there")
        for _ in range(misses):
            manager.check_executed("nowhere")

    return look
