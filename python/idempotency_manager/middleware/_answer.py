"""An application's answer: recorded while it passes by, kept as plain data, made again from that."""

from __future__ import annotations

from idempotency_manager._types import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    RawHeader = tuple[bytes, bytes]

# What belongs to one connection (RFC 9110, section 7.6.1), and what belongs to one client.
_NEVER_KEPT = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"set-cookie",
        b"set-cookie2",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_WITHOUT_BODY = (204, 304)
_REPLAYED = (b"idempotent-replayed", b"true")


def kept_headers(headers: Iterable[RawHeader], dropped: frozenset[bytes] = frozenset()) -> list[RawHeader]:
    """Give the headers that a replay carries, their names in lower case.

    Left out are `Set-Cookie`, what belongs to one connection, what `Connection` names, and what is in `dropped`.
    """
    named = [(name.lower(), value) for name, value in headers]
    for name, value in named:
        if name == b"connection":
            dropped = dropped.union(token.strip().lower() for token in value.split(b","))
    return [header for header in named if header[0] not in _NEVER_KEPT and header[0] not in dropped]


def kept_answer(
    status: int,
    body: bytes | str = b"",
    headers: Mapping[str, str | list[str]] | None = None,
) -> dict[str, Any]:
    """Make the result that stands for an answer: for `resolve_in_doubt`, or from an `on_in_doubt` callable.

        manager.resolve_in_doubt(key, result=kept_answer(201, '{"id": 7}', {"content-type": "application/json"}))

    Args:
        status: The status that a retry gets.
        body: The body that it gets.
        headers: The headers that it gets; `Content-Length` is added.
    """
    content = body.encode() if isinstance(body, str) else body
    return Answer(status, kept_headers(_pairs(headers or {})), content, None).plain()


@final
class Answer:
    """An answer that is kept, and sent again. It does not change.

    A memory store keeps it as it is; others keep `plain()`, which a person can read.

    Attributes:
        status: Its status.
        raw_headers: Its headers, `Idempotent-Replayed` among them; whoever hands them on copies them.
        body: Its body; None if it was too large to keep.
        fingerprint: Of the request that it answers; None fits every request.
    """

    __slots__ = ("body", "fingerprint", "raw_headers", "status")

    def __init__(self, status: int, headers: list[RawHeader], body: bytes | None, fingerprint: str | None) -> None:
        """Make it of what is kept; a `Content-Length` is added where there is none."""
        self.status = status
        self.body = body
        self.fingerprint = fingerprint
        self.raw_headers = headers
        if body is not None and status not in _WITHOUT_BODY and b"content-length" not in dict(headers):
            headers.append((b"content-length", b"%d" % len(body)))
        headers.append(_REPLAYED)

    def plain(self) -> dict[str, Any]:
        """Give it as plain data: text where it is text, so that a person who looks into the store can read it."""
        headers: dict[str, str | list[str]] = {}
        for raw_name, raw_value in self.raw_headers[:-1]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            before = headers.get(name)
            if before is None:
                headers[name] = value
            else:
                headers[name] = [*before, value] if isinstance(before, list) else [before, value]
        plain = {"status": self.status, "headers": headers, "body": _readable(self.body)}
        return plain if self.fingerprint is None else {**plain, "fingerprint": self.fingerprint}

    def __repr__(self) -> str:
        """Show what a person asks for first."""
        size = "too large to keep" if self.body is None else f"{len(self.body)} bytes"
        return f"<answer {self.status}, {size}>"


def answer_of(result: object) -> Answer | None:
    """Give the answer that a result stands for; None for one that stands for none, with which people settle doubts."""
    if type(result) is Answer:
        return result
    if not isinstance(result, dict):
        return None
    status, headers, body = result.get("status"), result.get("headers"), result.get("body", "")
    if not (isinstance(status, int) and isinstance(headers, dict) and isinstance(body, str | bytes | None)):
        return None
    content = body.encode() if isinstance(body, str) else body
    return Answer(status, list(_pairs(headers)), content, result.get("fingerprint"))


def _pairs(headers: Mapping[str, str | list[str]]) -> Iterator[RawHeader]:
    for name, value in headers.items():
        for one in value if isinstance(value, list) else [value]:
            yield name.encode("latin-1"), one.encode("latin-1")


def _readable(body: bytes | None) -> str | bytes | None:
    try:
        return None if body is None else body.decode()
    except UnicodeDecodeError:
        return body


@final
class Recorder:
    """What has been seen of an application's answer.

    Attributes:
        status: Its status; 0 as long as it has not begun.
        headers: Its headers.
        is_too_large: Whether its body has grown beyond the limit.
    """

    __slots__ = ("_chunks", "_limit", "_size", "headers", "is_too_large", "status")

    def __init__(self, limit: int) -> None:
        """Start with nothing seen; keep at most `limit` bytes."""
        self._chunks: list[bytes] = []
        self._size = 0
        self._limit = limit
        self.status = 0
        self.headers: Iterable[RawHeader] = ()
        self.is_too_large = False

    def add(self, chunk: bytes) -> None:
        """Take a part of its body."""
        self._size += len(chunk)
        if self._size > self._limit:
            self.is_too_large = True
            self._chunks.clear()
        else:
            self._chunks.append(bytes(chunk))

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is here that its `Content-Length` declares."""
        declared = dict(self.headers).get(b"content-length", b"")
        return declared.isdigit() and self._size >= int(declared)

    def answer(self, fingerprint: str, dropped: frozenset[bytes]) -> Answer:
        """Give what is kept of it, with the fingerprint of the request that it answers."""
        headers = kept_headers(self.headers, dropped)
        if self.is_too_large:
            located = [header for header in headers if header[0] == b"location"]
            return Answer(self.status, located, None, fingerprint)
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        return Answer(self.status, headers, body, fingerprint)
