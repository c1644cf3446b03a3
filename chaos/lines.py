"""A connection to the ledger. It never reconnects on its own: a call sends on the connection that it began on."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, NotConnected
from typing import Any

_TIMEOUT_SECONDS = 20.0


class RefusedError(Exception):
    """The ledger answered, and had done nothing."""


def _checked(status: int, content: bytes) -> Mapping[str, Any]:
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise RefusedError
    answer: Mapping[str, Any] = json.loads(content)
    return answer


class Line:
    """For a thread."""

    def __init__(self, port: int) -> None:
        """Connect to the ledger on this port.

        Raises:
            ConnectionRefusedError: There is none.
        """
        self._http = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
        self._http.auto_open = 0
        self._http.connect()

    def ask(self, what: str, **fields: object) -> Mapping[str, Any]:
        """Send one request and return its answer.

        Raises:
            RefusedError: Nothing was done.
            OSError: It is not known whether anything was done.
            HTTPException: The same.
        """
        try:
            self._http.request("POST", f"/{what}", json.dumps(fields))
            answer = self._http.getresponse()
            return _checked(answer.status, answer.read())
        except BaseException as error:
            if not isinstance(error, RefusedError):
                self._http.close()
            raise

    def renewed(self) -> bool:
        """Connect again where the connection has ended; only between two calls. Tell whether it had."""
        if self._http.sock is not None:
            return False
        self._http.connect()
        return True


class TaskLine:
    """The same for a task."""

    def __init__(self, port: int) -> None:
        """Take the ledger's port; nothing is connected yet."""
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, what: str, **fields: object) -> Mapping[str, Any]:
        """See `Line.ask`."""
        if self._streams is None:
            raise NotConnected
        reader, writer = self._streams
        body = json.dumps(fields).encode()
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                writer.write(f"POST /{what} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                content = await reader.readexactly(int(head[1].rpartition(" ")[2]))
        except BaseException:
            self._streams = None
            writer.close()
            raise
        return _checked(int(head[0].split()[1]), content)

    async def renewed(self) -> bool:
        """See `Line.renewed`."""
        if self._streams is not None:
            return False
        self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return True
