"""Which errors of real clients leave it open that the effect happened, met on servers that misbehave on purpose."""

from __future__ import annotations

import asyncio
import concurrent.futures
import http.client
import socket
import urllib.request
from typing import TYPE_CHECKING

import aiohttp
import botocore.config
import botocore.session
import grpc
import httpx
import psycopg
import pytest
import redis
import redis.backoff
import redis.retry
import requests
import urllib3

from idempotency_manager._doubt import leaves_in_doubt

from . import loopback
from .loopback import raised_by

if TYPE_CHECKING:
    from collections.abc import Callable

# A client whose call has failed leaves its socket to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
TIMEOUT = 0.3


def with_http_client(url: str) -> None:
    host, port = url.split("/")[2].split(":")
    kind = http.client.HTTPSConnection if url.startswith("https") else http.client.HTTPConnection
    connection = kind(host, int(port), timeout=TIMEOUT)
    connection.request("POST", "/", b"x")
    answer = connection.getresponse()
    answer.read()
    if answer.status >= 400:
        raise http.client.HTTPException(answer.status)


def with_urllib(url: str) -> None:
    with urllib.request.urlopen(url, data=b"x", timeout=TIMEOUT) as answer:
        answer.read()


def with_requests(url: str) -> None:
    requests.post(url, data=b"x", timeout=TIMEOUT).raise_for_status()


def with_urllib3(url: str) -> None:
    answer = urllib3.PoolManager().request("POST", url, body=b"x", timeout=TIMEOUT, retries=0)
    if answer.status >= 400:
        raise urllib3.exceptions.HTTPError(answer.status)


def with_httpx(url: str) -> None:
    httpx.post(url, content=b"x", timeout=TIMEOUT).raise_for_status()


def with_async_httpx(url: str) -> None:
    async def post() -> None:
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            (await client.post(url, content=b"x")).raise_for_status()

    asyncio.run(post())


def with_aiohttp(url: str) -> None:
    async def post() -> None:
        timeout = aiohttp.ClientTimeout(sock_read=TIMEOUT, sock_connect=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, data=b"x") as answer:
            await answer.read()
            answer.raise_for_status()

    asyncio.run(post())


def with_botocore(url: str) -> None:
    client = botocore.session.get_session().create_client(
        "s3",
        region_name="eu-central-1",
        endpoint_url=url,
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=botocore.config.Config(
            retries={"total_max_attempts": 1},
            connect_timeout=TIMEOUT,
            read_timeout=TIMEOUT,
            s3={"addressing_style": "path"},
        ),
    )
    client.copy_object(Bucket="b", Key="k", CopySource="b/o")


HTTP_CLIENTS = [
    with_http_client,
    with_urllib,
    with_requests,
    with_urllib3,
    with_httpx,
    with_async_httpx,
    with_aiohttp,
    with_botocore,
]
every_http_client = pytest.mark.parametrize("call", HTTP_CLIENTS)


def against(behave: loopback.Behaviour, call: Callable[[str], None], scheme: str = "http") -> BaseException:
    with loopback.server(behave) as port:
        return raised_by(lambda: call(f"{scheme}://127.0.0.1:{port}"))


@every_http_client
@pytest.mark.parametrize(
    "behave",
    [
        loopback.hang_up_after_the_request,
        loopback.reset_after_the_request,
        loopback.never_answer,
        loopback.answer_by_half_a_chunk,
    ],
)
def test_a_lost_answer_is_doubt(call: Callable[[str], None], behave: loopback.Behaviour) -> None:
    error = against(behave, call)
    assert leaves_in_doubt(error), repr(error)


# botocore takes a body that is too short for what it says as it is, and finds an answer in it.
@pytest.mark.parametrize("call", [one for one in HTTP_CLIENTS if one is not with_botocore])
def test_half_an_answer_is_doubt(call: Callable[[str], None]) -> None:
    error = against(loopback.answer_by_half, call)
    assert leaves_in_doubt(error), repr(error)


