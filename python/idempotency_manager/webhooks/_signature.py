"""Whether a vendor sent what arrived: its signature, compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from idempotency_manager._duration import Duration, to_timedelta
from idempotency_manager.exceptions import ConfigurationError, InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ._request import Request

Secret: TypeAlias = str | bytes | Sequence[str | bytes]
"""What is shared with the vendor; several while one takes another's place."""


class Unverified:
    """The type of `UNVERIFIED`."""

    def __repr__(self) -> str:
        return "UNVERIFIED"


UNVERIFIED: Final = Unverified()
"""Stands where no secret was given. None is none: it is what a forgotten setting looks like."""


def keys(secret: Secret, name: str) -> list[bytes]:
    """Give the bytes of each secret.

    Raises:
        ConfigurationError: There is none, or an empty one, under which anybody could sign.
    """
    given: Iterable[object] = [secret] if isinstance(secret, str | bytes) or secret is None else secret
    found = [one.encode() if isinstance(one, str) else one for one in given]
    if not found or not all(isinstance(one, bytes) and one for one in found):
        raise ConfigurationError(
            f"{name} is empty or none: a signature that anybody can make proves nothing. Give what the vendor shows "
            f"for this webhook, or leave {name}= out to take deliveries unverified"
        )
    return [one for one in found if isinstance(one, bytes)]


def sha256_hex(key: bytes, message: bytes) -> str:
    """Sign as Slack, GitHub and Stripe do."""
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def sha1_base64(key: bytes, message: bytes) -> str:
    """Sign as Trello does."""
    return base64.b64encode(hmac.new(key, message, hashlib.sha1).digest()).decode()


def agree(request: Request, header: str, shown: Iterable[str], expected: Iterable[str]) -> None:
    """Make sure that one of the signatures that are shown is one of those that are expected.

    Raises:
        InvalidSignatureError: None is.
    """
    ours = [text.encode() for text in expected]
    # No early end: how long this takes says nothing of what would have been right.
    if not sum(hmac.compare_digest(text.encode(errors="replace"), own) for text in shown for own in ours):
        raise InvalidSignatureError(
            request.vendor,
            header,
            "is not what this secret and this body give: check that the secret is that of this webhook, and that "
            "the body is given as it arrived; else somebody else sent it",
        )


def shown(request: Request, header: str, remedy: str) -> str:
    """Look a signature up.

    Raises:
        InvalidSignatureError: It is missing.
    """
    value = request.header(header)
    if value is None:
        raise InvalidSignatureError(request.vendor, header, f"is missing: {remedy}")
    return value


def recent(request: Request, header: str, stamp: str, tolerance: Duration, now: datetime | None) -> None:
    """Make sure that a delivery was signed of late, so that nobody sends again what he overheard.

    Raises:
        InvalidSignatureError: It was not.
        ConfigurationError: `now` has no time zone, or `tolerance` is no duration.
    """
    allowed = to_timedelta(tolerance, "tolerance").total_seconds()
    age = _seconds(now) - request.number(header, stamp)
    if abs(age) > allowed:
        when = f"{age:.0f} s ago" if age > 0 else f"in {-age:.0f} s"
        raise InvalidSignatureError(
            request.vendor,
            header,
            f"says that it was signed {when}, and tolerance={tolerance!r}: set this host's clock; else somebody sends "
            "again what the vendor once sent",
        )


def _seconds(now: datetime | None) -> float:
    if now is None:
        return time.time()
    if now.tzinfo is None:
        raise ConfigurationError(f"now={now!r} has no time zone: give datetime.now(UTC)")
    return now.timestamp()
