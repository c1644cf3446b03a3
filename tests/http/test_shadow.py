"""In shadow mode the application answers every request, whatever is remembered of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from idempotency_manager import IdempotencyManager
from idempotency_manager.middleware.asgi import IdempotencyMiddleware

if TYPE_CHECKING:
    from idempotency_manager.middleware.asgi import Message


class Counter:
    """An application that answers with the number of its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self.calls += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.calls).encode()})


def post(application: Any) -> bytes:
    """The answer to a request that comes as a server hands it over: in one message."""
    sent: list[Message] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/pay",
        "query_string": b"",
        "headers": [(b"idempotency-key", b'"k"')],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"one", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    return b"".join(message.get("body", b"") for message in sent)


def test_a_request_that_is_remembered_is_answered_again_and_counted() -> None:
    with IdempotencyManager(shadow=True) as manager:
        application = IdempotencyMiddleware(Counter(), manager=manager)
        assert [post(application) for _ in range(3)] == [b"1", b"2", b"3"]
        assert manager.stats().would_have_prevented == 2
        manager.configure(shadow=False)
        assert post(application) == b"1"


def test_shadow_mode_counts_from_the_next_request_on() -> None:
    with IdempotencyManager() as manager:
        application = IdempotencyMiddleware(Counter(), manager=manager)
        assert [post(application) for _ in range(3)] == [b"1"] * 3
        manager.configure(shadow=True)
        assert [post(application) for _ in range(2)] == [b"2", b"3"]
