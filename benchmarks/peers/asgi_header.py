"""asgi-idempotency-header (PyPI), over its memory back end."""

from typing import Any

from idempotency_header_middleware import IdempotencyHeaderMiddleware
from idempotency_header_middleware.backends.memory import MemoryBackend

NAME = "asgi-idempotency-header"


def guard(app: Any) -> Any:
    """The application behind the middleware, with nothing remembered."""
    return IdempotencyHeaderMiddleware(app, MemoryBackend())
