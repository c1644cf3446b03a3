"""A private Redis is what its options say, and comes back where it was."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from servers import Certificates, RedisServer, ServerError
from servers._resp import Connection, RedisReplyError
from servers.testing import needed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    with needed():
        return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def durable() -> Iterator[RedisServer]:
    with needed(), RedisServer(appendonly=True) as server:
        yield server


def test_what_was_answered_survives_a_kill(durable: RedisServer) -> None:
    port, process = durable.port, durable.process_id
    durable.command("SET", "kept", "yes")
    durable.kill()
    assert not durable.is_running
    with pytest.raises(ConnectionRefusedError):
        durable.connect()
    durable.start()
    assert durable.command("GET", "kept") == "yes"
    assert (durable.port, durable.process_id) != (port, process)
    assert durable.port == port


def test_a_paused_server_keeps_its_connections_and_answers_later(durable: RedisServer) -> None:
    with durable.connect() as connection:
        durable.pause()
        connection._socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.command("PING")
        durable.resume()
        connection._socket.settimeout(10)
        assert connection._socket.recv(100) == b"+PONG\r\n"


def test_two_servers_share_nothing(redis_server: RedisServer, durable: RedisServer) -> None:
    assert redis_server.port != durable.port
    assert redis_server.folder != durable.folder


def test_a_closed_server_leaves_nothing_behind() -> None:
    with needed(), RedisServer() as server:
        folder, process = server.folder, server.process_id
        assert folder.is_dir()
    assert not folder.exists()
    assert not Path(f"/proc/{process}").exists()


def test_a_setting_that_it_refuses_is_an_error_with_its_log() -> None:
    with needed(), pytest.raises(ServerError, match="Bad directive"), RedisServer(settings={"no-such": "thing"}):
        pass


def test_a_password_is_asked_for() -> None:
    with needed(), RedisServer(password="s3cret/") as server:
        assert server.url == f"redis://:s3cret%2F@127.0.0.1:{server.port}/0"
        assert server.command("PING") == "PONG"
        with Connection(server.address) as stranger, pytest.raises(RedisReplyError, match="NOAUTH"):
            stranger.command("PING")


def test_users_may_do_what_their_rules_say() -> None:
    with (
        needed(),
        RedisServer(users={"worker": "on >secret ~a:* +@all"}) as server,
        Connection(server.address, username="worker", password="secret") as worker,
    ):
        assert worker.command("SET", "a:1", "x") == "OK"
        with pytest.raises(RedisReplyError, match="NOPERM"):
            worker.command("SET", "b:1", "x")


def test_a_full_server_refuses_writes() -> None:
    with needed(), RedisServer(maxmemory="100kb", maxmemory_policy="noeviction") as server:  # noqa: SIM117 - one may skip
        with pytest.raises(RedisReplyError, match="OOM"):
            server.command("SET", "x", "y")


def test_it_listens_on_a_socket_too() -> None:
    with needed(), RedisServer(unix_socket=True) as server:
        assert server.unix_url == f"redis+unix:///{server.socket}"
        with Connection(str(server.socket)) as connection:
            assert connection.command("PING") == "PONG"


def test_with_certificates_it_speaks_tls_only(certificates: Certificates) -> None:
    with needed(), RedisServer(certificates=certificates, client_certificates="yes") as server:
        assert server.url == f"rediss://127.0.0.1:{server.port}/0?tls_ca={certificates.ca}"
        assert server.command("PING") == "PONG"
        with pytest.raises(ConnectionError), Connection(server.address) as plain:
            plain.command("PING")
        anonymous = ssl.create_default_context(cafile=str(certificates.ca))
        with (
            pytest.raises(OSError, match=r"certificate required|reset|EOF"),
            Connection(server.address, tls=anonymous) as stranger,
        ):
            stranger.command("PING")


def test_a_replica_copies_its_master(redis_server: RedisServer) -> None:
    with needed(), RedisServer(replica_of=redis_server) as replica:
        redis_server.command("SET", "copied", "yes")
        replica.wait_until(lambda: replica.command("GET", "copied") == "yes", "has a copy")
        assert replica.info("replication")["role"] == "slave"
