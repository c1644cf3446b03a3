"""Streams pass through as they come, whatever becomes of whoever listens."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import AsyncIdempotencyManager, IdempotencyManager
from idempotency_manager.middleware.asgi import IdempotencyMiddleware
from tests.http.asking import Asked, ask, environ, scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.conftest import Site


@pytest.mark.parametrize("site", ["uvicorn-starlette", "gunicorn-flask"], indirect=True)
def test_a_part_of_a_stream_arrives_before_the_next_one_is_made(site: Site) -> None:
    site.desk.expect(site.case)
    headers = {"x-case": site.case, "idempotency-key": f'"{site.case}"'}
    with site.client.stream("POST", "/gated", headers=headers) as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"one, "
        site.desk.wait_for(site.case)
        site.desk.let_go(site.case)
        assert b"".join(parts) == b"two, "
    again = site.ask("POST", "/gated")
    assert (again.content, again.headers["idempotent-replayed"], site.runs) == (b"one, two, ", "true", 1)


@pytest.mark.parametrize("site", ["uvicorn-starlette", "gunicorn-flask"], indirect=True)
def test_a_stream_whose_listener_leaves_is_kept_to_its_end(site: Site) -> None:
    site.desk.expect(site.case)
    headers = {"x-case": site.case, "idempotency-key": f'"{site.case}"', "connection": "close"}
    with ThreadPoolExecutor() as pool:
        with site.client.stream("POST", "/gated", headers=headers) as answer:
            next(answer.iter_raw())
            waited = pool.submit(site.desk.wait_for, site.case)
            waited.result()
        site.desk.let_go(site.case)
    again = site.ask("POST", "/gated")
    while again.status_code == 409:
        assert again.json()["code"] == "in-progress"
        time.sleep(0.01)
        again = site.ask("POST", "/gated")
    assert (again.content, again.headers["idempotent-replayed"], site.runs) == (b"one, two, ", "true", 1)


async def test_the_end_of_an_answer_is_sent_once_it_is_recorded() -> None:
    manager = AsyncIdempotencyManager()
    states: list[str] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    async def look(message: Any) -> None:
        (record,) = [record async for record in manager.iter_records()]
        states.append(f"{message.get('body', b'-').decode()} {record.state}")

    await IdempotencyMiddleware(app, manager)(scope(), Asked([b"{}"]).receive, look)
    assert states == ["- in_progress", "a in_progress", "b completed"]


async def test_an_application_does_not_see_that_its_client_has_gone_before_its_answer_is_recorded() -> None:
    manager = AsyncIdempotencyManager()
    seen: list[str] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        gone = asyncio.create_task(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0)
        seen.append(f"gone: {gone.done()}")
        await send({"type": "http.response.body", "body": b"whole"})
        seen.append((await gone)["type"])

    async def to_nobody(_message: Any) -> None:
        raise OSError("the client has gone")

    middleware = IdempotencyMiddleware(app, manager)
    await middleware(scope(), Asked([b"{}"]).receive, to_nobody)
    assert seen == ["gone: False", "http.disconnect"]
    assert (await ask(middleware)).body == b"whole"


async def test_past_the_limit_an_answer_counts_as_done_at_once_and_the_rest_passes() -> None:
    manager = AsyncIdempotencyManager()
    states: list[str] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"1234", "more_body": True})
            states.extend([record.state async for record in manager.iter_records()])
        raise ValueError("after that, what becomes of the stream is its listener's business")

    middleware = IdempotencyMiddleware(app, manager, max_answer_size=5)
    sent = Asked([b"{}"])
    with pytest.raises(ValueError, match="its listener's"):
        await middleware(scope(), sent.receive, sent.send)
    assert states == ["in_progress", "completed", "completed"]
    assert sent.body == b"1234" * 3
    assert (await ask(middleware)).json["code"] == "answer-not-kept"


async def test_an_endless_stream_ends_for_want_of_a_listener_once_it_is_too_large() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"1234", "more_body": True})

    async def to_nobody(_message: Any) -> None:
        raise OSError("the client has gone")

    middleware = IdempotencyMiddleware(app, AsyncIdempotencyManager(), max_answer_size=5)
    with pytest.raises(OSError, match="has gone"):
        await middleware(scope(), Asked([b"{}"]).receive, to_nobody)


def test_a_wsgi_answer_is_handed_on_part_by_part_and_fetched_to_its_end_when_it_is_closed() -> None:
    from idempotency_manager.middleware import wsgi

    manager = IdempotencyManager()
    made: list[str] = []

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for part in "ab":
            made.append(part)
            yield part.encode()
        made.append("end")

    middleware = wsgi.IdempotencyMiddleware(app, manager)
    answer: Any = middleware(environ(), lambda *_: None)
    assert (next(answer), made) == (b"a", ["a"])
    answer.close()
    assert made == ["a", "b", "end"]
    assert list(middleware(environ(), lambda *_: None)) == [b"ab"]


def test_the_legacy_write_of_wsgi_is_recorded_too() -> None:
    from idempotency_manager.middleware import wsgi

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("201 Created", [("X-Kind", "old")])
        write(b"a")
        return [b"b"]

    middleware = wsgi.IdempotencyMiddleware(app, IdempotencyManager())
    written: list[bytes] = []
    answer: Any = middleware(environ(), lambda *_: written.append)
    assert (written, list(answer)) == ([b"a"], [b"b"])
    answer.close()
    started: list[Any] = []
    assert list(middleware(environ(), lambda *given: started.append(given))) == [b"ab"]
    assert started[0][0] == "201 Created"
    assert ("x-kind", "old") in started[0][1]