@every_http_client
def test_a_lost_answer_behind_an_error_of_the_application_is_doubt(call: Callable[[str], None]) -> None:
    def create_card(url: str) -> None:
        try:
            call(url)
        except Exception as error:
            message = "no card"
            raise LookupError(message) from error

    assert leaves_in_doubt(against(loopback.hang_up_after_the_request, create_card))


@every_http_client
def test_a_refused_connection_is_an_ordinary_failure(call: Callable[[str], None]) -> None:
    error = raised_by(lambda: call(f"http://127.0.0.1:{loopback.closed_port()}"))
    assert not leaves_in_doubt(error), repr(error)


@every_http_client
def test_a_connection_that_takes_too_long_is_an_ordinary_failure(call: Callable[[str], None]) -> None:
    with loopback.unanswering_port() as port:
        error = raised_by(lambda: call(f"http://127.0.0.1:{port}"))
    assert not leaves_in_doubt(error), repr(error)


@every_http_client
def test_a_slow_connection_after_a_lost_answer_is_doubt(call: Callable[[str], None]) -> None:
    def try_twice(url: str) -> None:
        try:
            with_requests(url)
        except requests.ConnectionError:
            call(f"http://127.0.0.1:{unanswering}")

    with loopback.unanswering_port() as unanswering:
        error = against(loopback.hang_up_after_the_request, try_twice)
    assert leaves_in_doubt(error), repr(error)


@every_http_client
def test_a_name_that_is_not_found_is_an_ordinary_failure(call: Callable[[str], None]) -> None:
    error = raised_by(lambda: call("http://host.invalid:80"))
    assert not leaves_in_doubt(error), repr(error)


@every_http_client
@pytest.mark.parametrize(
    "behave", [loopback.speak_no_tls, loopback.hang_up_in_the_handshake, loopback.hang_up_after_the_request]
)
def test_a_handshake_that_fails_is_an_ordinary_failure(call: Callable[[str], None], behave: loopback.Behaviour) -> None:
    error = against(behave, call, "https")
    assert not leaves_in_doubt(error), repr(error)


@every_http_client
def test_an_answer_that_refuses_is_an_ordinary_failure(call: Callable[[str], None]) -> None:
    error = against(loopback.answer_unavailable, call)
    assert not leaves_in_doubt(error), repr(error)


@every_http_client
def test_a_refusal_after_a_lost_answer_is_doubt(call: Callable[[str], None]) -> None:
    refusing = f"http://127.0.0.1:{loopback.closed_port()}"

    def try_twice(url: str) -> None:
        try:
            requests.post(url, timeout=TIMEOUT)
        except requests.ConnectionError:
            call(refusing)

    error = against(loopback.hang_up_after_the_request, try_twice)
    assert leaves_in_doubt(error), repr(error)


@every_http_client
def test_a_lost_answer_after_a_refusal_is_doubt(call: Callable[[str], None]) -> None:
    refusing = f"http://127.0.0.1:{loopback.closed_port()}"

    def try_twice(url: str) -> None:
        try:
            with_requests(refusing)
        except requests.ConnectionError:
            call(url)

    error = against(loopback.hang_up_after_the_request, try_twice)
    assert leaves_in_doubt(error), repr(error)


