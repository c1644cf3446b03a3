"""Which errors of real clients, and which classes, leave it open that the effect happened."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import http.client
import smtplib
import socket
import ssl
import subprocess
import urllib.error
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
from idempotency_manager.exceptions import StoreUnavailableError

from . import loopback

if TYPE_CHECKING:
    from collections.abc import Callable

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
    with urllib.request.urlopen(url, data=b"x", timeout=TIMEOUT) as answer:  # noqa: S310 - loopback
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
        aws_secret_access_key="s",  # noqa: S106 - nobody's
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


def raised_by(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one it is differs by client and is the question
        call()
    return caught.value


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
    with loopback.server(lambda connection: connection.recv(1) and None) as port:
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
def test_an_rpc_is_judged_by_its_status(status: grpc.StatusCode, doubt: bool) -> None:  # noqa: FBT001 - a column
    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
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


@pytest.mark.parametrize(
    ("error", "doubt"),
    [
        (psycopg.errors.AdminShutdown("terminating connection"), True),
        (psycopg.errors.TransactionResolutionUnknown("who knows"), True),
        (psycopg.errors.QueryCanceled("statement timeout"), False),
        (psycopg.errors.UniqueViolation("there already"), False),
        (psycopg.errors.ConnectionTimeout("connection timeout expired"), False),
    ],
)
def test_a_database_error_is_judged_by_its_sqlstate(error: Exception, doubt: bool) -> None:  # noqa: FBT001 - a column
    assert leaves_in_doubt(error) is doubt


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        concurrent.futures.CancelledError(),
        concurrent.futures.BrokenExecutor(),
        KeyboardInterrupt(),
        SystemExit(1),
        GeneratorExit(),
        BaseExceptionGroup("two", [ValueError(), KeyboardInterrupt()]),
        ExceptionGroup("two", [ValueError(), TimeoutError()]),
        TimeoutError(),
        TimeoutError(errno.ETIMEDOUT, "timed out"),
        ConnectionResetError(),
        BrokenPipeError(),
        ConnectionAbortedError(),
        http.client.RemoteDisconnected(),
        http.client.IncompleteRead(b""),
        http.client.BadStatusLine("?"),
        ssl.SSLEOFError(),
        smtplib.SMTPServerDisconnected(),
        subprocess.TimeoutExpired("send", 1),
        requests.ReadTimeout(),
        requests.ConnectionError(),
        requests.exceptions.ChunkedEncodingError(),
        urllib3.exceptions.ProtocolError("Connection aborted.", http.client.RemoteDisconnected()),
        httpx.ReadTimeout("slow"),
        httpx.WriteError("cut"),
        httpx.WriteTimeout("slow"),
        httpx.ReadError("cut"),
        httpx.CloseError("cut"),
        httpx.RemoteProtocolError("garbage"),
        aiohttp.ServerDisconnectedError(),
        aiohttp.SocketTimeoutError(),
        aiohttp.ClientPayloadError(),
        aiohttp.ClientOSError(errno.ECONNRESET, "reset"),
        grpc.RpcError(),
        redis.TimeoutError("Timeout reading from socket"),
        redis.ConnectionError("Connection closed by server."),
        urllib.error.URLError(TimeoutError()),
    ],
    ids=repr,
)
def test_an_error_that_may_come_after_the_request_is_doubt(error: BaseException) -> None:
    assert leaves_in_doubt(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such list"),
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EHOSTUNREACH, "no route"),
        ConnectionRefusedError(),
        socket.gaierror(),
        ssl.SSLCertVerificationError(),
        ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"),
        requests.ConnectTimeout(),
        requests.HTTPError("503"),
        requests.exceptions.SSLError(),
        requests.ConnectionError(OSError(errno.ENETUNREACH, "no route")),
        httpx.ConnectTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.PoolTimeout("busy"),
        httpx.UnsupportedProtocol("ftp"),
        aiohttp.ConnectionTimeoutError(),
        redis.ConnectionError("Error 111 connecting to localhost:6379. Connection refused."),
        redis.TimeoutError("Timeout connecting to server"),
        redis.AuthenticationError("wrong"),
        urllib.error.URLError(ConnectionRefusedError()),
        ExceptionGroup("two", [ValueError(), ConnectionRefusedError()]),
        StoreUnavailableError("out of reach"),
    ],
    ids=repr,
)
def test_an_error_that_proves_that_nothing_was_sent_is_an_ordinary_failure(error: BaseException) -> None:
    assert not leaves_in_doubt(error)


class RejectedError(Exception):
    """The application's word for "nothing happened"."""


