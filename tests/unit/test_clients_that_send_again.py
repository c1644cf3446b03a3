"""Clients that send a request again on their own, and how each is kept from it: what docs/in-doubt.md says of them.

A test that fails after an upgrade of a client says that the page is out of date.
"""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

import botocore.config
import botocore.session
import googleapiclient.http
import httplib2
import pytest
import redis
import redis.backoff
import redis.retry
import requests
import requests.adapters
import slack_sdk
import urllib3

from idempotency_manager._doubt import leaves_in_doubt

from . import loopback

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# A client whose call has failed leaves its socket to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def requests_seen(call: Callable[[int], object], behave: loopback.Behaviour) -> tuple[int, BaseException]:
    """Count the requests that a call makes of a server that behaves so, and give the error it ends in."""
    seen: list[int] = []

    def count(connection: socket.socket) -> None:
        seen.append(1)
        behave(connection)

    with loopback.server(count) as port, pytest.raises(Exception) as caught:  # noqa: PT011 - differs by client
        call(port)
    return len(seen), caught.value


def post_with_slack(port: int, **options: Any) -> None:
    client = slack_sdk.WebClient("t", base_url=f"http://127.0.0.1:{port}/", timeout=1, **options)
    client.chat_postMessage(channel="C", text="hello")


def test_slack_sdk_sends_again_after_a_lost_answer() -> None:
    sent, error = requests_seen(post_with_slack, loopback.hang_up_after_the_request)
    assert sent == 2
    assert leaves_in_doubt(error)


def test_slack_sdk_without_retry_handlers_sends_once() -> None:
    sent, error = requests_seen(
        lambda port: post_with_slack(port, retry_handlers=[]), loopback.hang_up_after_the_request
    )
    assert sent == 1
    assert leaves_in_doubt(error)


class LostAnswerError(Exception):
    """The connection broke after the request was sent."""


class SendsOnce(httplib2.Http):  # type: ignore[misc]
    """An Http that does not send again when the answer is lost."""

    def _conn_request(self, conn: Any, *args: Any) -> Any:
        receive = conn.getresponse

        def getresponse() -> Any:
            try:
                return receive()
            except (OSError, http.client.HTTPException) as error:
                raise LostAnswerError(str(error)) from error

        conn.getresponse = getresponse
        try:
            return super()._conn_request(conn, *args)
        finally:
            del conn.getresponse


def post_with_google(port: int, http: httplib2.Http, num_retries: int = 0) -> None:
    uri = f"http://127.0.0.1:{port}/drive/v3/files"
    request = googleapiclient.http.HttpRequest(http, lambda *_: None, uri, method="POST", body="{}")
    request._sleep = lambda _: None
    request.execute(num_retries=num_retries)


@pytest.mark.parametrize("retries", [1, 2])
def test_httplib2_sends_again_after_a_lost_answer_whatever_its_constant_says(
    retries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httplib2, "RETRIES", retries)
    sent, error = requests_seen(
        lambda port: post_with_google(port, httplib2.Http(timeout=1)), loopback.hang_up_after_the_request
    )
    assert sent == 2
    assert leaves_in_doubt(error)


def test_httplib2_that_may_not_see_the_lost_answer_sends_once() -> None:
    sent, error = requests_seen(
        lambda port: post_with_google(port, SendsOnce(timeout=1)), loopback.hang_up_after_the_request
    )
    assert sent == 1
    assert isinstance(error, LostAnswerError)
    assert leaves_in_doubt(error)


def test_google_api_client_sends_again_as_often_as_it_is_told() -> None:
    slow = loopback.never_answer
    once, _ = requests_seen(lambda port: post_with_google(port, httplib2.Http(timeout=0.2)), slow)
    again, error = requests_seen(lambda port: post_with_google(port, httplib2.Http(timeout=0.2), num_retries=1), slow)
    assert (once, again) == (1, 2)
    assert leaves_in_doubt(error)


@pytest.mark.parametrize(
    ("retry", "sends"),
    [
        (urllib3.Retry(2), 1),
        (urllib3.Retry(2, allowed_methods=None), 3),
        (urllib3.Retry(2, allowed_methods=None, read=0), 1),
    ],
)
def test_urllib3_sends_a_post_again_where_any_method_is_allowed(retry: urllib3.Retry, sends: int) -> None:
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    sent, error = requests_seen(
        lambda port: session.post(f"http://127.0.0.1:{port}", timeout=1), loopback.hang_up_after_the_request
    )
    assert sent == sends
    assert leaves_in_doubt(error)


def test_urllib3_sends_a_put_again_unless_told_otherwise() -> None:
    def put(port: int, **options: Any) -> None:
        urllib3.PoolManager().request("PUT", f"http://127.0.0.1:{port}", timeout=1, **options)

    assert requests_seen(put, loopback.hang_up_after_the_request)[0] == 4
    assert requests_seen(lambda port: put(port, retries=False), loopback.hang_up_after_the_request)[0] == 1


def test_requests_sends_once() -> None:
    sent, _ = requests_seen(
        lambda port: requests.put(f"http://127.0.0.1:{port}", timeout=1), loopback.hang_up_after_the_request
    )
    assert sent == 1


@pytest.mark.parametrize("attempts", [1, 2])
def test_botocore_makes_as_many_attempts_as_it_is_told(attempts: int) -> None:
    def put(port: int) -> None:
        client = botocore.session.get_session().create_client(
            "sqs",
            region_name="eu-central-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="k",
            aws_secret_access_key="s",
            config=botocore.config.Config(retries={"total_max_attempts": attempts}, read_timeout=1),
        )
        client.send_message(QueueUrl=f"http://127.0.0.1:{port}/1/q", MessageBody="m")

    sent, error = requests_seen(put, loopback.hang_up_after_the_request)
    assert sent == attempts
    assert leaves_in_doubt(error)


@pytest.mark.parametrize("retries", [0, 1])
def test_redis_sends_a_command_again_as_often_as_it_is_told(retries: int) -> None:
    commands: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            if b"INCR" in data:
                commands.append(data)
                connection.close()
                return
            connection.sendall(b"+OK\r\n" * data.count(b"*"))

    retry = redis.retry.Retry(redis.backoff.NoBackoff(), retries)
    _, error = requests_seen(lambda port: redis.Redis(port=port, protocol=2, retry=retry).incr("n"), behave)
    assert len(commands) == retries + 1
    assert leaves_in_doubt(error)


def test_redis_sends_again_unless_told_otherwise() -> None:
    retry = redis.Redis().get_retry()
    assert retry is not None
    assert retry.get_retries() > 0
