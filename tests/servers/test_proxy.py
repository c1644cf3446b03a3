"""The proxy loses, delays and holds back exactly what it is told to."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from servers._resp import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Proxy, RedisServer


@pytest.fixture
def proxy(proxy_factory: Callable[..., Proxy], redis_server: RedisServer) -> Proxy:
    return proxy_factory(redis_server)


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Connection]:
    with Connection(proxy.address) as connection:
        yield connection


def is_broken(connection: Connection) -> bool:
    with pytest.raises(ConnectionError):
        connection.command("PING")
    return True


def in_the_background(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_what_is_not_disturbed_passes_whole(client: Connection) -> None:
    value = "x" * 1_000_000
    assert client.command("SET", "large", value) == "OK"
    assert client.command("GET", "large") == value


def test_a_request_is_done_and_its_answer_lost(proxy: Proxy, client: Connection, redis_server: RedisServer) -> None:
    cut = proxy.cut_after_request(b"unlucky")
    assert client.command("INCR", "lucky") == 1
    with pytest.raises(ConnectionError):
        client.command("INCR", "unlucky")
    cut.wait()
    assert cut.lost == b":1\r\n"
    assert redis_server.command("GET", "unlucky") == "1"
    with Connection(proxy.address) as again:
        assert again.command("INCR", "unlucky") == 2


def test_a_cut_happens_as_often_as_planned(proxy: Proxy) -> None:
    cut = proxy.cut_after_request(lambda sent: sent.count(b"INCR") > 0, times=2)
    for _ in range(2):
        assert not cut.happened.is_set()
        with Connection(proxy.address) as connection, pytest.raises(ConnectionError):
            connection.command("INCR", "count")
    cut.wait()
    with Connection(proxy.address) as connection:
        assert connection.command("GET", "count") == "2"


def test_a_request_is_lost_before_the_server_sees_it(
    proxy: Proxy, client: Connection, redis_server: RedisServer
) -> None:
    cut = proxy.cut_before_request(b"unlucky")
    with pytest.raises(ConnectionError):
        client.command("INCR", "unlucky")
    cut.wait()
    assert cut.lost == b""
    assert redis_server.command("GET", "unlucky") is None


def test_a_request_split_in_two_is_recognised(proxy: Proxy, redis_server: RedisServer) -> None:
    cut = proxy.cut_after_request(b"unlucky")
    with Connection(proxy.address) as connection:
        for part in (b"*2\r\n$4\r\nINCR\r\n$7\r\nunl", b"ucky\r\n"):
            connection._socket.sendall(part)
        cut.wait()
        assert redis_server.command("GET", "unlucky") == "1"


def test_answers_are_held_back_while_requests_pass(proxy: Proxy, client: Connection, redis_server: RedisServer) -> None:
    answers = []
    with proxy.hold_answers():
        caller = in_the_background(lambda: answers.append(client.command("INCR", "held")))
        while redis_server.command("GET", "held") is None:
            pass
        assert not answers
    caller.join(10)
    assert answers == [1]


def test_answers_come_later_by_the_delay(proxy: Proxy, client: Connection) -> None:
    proxy.delay(0.05)
    begin = time.monotonic()
    client.command("PING")
    assert time.monotonic() - begin >= 0.05


def test_all_connections_break_at_once_and_new_ones_pass(proxy: Proxy) -> None:
    with Connection(proxy.address) as one, Connection(proxy.address) as other:
        assert one.command("PING") == other.command("PING") == "PONG"
        proxy.cut()
        assert is_broken(one)
        assert is_broken(other)
    with Connection(proxy.address) as third:
        assert third.command("PING") == "PONG"


def test_connections_are_refused_until_they_are_accepted_again(proxy: Proxy, client: Connection) -> None:
    proxy.refuse()
    assert is_broken(client)
    with pytest.raises(ConnectionRefusedError):
        Connection(proxy.address)
    proxy.accept()
    with Connection(proxy.address) as again:
        assert again.command("PING") == "PONG"


def test_a_black_hole_accepts_and_never_answers(proxy: Proxy, client: Connection, redis_server: RedisServer) -> None:
    client.command("PING")
    proxy.black_hole()
    with Connection(proxy.address, timeout=0.1) as fresh:
        for each in (fresh, client):
            each._socket.settimeout(0.1)
            with pytest.raises(TimeoutError):
                each.command("INCR", "swallowed")
    assert redis_server.command("GET", "swallowed") is None
    proxy.pass_everything()
    with pytest.raises(OSError, match=r"reset|timed out"):  # what lost bytes can't go on
        client._socket.recv(1)
    with Connection(proxy.address) as again:
        assert again.command("PING") == "PONG"


def test_a_server_that_is_gone_breaks_the_connections_to_it(proxy_factory: Callable[..., Proxy]) -> None:
    from tests.unit.loopback import closed_port

    with Connection(proxy_factory(("127.0.0.1", closed_port())).address) as connection:
        assert is_broken(connection)


def test_a_url_leads_through_the_proxy(proxy: Proxy, redis_server: RedisServer) -> None:
    assert proxy.through(redis_server.url) == f"redis://127.0.0.1:{proxy.port}/0"
