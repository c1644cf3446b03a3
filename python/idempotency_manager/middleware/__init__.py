"""The `Idempotency-Key` header for HTTP APIs; docs/http.md is the manual.

`middleware.asgi.IdempotencyMiddleware` is for Starlette, FastAPI, Litestar and Django's ASGI handler,
`middleware.wsgi.IdempotencyMiddleware` for Flask and Django's WSGI handler.
"""

from ._answer import kept_answer
from ._policy import is_kept
from ._reported import report_exception

__all__ = ["is_kept", "kept_answer", "report_exception"]
