"""Who may ask the page for what, as a table of requests: by the rules themselves, and by the application under them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from idempotency_manager.dashboard._guard import HEADERS, Guard
from idempotency_manager.dashboard._watch import Watch
from idempotency_manager.dashboard._web import FILES, LARGEST, make_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from idempotency_manager import IdempotencyManager

TOKEN = "a-token-that-is-long-enough"  # noqa: S105 - it opens nothing
HOST, ORIGIN = "127.0.0.1:8765", "http://127.0.0.1:8765"
COOKIE = {"cookie": f"idempotency_dashboard_8765={TOKEN}"}
BEARER = {"authorization": f"Bearer {TOKEN}"}
CHANGE = {"content-type": "application/json"}
READ_ONLY, CHANGES = Guard(TOKEN, 8765, allow_changes=False), Guard(TOKEN, 8765, allow_changes=True)


@dataclass(frozen=True)
class Case:
    """A request, and the status it is answered with."""

    name: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"
    path: str = "/snapshot"
    guard: Guard = CHANGES


def get(name: str, status: int, *headers: dict[str, str], path: str = "/snapshot") -> Case:
    return Case(
        name, status, {"host": HOST, **{key: value for one in headers for key, value in one.items()}}, path=path
    )


def post(name: str, status: int, *headers: dict[str, str], guard: Guard = CHANGES) -> Case:
    asked = get(name, status, CHANGE, *headers)
    return Case(name, status, asked.headers, "POST", "/resolve", guard)


SITE = {"sec-fetch-site": "same-origin"}
CASES = [
    get("the page with the token in its address", 200, path=f"/?token={TOKEN}"),
    get("the page with the cookie", 200, COOKIE, path="/"),
    get("the snapshot with the cookie", 200, COOKIE, SITE),
    get("the snapshot by a script", 200, BEARER),
    get("by the other name of this machine", 200, BEARER, {"host": "localhost:8765"}),
    get("typed by a person", 200, COOKIE, {"sec-fetch-site": "none"}, path="/"),
    # the token
    get("no token", 401),
    get("no token, for the page", 401, path="/"),
    get("no token, for its code", 401, path="/app.js"),
    get("no token, for what is not there", 401, path="/nothing"),
    get("a wrong token in the address", 401, path="/?token=guess"),
    get("an empty token", 401, path="/?token="),
    get("a token that is no ASCII", 401, path="/?token=%F0%9F%94%91"),
    get("a wrong cookie", 401, {"cookie": "idempotency_dashboard_8765=guess"}),
    get("the cookie of another port's dashboard", 401, {"cookie": f"idempotency_dashboard_9999={TOKEN}"}),
    get("a cookie that is none", 401, {"cookie": "\u00e9[=;;,"}),
    get("a wrong bearer", 401, {"authorization": "Bearer guess"}),
    get("the token by another scheme", 401, {"authorization": f"Basic {TOKEN}"}),
    get("the token in the address of anything but the page", 401, path=f"/snapshot?token={TOKEN}"),
    # the host
    get("another name that leads here", 421, BEARER, {"host": "evil.example:8765"}),
    get("another name, with the token in the address", 421, {"host": "evil.example"}, path=f"/?token={TOKEN}"),
    get("another port", 421, BEARER, {"host": "127.0.0.1:80"}),
    get("no port", 421, BEARER, {"host": "127.0.0.1"}),
    get("a name that begins well", 421, BEARER, {"host": "127.0.0.1:8765.evil.example"}),
    # the origin
    get("a page of another site", 403, COOKIE, {"sec-fetch-site": "cross-site"}),
    get("a page of another port of this machine", 403, COOKIE, {"sec-fetch-site": "same-site"}),
    get("a link on another site", 403, {"sec-fetch-site": "cross-site"}, path=f"/?token={TOKEN}"),
    get("another origin", 403, COOKIE, {"origin": "http://evil.example"}),
    get("another origin with the token", 403, BEARER, {"origin": "http://127.0.0.1:3000"}),
    get("an origin that hides itself", 403, BEARER, {"origin": "null"}),
    get("the other name's origin", 403, BEARER, {"origin": "http://localhost:8765"}),
    get("the same host by https", 403, BEARER, {"origin": "https://127.0.0.1:8765"}),
    # changes; 409 is an answer of the page: the key is not in doubt
    post("a change by the page", 409, COOKIE, SITE, {"origin": ORIGIN}),
    post("a change by a script", 409, BEARER),
    post("a change with no token", 401, {"origin": ORIGIN}),
    post("a change by another site", 403, COOKIE, {"origin": "http://evil.example"}),
    post("a change that says nothing of its origin", 403, COOKIE),
    post("a change as a form would send it", 415, COOKIE, {"origin": ORIGIN, "content-type": "text/plain"}),
    post("a change of what is read-only", 403, BEARER, guard=READ_ONLY),
    post("a change by the read-only page", 403, COOKIE, SITE, {"origin": ORIGIN}, guard=READ_ONLY),
    Case("a change by GET", 405, {"host": HOST, **BEARER}, path="/resolve"),
    Case("another method", 405, {"host": HOST, **BEARER, **CHANGE}, "DELETE", "/resolve"),
]


@pytest.fixture
def watched(manager: IdempotencyManager) -> Watch:
    watch = Watch(manager, timedelta(hours=1))
    watch.look()
    return watch


@pytest.fixture
async def client(watched: Watch) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(watched, CHANGES))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=BEARER) as client:
        yield client


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_request_gets_the_answer_that_is_its_due(watched: Watch, case: Case) -> None:
    transport = httpx.ASGITransport(make_app(watched, case.guard))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        body = b'{"key": "s:a:t", "not_executed": true}' if case.method == "POST" else b""
        headers = [(name.encode(), value.encode()) for name, value in case.headers.items()]
        answer = await client.request(case.method, case.path, headers=headers, content=body)
    assert answer.status_code == case.status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert case.status == 200 or TOKEN not in answer.text


async def test_a_header_that_comes_twice_is_not_believed(watched: Watch) -> None:
    transport = httpx.ASGITransport(make_app(watched, CHANGES))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        for name, values in (("host", (HOST, "evil.example")), ("origin", (ORIGIN, "http://evil.example"))):
            headers = [*((name, value) for value in values), *BEARER.items()]
            assert (await client.get("/snapshot", headers=headers)).status_code in (403, 421)


async def test_the_page_sets_a_cookie_that_no_script_and_no_other_site_has(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    cookie = answer.headers["set-cookie"].lower()
    assert f"idempotency_dashboard_8765={TOKEN}" in cookie
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "domain" not in cookie


@pytest.mark.parametrize("path", FILES)
async def test_no_part_of_the_page_comes_from_elsewhere_or_holds_code_in_its_markup(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    known = ("http://www.w3.org/2000/svg",)
    text = answer.text
    for name in known:
        text = text.replace(name, "")
    assert "://" not in text
    if path == "/":
        assert "<style" not in text
        assert "style=" not in text
        assert "onclick" not in text
        assert text.count("<script") == text.count('<script type="module" src="/app.js"></script>') == 1
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"key": 1, "result": "1"}',
        b'{"key": "s:a:t"}',
        b'{"key": "s:a:t", "not_executed": false}',
        b'{"key": "s:a:t", "result": 1}',
        b'{"key": "s:a:t", "result": "1", "not_executed": true}',
        b'{"key": "s:a:t", "result": "{"}',
        b'"' + b"x" * LARGEST + b'"',
    ],
    ids=lambda body: body[:50].decode(),
)
async def test_a_change_that_makes_no_sense_changes_nothing(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/resolve", content=body, headers=CHANGE)
    assert answer.status_code == 409
    assert answer.json()["problem"]


async def test_both_ways_out_by_a_script(
    manager: IdempotencyManager, keys: dict[str, str], client: httpx.AsyncClient
) -> None:
    happened = await client.post("/resolve", json={"key": keys["plain"], "result": "[1]"})
    did_not = await client.post("/resolve", json={"key": keys["hostile"], "not_executed": True})
    assert happened.json()["done"].startswith("Recorded: it happened")
    assert did_not.json()["done"].startswith("Recorded: it did not happen")
    assert manager.check_executed(keys["plain"]).cached_result == [1]
    assert manager.get_record(keys["hostile"]) is None


async def test_a_key_that_no_text_can_hold_is_written_all_the_same(
    manager: IdempotencyManager, keys: dict[str, str], watched: Watch
) -> None:
    watched.count()
    watched.look()
    transport = httpx.ASGITransport(make_app(watched, READ_ONLY))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=BEARER) as client:
        answer = await client.get("/snapshot")
    fields = answer.json()
    assert fields["allow_changes"] is False
    (doubt,) = [one for one in fields["snapshot"]["doubts"]["entries"] if one["key"] == keys["hostile"]]
    assert doubt["it_did_not"] == f"idempotency resolve {shlex.quote(keys['hostile'])} --not-executed"
    assert "result" not in doubt
