"""What a middleware for `Idempotency-Key` adds to a request, over memory."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

from idempotency_manager import AsyncIdempotencyManager
from idempotency_manager.middleware.asgi import IdempotencyMiddleware

from ._measure import Batch, Contender, Options, above, interleave
from ._report import Table, Target, timed
from .peers import THIS, asgi_header

BARE = "the application alone"
LIMIT = Target(0.5)
FIRSTS, REPLAYS, QUICK = 2_000, 4_000, 200
"""Requests in a batch."""

REQUEST = b'{"title": "Pay the invoice", "list": "to do", "labels": ["finance", "urgent"], "position": 3}'
ANSWER = json.dumps(
    {
        "id": "card-1842",
        "title": "Pay the invoice",
        "list": "to do",
        "labels": ["finance", "urgent"],
        "position": 3,
        "url": "https://cards.example.com/c/1842",
    }
).encode()
SENT = [
    (b"host", b"cards.example.com"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"user-agent", b"python-httpx/0.28.1"),
    (b"content-length", b"%d" % len(REQUEST)),
    (b"content-type", b"application/json"),
]
ANSWERED = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]

CAPTION = (
    "A POST of {request} B with the headers of an httpx client to an application that answers {answer} B of JSON, "
    "called in this process as a server calls it, less the time of the application alone in the same round. First: a "
    "key never seen before; each round begins with nothing remembered. Replay: one key again and again; the "
    "application does not run. This package reads and hashes the body, so that another one is refused, claims under a "
    "lease, and keeps status, headers and body. The peer reads no body, keeps JSON answers only, writes them anew "
    "without their headers, holds a key of an application that crashed for ever, and makes a class for each first "
    "request, most of what it costs. Each tells no callers apart here. The ratio is this package's time divided by the "
    "row's."
)

App = Callable[[Any, Any, Any], Awaitable[None]]


async def application(_scope: Any, receive: Any, send: Any) -> None:
    """Answers 201."""
    await receive()
    await send({"type": "http.response.start", "status": 201, "headers": ANSWERED})
    await send({"type": "http.response.body", "body": ANSWER})


def this_package(app: App) -> App:
    """The application behind this package's middleware, with nothing remembered."""
    return IdempotencyMiddleware(app, AsyncIdempotencyManager(max_cache_size=None))


GUARDS: dict[str, Callable[[App], App]] = {
    BARE: lambda app: app,
    THIS: this_package,
    asgi_header.NAME: asgi_header.guard,
}


def run(options: Options) -> list[Table]:
    """Races first requests and replays."""
    rows = []
    with asyncio.Runner() as runner:
        runner.run(_check())
        for case, calls, prepare in (("first", FIRSTS, _firsts), ("replay", REPLAYS, _replays)):
            contenders = [
                Contender(name, _preparation(prepare, runner, guard), QUICK if options.quick else calls)
                for name, guard in GUARDS.items()
            ]
            samples = above(interleave(contenders, options), BARE)
            rows += [
                timed(case, name, samples, THIS, None if name == THIS else LIMIT) for name in (THIS, asgi_header.NAME)
            ]
    caption = CAPTION.format(request=len(REQUEST), answer=len(ANSWER))
    return [Table("ASGI request", caption, ("ns added", "fastest round"), "this package ÷ it", tuple(rows))]


def _preparation(
    prepare: Callable[[asyncio.Runner, App], Batch], runner: asyncio.Runner, guard: Callable[[App], App]
) -> Callable[[], Batch]:
    return lambda: prepare(runner, guard(application))


def _firsts(runner: asyncio.Runner, app: App) -> Batch:
    return lambda calls: runner.run(_ask(app, (_scope(number) for number in range(calls))))


def _replays(runner: asyncio.Runner, app: App) -> Batch:
    runner.run(_ask(app, [_scope(0)]))
    scope = _scope(0)
    return lambda calls: runner.run(_ask(app, (scope for _ in range(calls))))


def _scope(number: int) -> dict[str, Any]:
    key = b'"8e03978e-40d5-43e8-bc93-%012x"' % number
    return {
        "type": "http",
        "method": "POST",
        "path": "/cards",
        "query_string": b"",
        "headers": [*SENT, (b"idempotency-key", key)],
    }


async def _ask(app: App, scopes: Any) -> None:
    for scope in scopes:
        await app(scope, _receive, _send)


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": REQUEST, "more_body": False}


async def _send(_message: Any) -> None:
    pass


async def _check() -> None:
    """The subjects do the work: each runs the application once for two requests, and gives its body twice."""
    for name, guard in GUARDS.items():
        runs, bodies = count(), []

        async def counted(scope: Any, receive: Any, send: Any, runs: Iterator[int] = runs) -> None:
            next(runs)
            await application(scope, receive, send)

        async def take(message: Any, bodies: list[Any] = bodies) -> None:
            bodies.append(message.get("body"))

        app = guard(counted)
        for _ in range(2):
            await app(_scope(0), _receive, take)
        assert next(runs) == (2 if name == BARE else 1), name
        assert [json.loads(body) for body in bodies if body] == [json.loads(ANSWER)] * 2, name
