"""Requests without a server, for what only the protocol shows."""

from __future__ import annotations

import io
import json
import sys
from typing import Any


def scope(key: str | None = '"k"', **more: Any) -> dict[str, Any]:
    headers = more.pop("headers", [])
    keyed = [(b"idempotency-key", key.encode())] if key else []
    return {
        "type": "http",
        "method": "POST",
        "path": "/cards",
        "query_string": b"",
        "headers": [*keyed, *headers],
        **more,
    }


def environ(key: str | None = '"k"', body: bytes = b"{}", **more: Any) -> dict[str, Any]:
    keyed = {"HTTP_IDEMPOTENCY_KEY": key} if key else {}
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/cards",
        "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        **keyed,
        **more,
    }


class Asked:
    """A client: hands out a body in parts, then says that it has gone; takes the answer."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts
        self.messages: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if not self._parts:
            return {"type": "http.disconnect"}
        part = self._parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self._parts)}

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(app: Any, body: bytes = b"{}", **more: Any) -> Asked:
    """Ask an ASGI application; give the answer."""
    asked = Asked([body])
    await app(scope(**more), asked.receive, asked.send)
    return asked