def call_grpc(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.unary_unary("/s/m")(b"x", timeout=2 * TIMEOUT)


def test_an_rpc_past_its_deadline_is_doubt() -> None:
    with loopback.server(loopback.never_answer) as port:
        assert leaves_in_doubt(raised_by(lambda: call_grpc(port)))


def test_an_rpc_to_a_port_that_refuses_is_an_ordinary_failure() -> None:
    assert not leaves_in_doubt(raised_by(lambda: call_grpc(loopback.closed_port())))


@pytest.mark.parametrize(
    ("status", "doubt"),
    [
        (grpc.StatusCode.UNKNOWN, True),
        (grpc.StatusCode.INTERNAL, True),
        (grpc.StatusCode.UNAVAILABLE, True),
        (grpc.StatusCode.INVALID_ARGUMENT, False),
        (grpc.StatusCode.ALREADY_EXISTS, False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, False),
    ],
)
def test_an_rpc_is_judged_by_its_status(status: grpc.StatusCode, doubt: bool) -> None:
    def answer(_: bytes, context: grpc.ServicerContext) -> None:
        context.abort(status, "as the test asked")

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    handlers = {"m": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert leaves_in_doubt(raised_by(lambda: call_grpc(port))) is doubt
    finally:
        server.stop(None).wait()


def call_redis(port: int) -> None:
    client = redis.Redis(
        port=port,
        socket_connect_timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        protocol=2,
    )
    client.set("k", "v")


def answer_until_set(then: loopback.Behaviour) -> loopback.Behaviour:
    def behave(connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            if b"SET\r\n$1\r\nk" in data:
                then(connection)
                return
            connection.sendall(b"+OK\r\n" * data.count(b"*"))

    return behave


@pytest.mark.parametrize("then", [lambda connection: connection.shutdown(socket.SHUT_RDWR), lambda _: None])
def test_a_redis_command_without_an_answer_is_doubt(then: loopback.Behaviour) -> None:
    with loopback.server(answer_until_set(then)) as port:
        error = raised_by(lambda: call_redis(port))
    assert leaves_in_doubt(error), repr(error)


def test_a_redis_that_refuses_is_an_ordinary_failure() -> None:
    error = raised_by(lambda: call_redis(loopback.closed_port()))
    assert not leaves_in_doubt(error), repr(error)


def test_a_redis_that_takes_too_long_to_connect_is_an_ordinary_failure() -> None:
    with loopback.unanswering_port() as port:
        error = raised_by(lambda: call_redis(port))
    assert not leaves_in_doubt(error), repr(error)


def test_a_redis_that_answers_with_an_error_is_an_ordinary_failure() -> None:
    behave = answer_until_set(lambda connection: connection.sendall(b"-OOM command not allowed\r\n"))
    with loopback.server(behave) as port:
        assert not leaves_in_doubt(raised_by(lambda: call_redis(port)))


def start_postgres_session(connection: socket.socket) -> None:
    """Do what a PostgreSQL server does up to the first statement."""
    startup = connection.recv(65_536)
    if startup[4:8] != b"\x00\x03\x00\x00":
        connection.sendall(b"N")
        connection.recv(65_536)
    connection.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x00" + b"Z\x00\x00\x00\x05I")


def call_postgres(port: int) -> None:
    parameters = "user=u dbname=d connect_timeout=2 sslmode=disable gssencmode=disable"
    with psycopg.connect(f"host=127.0.0.1 port={port} {parameters}", autocommit=True) as connection:
        connection.execute("INSERT INTO t VALUES (1)")


def test_a_statement_whose_connection_breaks_is_doubt() -> None:
    def behave(connection: socket.socket) -> None:
        start_postgres_session(connection)
        connection.recv(65_536)
        connection.shutdown(socket.SHUT_RDWR)

    with loopback.server(behave) as port:
        error = raised_by(lambda: call_postgres(port))
    assert isinstance(error, psycopg.OperationalError)
    assert leaves_in_doubt(error), repr(error)


def test_a_postgres_that_cannot_be_reached_is_an_ordinary_failure() -> None:
    error = raised_by(lambda: call_postgres(loopback.closed_port()))
    assert not leaves_in_doubt(error), repr(error)


def test_a_postgres_that_takes_too_long_to_connect_is_an_ordinary_failure() -> None:
    with loopback.unanswering_port() as port:
        error = raised_by(lambda: call_postgres(port))
    assert not leaves_in_doubt(error), repr(error)


def test_a_postgres_that_hangs_up_at_the_start_is_an_ordinary_failure() -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.shutdown(socket.SHUT_RDWR)

    with loopback.server(behave) as port:
        error = raised_by(lambda: call_postgres(port))
    assert not leaves_in_doubt(error), repr(error)
