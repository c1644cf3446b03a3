"""Which `Idempotency-Key` an outgoing request gets."""

from __future__ import annotations

from idempotency_manager._core import current_execution
from idempotency_manager._duration import refusal
from idempotency_manager._types import final
from idempotency_manager.middleware._header import quoted_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypedDict

    from idempotency_manager._core import Execution

    class KeyOptions(TypedDict, total=False):
        """What all clients take."""

        methods: Iterable[str]
        quoted: bool
        key: Callable[[Execution, Any], str] | None


HEADER = "Idempotency-Key"


@final
class KeyRule:
    """Gives the requests of an execution its key.

    The key is the execution's `uuid`, the same on every retry: inside the execution, where a request is sent again, as
    well as in the next execution of an action that was in doubt. An executor that sends several requests to one address
    gives each a key of its own, by the header or by `key`.

    Args:
        methods: The methods that get a key.
        quoted: Whether the value is a String of RFC 9651, as the IETF's draft asks, or the bare key.
        key: Makes the key of the execution and the request, in place of its `uuid`.

    Raises:
        ConfigurationError: An option can't have its value.
    """

    __slots__ = ("_key", "_methods", "_quoted")

    def __init__(
        self,
        methods: Iterable[str] = ("POST", "PATCH"),
        *,
        quoted: bool = True,
        key: Callable[[Execution, Any], str] | None = None,
    ) -> None:
        if isinstance(methods, str):
            raise refusal("methods", methods, "one word", f"write methods=({methods!r},)")
        if key is not None and not callable(key):
            raise refusal("key", key, "can't be called", "write a function of the execution and the request")
        self._methods = frozenset(method.upper() for method in methods)
        self._quoted = quoted
        self._key = key

    def value_for(self, method: str | None, request: Any) -> str | None:
        """Give the header's value; None for a method without keys, and outside of any execution.

        Raises:
            ValueError: What `key` made can't be sent.
        """
        if (method or "").upper() not in self._methods:
            return None
        execution = current_execution()
        if execution is None:
            return None
        key = execution.uuid if self._key is None else self._key(execution, request)
        return quoted_key(key) if self._quoted else key
