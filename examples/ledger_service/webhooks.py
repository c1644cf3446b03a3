"""The sender of "invoice overdue": at least once, and sometimes twice at once, as real senders are."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 30.0
_MAX_DELIVERIES = 8


class UndeliverableError(Exception):
    """The receiver acknowledged none of the deliveries."""


def deliver(event: dict[str, Any], receiver: str) -> int:
    """Send an event until the receiver acknowledges it.

    Args:
        event: What is sent, as JSON.
        receiver: The receiver's URL.

    Returns:
        How many deliveries it took.

    Raises:
        UndeliverableError: No delivery was acknowledged.
    """
    for number in range(1, _MAX_DELIVERIES + 1):
        if is_acknowledged(event, receiver):
            return number
    detail = f"{event} was not acknowledged in {_MAX_DELIVERIES} deliveries"
    raise UndeliverableError(detail)


def deliver_at_once(event: dict[str, Any], receiver: str, copies: int) -> None:
    """Send the same event `copies` times at the same moment, each until it is acknowledged."""
    ready = threading.Barrier(copies)

    def send() -> None:
        ready.wait()
        deliver(event, receiver)

    with ThreadPoolExecutor(copies) as pool:
        for sent in [pool.submit(send) for _ in range(copies)]:
            sent.result()


def is_acknowledged(event: dict[str, Any], url: str) -> bool:
    """Send an event once, and tell whether the receiver acknowledged it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", parts.path or "/", json.dumps(event), {"Content-Type": "application/json"})
        return connection.getresponse().status // 100 == 2  # noqa: PLR2004 - the class of HTTP's successes
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
