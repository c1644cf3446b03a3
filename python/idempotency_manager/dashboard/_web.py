"""The page, as an ASGI application."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ._guard import HEADERS, Asked, Guard
from ._json import fields_of, to_plain
from ._live import Live
from ._settle import NotSettledError, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ._model import Snapshot
    from ._watch import Watch

STATIC = Path(__file__).parent / "static"
FILES = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/app.js": ("app.js", "text/javascript"),
    "/chart.js": ("chart.js", "text/javascript"),
    "/dom.js": ("dom.js", "text/javascript"),
    "/question.js": ("question.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
LARGEST = 1_048_576
"""Bytes of a change: a result that a person gives."""


class Gate:
    """Has the guard decide on each request, and its headers on each answer."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self._guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        query = QueryParams(scope["query_string"])
        asked = Asked(scope["method"], scope["path"], _once(scope), query.get("token"))
        refusal = self._guard.refusal(asked)
        app = self._app if refusal is None else PlainTextResponse(f"{refusal.text}\n", refusal.status)
        await app(scope, receive, send_with_headers)


def _once(scope: Scope) -> dict[str, str]:
    """Give the headers by name; one that comes twice is joined to what no rule knows, and neither is believed."""
    headers = Headers(scope=scope)
    return {name: ", ".join(headers.getlist(name)) for name in headers}


class Page:
    """Answers what the guard lets pass."""

    def __init__(self, watch: Watch, guard: Guard) -> None:
        self._watch, self._guard = watch, guard
        self._live = Live(watch, self._receive)
        self._body = self._encoded(watch.latest)

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Look at the store as long as the server runs."""
        self._live.start()
        try:
            yield
        finally:
            await run_in_threadpool(self._live.stop)

    def _receive(self, snapshot: Snapshot) -> None:
        self._body = self._encoded(snapshot)

    def _encoded(self, snapshot: Snapshot) -> bytes:
        fields = {
            "allow_changes": self._guard.allow_changes,
            "interval": self._watch.interval,
            "snapshot": fields_of(snapshot),
        }
        # A lone surrogate of a key is no UTF-8, so it stays an escape.
        return json.dumps(fields, default=to_plain).encode("ascii")

    async def file(self, request: Request) -> Response:
        """Give a part of the page; with the page itself, the cookie that its parts are asked for with."""
        name, media_type = FILES[request.url.path]
        response = Response(_contents(name), media_type=media_type)
        if request.url.path == "/":
            response.set_cookie(self._guard.cookie, self._guard.token, httponly=True, samesite="strict")
        return response

    async def snapshot(self, _request: Request) -> Response:
        """Give the newest snapshot."""
        return Response(self._body, media_type="application/json")

    async def resolve(self, request: Request) -> Response:
        """Settle an action in doubt."""
        try:
            key, result = _read_change(await _body(request))
            done = await run_in_threadpool(settle, self._watch, key, result)
        except NotSettledError as problem:
            return JSONResponse({"problem": str(problem)}, 409)
        self._live.nudge()
        return JSONResponse({"done": done})


def _contents(name: str) -> bytes:
    return (STATIC / name).read_bytes()


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise NotSettledError("the result is larger than 1 MiB: give it by `idempotency resolve KEY --result -`")
    return bytes(body)


def _read_change(body: bytes) -> tuple[str, str | None]:
    """Read `{"key": …, "result": "JSON"}` or `{"key": …, "not_executed": true}`.

    Raises:
        NotSettledError: It says something else.
    """
    try:
        fields: Any = json.loads(body)
    except ValueError:
        fields = None
    match fields:
        case {"key": str(key), "result": str(result), **rest} if not rest:
            return key, result
        case {"key": str(key), "not_executed": True, **rest} if not rest:
            return key, None
        case _:
            raise NotSettledError('give {"key": …, "result": "JSON"} or {"key": …, "not_executed": true}')


def make_app(watch: Watch, guard: Guard) -> Starlette:
    """Make the application.

    Args:
        watch: What looks at the store; it has looked once.
        guard: The rules.
    """
    page = Page(watch, guard)
    routes = [Route(path, page.file, methods=["GET"]) for path in FILES]
    routes += [
        Route("/snapshot", page.snapshot, methods=["GET"]),
        Route("/resolve", page.resolve, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Gate, guard=guard)], lifespan=page.lifespan)
