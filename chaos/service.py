"""The ledger's own process: HTTP on loopback, one request after the other on each connection.

    python -m chaos.service SEED

Prints its port, and ends when its standard input does. It answers slowly, so that kills fall before an effect, between
an effect and its answer, and after it; and as any service, it sometimes refuses or loses an answer.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Mapping
from random import Random
from typing import Any

from chaos.deliveries import Deliveries
from chaos.ledger import Call, Ledger

_SLOWNESS_SECONDS = 0.006
_REFUSED, _CLOSED_BEFORE, _CLOSED_AFTER = 0.01, 0.02, 0.03


class _HangUpError(Exception):
    """The connection ends without an answer."""


class _RefusedError(Exception):
    """503: nothing was done."""


class _Service:
    """Serves the ledger and the queue."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._ledger = Ledger()
        self._deliveries = Deliveries(Random(seed + 1))
        self._connections = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end; its open call ends with it, after all that was sent on it is done."""
        connection = _Connection(self, reader, writer)
        try:
            await connection.serve()
        except (_HangUpError, asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()
            if connection.call and (action := self._ledger.abandon(connection.call)):
                self._deliveries.again(action, _now())

    def deliver(self, action: str | None) -> Call:
        """Open a call for an action, by default the one that is due."""
        return self._ledger.open(action or self._deliveries.take(_now()))

    async def effect(self, call: Call) -> Mapping[str, Any]:
        """Make the effect happen, unless this request goes wrong."""
        call.sent = True
        luck = self._random.random()
        if luck < _REFUSED:
            raise _RefusedError
        if luck < _CLOSED_BEFORE:
            raise _HangUpError
        await self._work()
        number = self._ledger.effect(call)
        if luck < _CLOSED_AFTER:
            raise _HangUpError
        await self._work()
        return {"number": number}

    async def look(self, call: Call) -> Mapping[str, Any]:
        """Tell a reconciler what is known."""
        await self._work()
        seen = self._ledger.look(call)
        await self._work()
        return seen

    def close(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take down how a call ended."""
        action = self._ledger.close(body["call"], body["outcome"], body.get("number"), body.get("detail", ""))
        if action:
            self._deliveries.again(action, _now())
        return {}

    def report(self) -> Mapping[str, Any]:
        """Return everything that is known."""
        return self._ledger.report()

    async def _work(self) -> None:
        await asyncio.sleep(self._random.uniform(0, _SLOWNESS_SECONDS))


class _Connection:
    """One connection, with at most one open call."""

    def __init__(self, service: _Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.call: Call | None = None
        self._service, self._reader, self._writer = service, reader, writer

    async def serve(self) -> None:
        """Answer requests until the client ends the connection."""
        while True:
            path, body = await self._read()
            try:
                answer, status = await self._answer(path, body), "200 OK"
            except _RefusedError:
                answer, status = {}, "503 Service Unavailable"
            content = json.dumps(answer).encode()
            self._writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
            await self._writer.drain()

    async def _read(self) -> tuple[str, Mapping[str, Any]]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return head[0].split()[1], json.loads(body or b"{}")

    async def _answer(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if path == "/report":
            return self._service.report()
        if path == "/outcomes":
            return self._service.close(body)
        if path == "/deliveries":
            self.call = self._service.deliver(body.get("action"))
            return {"call": self.call.id, "action": self.call.action}
        if self.call is None:
            raise _HangUpError
        return await (self._service.effect if path == "/effects" else self._service.look)(self.call)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _main(seed: int) -> None:
    server = await asyncio.start_server(_Service(seed).serve, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