class GatewayError(Exception):
    """The application's word for "who knows"."""


def test_not_executed_on_takes_precedence_over_everything() -> None:
    error = RejectedError()
    error.__cause__ = TimeoutError()
    assert leaves_in_doubt(error)
    assert not leaves_in_doubt(error, not_executed_on=(RejectedError,))
    assert not leaves_in_doubt(error, in_doubt_on=(RejectedError,), not_executed_on=(RejectedError,))
    assert not leaves_in_doubt(KeyboardInterrupt(), not_executed_on=(KeyboardInterrupt,))


def test_in_doubt_on_adds_to_what_is_recognised() -> None:
    assert not leaves_in_doubt(GatewayError())
    assert leaves_in_doubt(GatewayError(), in_doubt_on=(GatewayError,))
    assert leaves_in_doubt(TimeoutError(), in_doubt_on=(GatewayError,))


def test_an_error_of_the_application_that_wraps_a_listed_one_is_judged_by_it() -> None:
    error = LookupError()
    error.__cause__ = GatewayError()
    assert leaves_in_doubt(error, in_doubt_on=(GatewayError,))
    outer = requests.ConnectionError(RejectedError())
    assert leaves_in_doubt(outer)
    assert not leaves_in_doubt(outer, not_executed_on=(RejectedError,))


def raise_while_handling(earlier: Exception, later: Exception, *, cut: bool = False) -> BaseException:
    def fail_twice() -> None:
        try:
            raise earlier
        except type(earlier):
            if cut:
                raise later from None
            raise later  # noqa: B904 - the context is what the test is about

    return raised_by(fail_twice)


def test_an_error_while_a_lost_answer_is_handled_is_doubt() -> None:
    assert leaves_in_doubt(raise_while_handling(TimeoutError(), KeyError("id")))


def test_from_none_says_that_the_earlier_error_does_not_count() -> None:
    assert not leaves_in_doubt(raise_while_handling(TimeoutError(), KeyError("id"), cut=True))


def test_a_refusal_handled_before_a_bare_lost_answer_leaves_it_doubt() -> None:
    assert leaves_in_doubt(raise_while_handling(ConnectionRefusedError(), TimeoutError()))


def test_a_lost_answer_handled_before_a_bare_refusal_is_doubt() -> None:
    assert leaves_in_doubt(raise_while_handling(TimeoutError(), ConnectionRefusedError()))


def test_the_timeout_beneath_a_clients_connect_timeout_is_no_lost_answer() -> None:
    error = httpx.ConnectTimeout("slow")
    error.__cause__ = TimeoutError()
    assert not leaves_in_doubt(error)


def test_causes_that_form_a_ring_are_judged() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert not leaves_in_doubt(first)
    second.__context__ = TimeoutError()
    second.__suppress_context__ = False
    assert leaves_in_doubt(first)


def test_a_chain_too_long_to_be_read_is_doubt() -> None:
    innermost = error = ValueError()
    for _ in range(5_000):
        innermost.__cause__ = ValueError()
        innermost = innermost.__cause__
    assert leaves_in_doubt(error)


def test_an_error_that_cannot_be_read_is_doubt() -> None:
    class UnreadableError(redis.ConnectionError):
        def __str__(self) -> str:
            raise ValueError

    assert leaves_in_doubt(UnreadableError())


def test_a_class_of_the_same_name_in_another_package_is_not_taken_for_it() -> None:
    class ReadTimeout(Exception):  # noqa: N818 - another package's name
        pass

    assert not leaves_in_doubt(ReadTimeout())


def test_a_class_below_a_recognised_one_is_recognised() -> None:
    class CardTimeoutError(httpx.ReadTimeout):
        pass

    assert leaves_in_doubt(CardTimeoutError("slow"))
