"""What pytest does where a server is not installed: one loud line, and in CI a failure."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

from servers._errors import MissingServerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

S = TypeVar("S")


@contextmanager
def needed() -> Iterator[None]:
    """Skip the test whose server turns out to be missing in this block; with CI in the environment, fail it.

    All of a run's skips for one program have the same reason and place, so that pytest's summary tells of them in one
    line.
    """
    try:
        yield
    except MissingServerError as missing:
        reason = f"NOT TESTED HERE: {missing}"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (in CI that is a failure)", pytrace=False)
        pytest.skip(reason)


@contextmanager
def started(server: AbstractContextManager[S]) -> Iterator[S]:
    """Run what is to be there for this block, which is skipped, as by `needed`, where its program is missing."""
    with ExitStack() as stack:
        with needed():
            running = stack.enter_context(server)
        yield running
