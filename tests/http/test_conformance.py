"""draft-ietf-httpapi-idempotency-key-header, as a table of cases that every server is asked."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.http.desk import BIG, TAKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.conftest import Site


@dataclass(frozen=True)
class Ask:
    """A request and its answer: a status, and the `code` of a problem or None for the application's own answer."""

    status: int
    code: str | None = None
    replayed: bool = False
    method: str = "POST"
    path: str = "/cards"
    key: str | None = '"k"'
    body: bytes = b'{"title": "Pay"}'
    headers: dict[str, str] = field(default_factory=dict)


def first(status: int = 201, **more: Any) -> Ask:
    return Ask(status, **more)


def again(status: int = 201, **more: Any) -> Ask:
    return Ask(status, replayed=True, **more)


def refused(status: int, code: str, **more: Any) -> Ask:
    return Ask(status, code, **more)


CLOSE = {"connection": "close"}
"""Of requests whose application raises: uvicorn closes the connection without a word."""


def form(boundary: str, text: str) -> dict[str, Any]:
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{text}\r\n--{boundary}--\r\n'
    return {"headers": {"content-type": f"multipart/form-data; boundary={boundary}"}, "body": body.encode()}


# What is asked, in order, and how often the action is carried out by that.
CASES: dict[str, tuple[list[Ask], int]] = {
    "a first request is carried out": ([first()], 1),
    "a retry gets the first answer": ([first(), again(), again()], 1),
    "PATCH is guarded too": ([first(method="PATCH"), again(method="PATCH")], 1),
    "PUT is idempotent by itself and passes": ([first(method="PUT"), first(method="PUT")], 2),
    "GET passes": ([first(method="GET", body=b""), first(method="GET", body=b"")], 2),
    "a request without a key passes": ([first(key=None), first(key=None)], 2),
    "another key is another request": ([first(), first(key='"k-2"')], 2),
    "another method is another request": ([first(), first(method="PATCH")], 2),
    "another path is another request": ([first(), first(200, path="/stream")], 2),
    "another body is refused": ([first(), refused(422, "key-reused", body=b"other"), again()], 1),
    "another query is refused": ([first(), refused(422, "key-reused", path="/cards?urgent=1")], 1),
    "an empty body is a body": ([first(body=b""), again(body=b""), refused(422, "key-reused")], 1),
    "a form with a new boundary is the same": ([first(**form("aaa", "x")), again(**form("bbb", "x"))], 1),
    "another form is refused": ([first(**form("aaa", "x")), refused(422, "key-reused", **form("aaa", "y"))], 1),
    "another caller has keys of its own": (
        [
            first(headers={"authorization": "Bearer a"}),
            first(headers={"authorization": "Bearer b"}),
            first(),
            again(headers={"authorization": "Bearer b"}),
        ],
        3,
    ),
    "escapes and parameters are read": ([first(key=r'"k\"\\"'), again(key=r'"k\"\\";v=1; a')], 1),
    "a key without quotation marks": ([refused(400, "key-malformed", key="k")], 0),
    "an empty key": ([refused(400, "key-malformed", key='""')], 0),
    "a key that is not closed": ([refused(400, "key-malformed", key='"k')], 0),
    "a key that is a number": ([refused(400, "key-malformed", key="12")], 0),
    "a list of keys": ([refused(400, "key-malformed", key='"k", "k2"')], 0),
    "a key that is too long": ([refused(400, "key-malformed", key='"k' + "x" * 255 + '"')], 0),
    "a body that is just small enough": ([first(body=b"x" * TAKEN), again(body=b"x" * TAKEN)], 1),
    "a refusal of the client is an answer": (
        [first(404, path="/fail?status=404"), again(404, path="/fail?status=404")],
        1,
    ),
    "a failure of the server is none": ([first(503, path="/fail?status=503"), first(503, path="/fail?status=503")], 2),
    "a refusal for now is none": ([first(429, path="/fail?status=429"), first(429, path="/fail?status=429")], 2),
    "a request that failed may be another next time": (
        [first(500, path="/fail?status=500"), first(500, path="/fail?status=500", body=b"other")],
        2,
    ),
    "an error that says nothing happened": (
        [first(500, path="/raise?error=value", headers=CLOSE), first(500, path="/raise?error=value", headers=CLOSE)],
        2,
    ),
    "an error that leaves it open": (
        [
            first(500, path="/raise?error=timeout", headers=CLOSE),
            refused(409, "in-doubt", path="/raise?error=timeout", headers=CLOSE),
            refused(422, "key-reused", path="/raise?error=timeout", headers=CLOSE, body=b"other"),
        ],
        1,
    ),
    "a stream is kept": ([first(200, path="/stream"), again(200, path="/stream")], 1),
    "an answer that is too large is not": (
        [
            first(201, path="/big"),
            refused(409, "answer-not-kept", path="/big"),
            refused(422, "key-reused", path="/big", body=b"other"),
        ],
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_case_of_the_draft(site: Site, case: str) -> None:
    asks, runs = CASES[case]
    answers = []
    for ask in asks:
        answer = site.ask(ask.method, ask.path, ask.key, content=ask.body, headers=ask.headers)
        assert answer.status_code == ask.status, answer.text
        assert answer.headers.get("idempotent-replayed") == ("true" if ask.replayed else None)
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        assert (answer.json()["code"] if is_problem else None) == ask.code
        answers.append(answer)
    assert site.runs == runs
    replays = [answer.content for ask, answer in zip(asks, answers, strict=True) if ask.replayed and ask.key == '"k"']
    assert all(content in [answer.content for answer in answers[: len(asks) - 1]] for content in replays)


def test_a_replay_has_the_first_answers_status_headers_and_body_but_no_cookie(site: Site) -> None:
    one, two = (site.ask("POST", "/cards", content=b"{}") for _ in range(2))
    assert one.headers["set-cookie"].startswith("session=secret")
    assert "set-cookie" not in two.headers
    assert two.headers["idempotent-replayed"] == "true"
    kept = ("content-type", "content-length", "location")
    assert (two.status_code, two.content) == (one.status_code, one.content) == (201, one.content)
    assert [two.headers[name] for name in kept] == [one.headers[name] for name in kept]


def test_a_problem_is_a_document_of_rfc_9457_that_links_to_the_documentation(site: Site) -> None:
    answer = site.ask("POST", "/cards", "no string")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-language"] == "en"
    link = '<https://developer.example.com/idempotency>; rel="describedby"; type="text/html"'
    assert answer.headers["link"] == link
    document = answer.json()
    assert document["type"] == "https://developer.example.com/idempotency#key-malformed"
    assert (document["status"], document["title"]) == (400, "Idempotency-Key is malformed")
    assert "8e03978e-40d5-43e8-bc93-6894a57f9324" in document["detail"]


def test_what_is_known_of_an_answer_that_was_too_large_is_told(site: Site) -> None:
    assert site.ask("POST", "/big").content == BIG
    problem = site.ask("POST", "/big").json()
    assert problem["original"] == {"status": 201, "location": "/big/1"}
    assert site.runs == 1


def test_a_body_in_chunks_is_hashed_like_one_in_a_piece(site: Site) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"title":'
        yield b' "Pay"}'

    one = site.ask("POST", "/cards", content=parts())
    assert (one.status_code, one.json()["size"]) == (201, 16)
    assert site.ask("POST", "/cards", content=b'{"title": "Pay"}').headers["idempotent-replayed"] == "true"
    assert site.ask("POST", "/cards", content=iter([b'{"title":', b' "Play"}'])).status_code == 422
    assert site.runs == 1


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        (f"Content-Length: {TAKEN + 1}\r\nExpect: 100-continue\r\n", b""),
        ("Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (TAKEN + 1, b"x" * (TAKEN + 1))),
    ],
    ids=["declared", "in chunks"],
)
def test_a_body_that_is_too_large_is_refused_before_its_end(site: Site, headers: str, sent: bytes) -> None:
    with raw_request(site, headers) as connection:
        connection.sendall(sent)
        answer = last_response(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "body-too-large"' in answer
    assert site.runs == 0


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(site: Site) -> None:
    with raw_request(site, "Content-Length: 2\r\nExpect: 100-continue\r\n") as connection:
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert last_response(connection).startswith(b"HTTP/1.1 201 ")
    assert site.runs == 1


@contextmanager
def raw_request(site: Site, headers: str) -> Iterator[socket.socket]:
    """A connection on which a request's headers have been sent."""
    url = site.client.base_url
    with socket.create_connection((url.host, url.port or 0), timeout=20) as connection:
        start = f"POST /cards HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Case: {site.case}\r\n"
        connection.sendall(f'{start}Idempotency-Key: "{site.case}"\r\n{headers}\r\n'.encode())
        yield connection


def last_response(connection: socket.socket) -> bytes:
    """What comes until the server closes, but for a 100."""
    answer = b""
    while data := connection.recv(65536):
        answer += data
        if b'"code"' in answer:
            break
    return answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
