"""Which `Idempotency-Key` an outgoing request gets."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID, uuid5

from .._core import current_execution
from .._duration import refusal
from ..middleware._header import quoted_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = "Idempotency-Key"


def methods_of(methods: Iterable[str]) -> frozenset[str]:
    """Check which methods get a key.

    Raises:
        ConfigurationError: They are one word.
    """
    if isinstance(methods, str):
        raise refusal("methods", methods, "one word", 'write methods=("POST", "PATCH")')
    return frozenset(method.upper() for method in methods)


def key_for(method: str, url: str, body: bytes | None, *, quoted: bool) -> str | None:
    """Make the key of a request that the running execution sends; None outside of any.

    One execution may send several requests, and each must have a key of its own, the same on every retry: so it is a
    UUID made of the execution's `uuid` and of the request. Two requests that are the same to the byte get the same key.

    Args:
        method: The request's method.
        url: Its URL.
        body: Its body; None if that can't be known, and then the key is of the execution, the method and the URL.
        quoted: Whether the value is a String of RFC 9651, as the IETF's draft asks, or the bare UUID.
    """
    execution = current_execution()
    if execution is None:
        return None
    digest = sha256(f"{method}\n{url}\n".encode() + (body or b"")).hexdigest()
    key = str(uuid5(UUID(execution.uuid), digest))
    return quoted_key(key) if quoted else key
