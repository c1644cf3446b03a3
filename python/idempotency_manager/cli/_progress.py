"""A progress bar on stderr, for a person who has waited a second."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Lock, Timer
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds without a bar."""
_STEP = 512
"""Items between two looks at the clock."""


def _console(*, beside_output: bool) -> Console | None:
    """Give the terminal for a bar; None where nobody looks, or where the output itself fills that terminal."""
    if not sys.stderr.isatty() or (beside_output and sys.stdout.isatty()):
        return None
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second, for those who see it

    return Console(stderr=True)


def terminal() -> Console | None:
    """Give the terminal for a bar of a command that prints little; None where nobody looks."""
    return _console(beside_output=False)


def _bar(console: Console, *, counted: bool) -> Progress:
    from rich import progress  # noqa: PLC0415 - likewise

    columns = [progress.TextColumn("{task.description}", markup=False), progress.BarColumn()]
    if counted:
        columns += [progress.MofNCompleteColumn(), progress.TimeRemainingColumn()]
    return progress.Progress(
        *columns,
        progress.TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,  # or what the command prints would go where the bar is
        redirect_stderr=False,
    )


def track(
    items: Iterable[T],
    total: Callable[[], int | None],
    what: str,
    *,
    console: Console | None = None,
    patience: float = PATIENCE,
) -> Iterator[T]:
    """Pass items on, with a bar once they take longer than one should wait in silence.

    Args:
        items: The items.
        total: How many they are, None where nobody knows; asked for only when a bar appears.
        what: What is going on.
        console: Where the bar goes; stderr if it is a terminal that the output does not share.
        patience: How long to wait in silence, in seconds.
    """
    console = console or _console(beside_output=True)
    if console is None:
        yield from items
        return
    start, bar, task = time.monotonic(), None, None
    try:
        for number, item in enumerate(items):
            if number % _STEP == 0 and time.monotonic() - start >= patience:
                if bar is None:
                    bar = _bar(console, counted=True)
                    task = bar.add_task(what, total=total())
                    bar.start()
                if task is not None:
                    bar.update(task, completed=number)
            yield item
    finally:
        if bar is not None:
            bar.stop()


@contextmanager
def progress(
    what: str, *, console: Console | None = None, patience: float = PATIENCE
) -> Iterator[Callable[[int, int | None], None]]:
    """Give what is to be told of progress, and show it once it has taken a while."""
    console = console or _console(beside_output=False)
    start, bar, task = time.monotonic(), None, None

    def told(done: int, total: int | None) -> None:
        nonlocal bar, task
        if console is None or time.monotonic() - start < patience:
            return
        if bar is None:
            bar = _bar(console, counted=True)
            task = bar.add_task(what, total=total)
            bar.start()
        if task is not None:
            bar.update(task, completed=done, total=total)

    try:
        yield told
    finally:
        if bar is not None:
            bar.stop()


@contextmanager
def busy(what: str, *, console: Console | None = None, patience: float = PATIENCE) -> Iterator[None]:
    """Show that something is going on which can't be counted, once it has taken a while."""
    console = console or _console(beside_output=False)
    if console is None:
        yield
        return
    bar, lock = _bar(console, counted=False), Lock()
    over = False

    def appear() -> None:
        with lock:
            if not over:
                bar.add_task(what, total=None)
                bar.start()

    timer = Timer(patience, appear)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            over = True
            bar.stop()
