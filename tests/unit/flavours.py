"""The synchronous and the asynchronous way to ask for the same thing, so that a test is written once for both."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import AsyncIdempotencyManager, IdempotencyManager

if TYPE_CHECKING:
    from collections.abc import Callable


class Sync:
    """Threads: calls are made as they are written."""

    manager_class: Any = IdempotencyManager

    def function(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """A plain function of a body."""
        return body

    def get(self, value: Any) -> Any:
        """What a call came to."""
        return value

    def items(self, records: Any) -> list[Any]:
        """All that is iterated over."""
        return list(records)

    def run_block(self, block: Any, body: Callable[[Any], Any]) -> Any:
        """Run a body in a `with` block."""
        with block as attempt:
            return body(attempt)


class Async:
    """Tasks: what is called is awaited, each in an event loop of its own."""

    manager_class: Any = AsyncIdempotencyManager

    def function(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """A coroutine function of a body, which the loop gets a turn in the middle of."""

        async def coroutine_function(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0)
            return body(*args, **kwargs)

        return coroutine_function

    def get(self, value: Any) -> Any:
        """What awaiting it came to."""

        async def awaited() -> Any:
            return await value if inspect.isawaitable(value) else value

        return asyncio.run(awaited())

    def items(self, records: Any) -> list[Any]:
        """All that is iterated over."""

        async def gathered() -> list[Any]:
            return [record async for record in records]

        return asyncio.run(gathered())

    def run_block(self, block: Any, body: Callable[[Any], Any]) -> Any:
        """Run a body in an `async with` block."""

        async def entered() -> Any:
            async with block as attempt:
                return body(attempt)

        return asyncio.run(entered())


Flavour = Sync | Async
both_flavours = pytest.mark.parametrize("flavour", [Sync(), Async()], ids=["sync", "async"])
