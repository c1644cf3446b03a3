"""Which exceptions leave it open that the effect happened, by their classes and by what they wrap."""

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

import aiohttp
import grpc
import httpx
import psycopg
import pytest
import redis
import requests
import urllib3

from idempotency_manager._doubt import leaves_in_doubt
from idempotency_manager.exceptions import StoreUnavailableError

from .loopback import raised_by


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
def test_a_database_error_is_judged_by_its_sqlstate(error: Exception, doubt: bool) -> None:
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
        http.client.RemoteDisconnected(""),
        http.client.IncompleteRead(b""),
        http.client.BadStatusLine("?"),
        ssl.SSLEOFError(),
        smtplib.SMTPServerDisconnected(),
        subprocess.TimeoutExpired("send", 1),
        requests.ReadTimeout(),
        requests.ConnectionError(),
        requests.exceptions.ChunkedEncodingError(),
        urllib3.exceptions.ProtocolError("Connection aborted.", http.client.RemoteDisconnected("")),
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
