"""An adapter for `requests` that sends the `Idempotency-Key` of the action that is being executed.

session = requests.Session()
session.mount("https://", IdempotencyAdapter())
"""

from __future__ import annotations

from requests.adapters import HTTPAdapter

from idempotency_manager._types import final

from ._key import HEADER, KeyRule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Unpack

    from requests import PreparedRequest, Response

    from ._key import KeyOptions

__all__ = ["IdempotencyAdapter"]


@final
class IdempotencyAdapter(HTTPAdapter):
    """Adds the header to requests that have none, where an action is being executed; `current_execution()` has the key.

    Args:
        adapter: What sends the requests; a new `requests.adapters.HTTPAdapter` if None.
        **options: `methods`, those that get a key (`POST` and `PATCH`); `quoted`, False to send the bare key; `key`, a
            function of the execution and the request that makes another key.

    Raises:
        ConfigurationError: An option can't have its value.
    """

    def __init__(self, adapter: HTTPAdapter | None = None, **options: Unpack[KeyOptions]) -> None:
        super().__init__()
        self._rule = KeyRule(**options)
        self._adapter = HTTPAdapter() if adapter is None else adapter

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request."""
        if HEADER not in request.headers and (value := self._rule.value_for(request.method, request)) is not None:
            request.headers[HEADER] = value
        return self._adapter.send(request, *args, **kwargs)

    def close(self) -> None:
        """Close the adapter beneath."""
        self._adapter.close()
        super().close()
