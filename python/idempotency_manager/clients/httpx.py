"""Transports for `httpx` that send the `Idempotency-Key` of the action that is being executed.

client = httpx.Client(transport=IdempotencyTransport())
"""

from __future__ import annotations

import httpx

from idempotency_manager._types import final

from ._key import HEADER, KeyRule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Unpack

    from ._key import KeyOptions

__all__ = ["AsyncIdempotencyTransport", "IdempotencyTransport"]


@final
class IdempotencyTransport(httpx.BaseTransport):
    """Adds the header to requests that have none, where an action is being executed; `current_execution()` has the key.

    Args:
        transport: What sends the requests; a new `httpx.HTTPTransport` if None.
        **options: `methods`, those that get a key (`POST` and `PATCH`); `quoted`, False to send the bare key; `key`, a
            function of the execution and the request that makes another key.

    Raises:
        ConfigurationError: An option can't have its value.
    """

    def __init__(self, transport: httpx.BaseTransport | None = None, **options: Unpack[KeyOptions]) -> None:
        self._rule = KeyRule(**options)
        self._transport = httpx.HTTPTransport() if transport is None else transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        _add_key(self._rule, request)
        return self._transport.handle_request(request)

    def close(self) -> None:
        """Close the transport beneath."""
        self._transport.close()


@final
class AsyncIdempotencyTransport(httpx.AsyncBaseTransport):
    """Does the same for `httpx.AsyncClient`; `httpx.AsyncHTTPTransport` is beneath it if None is given."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None, **options: Unpack[KeyOptions]) -> None:
        self._rule = KeyRule(**options)
        self._transport = httpx.AsyncHTTPTransport() if transport is None else transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        _add_key(self._rule, request)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the transport beneath."""
        await self._transport.aclose()


def _add_key(rule: KeyRule, request: httpx.Request) -> None:
    if HEADER not in request.headers and (value := rule.value_for(request.method, request)) is not None:
        request.headers[HEADER] = value
