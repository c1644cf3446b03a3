"""A Redis that is full, a replica, restricted, busy, too old or failing over: what a caller meets."""

from __future__ import annotations

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest

from idempotency_manager import LeaseLostError, ResultNotRecordedError, StoreError
from servers import RedisServer, ServerError
from servers.testing import started
from tests.integration.servers_world import (
    HASTY,
    NOT_RECORDED_SECONDS,
    PATIENT,
    Effect,
    World,
    action,
    at_most,
    both,
    closed_port,
    refused,
    run,
    until,
    with_parts,
    works,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from idempotency_manager import IdempotencyManager
    from servers import RedisCluster, RedisSentinels


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server whose settings tests change, and change back."""
    with started(RedisServer()) as server:
        yield server


@pytest.fixture
def world(server: RedisServer) -> Iterator[World]:
    with World(server) as world:
        yield world


def said(call: Callable[[], object], effect: Effect, *words: str) -> None:
    """Check that the store said no before anything happened, and said why."""
    with pytest.raises(StoreError) as caught:
        call()
    assert effect.count == 0
    for word in words:
        assert word.lower() in str(caught.value).lower(), caught.value


class Trouble(NamedTuple):
    """Something that is wrong with a server as a whole: what begins it and ends it, and what is to be said of it."""

    begin: tuple[str | int, ...]
    end: tuple[str | int, ...]
    word: str


FULL = Trouble(("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0), "maxmemory")
REPLICA = Trouble(("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE"), "replica")
UNFOLLOWED = Trouble(
    ("CONFIG", "SET", "min-replicas-to-write", 1), ("CONFIG", "SET", "min-replicas-to-write", 0), "replicas"
)


@pytest.mark.parametrize("trouble", [FULL, REPLICA, UNFOLLOWED], ids=["full", "replica", "without enough replicas"])
class TestAServerThatTakesNoWrites:
    @pytest.fixture
    def begin(self, server: RedisServer, trouble: Trouble) -> Iterator[Callable[[], None]]:
        """Has the trouble begin; it ends with the test."""
        yield lambda: server.command(*trouble.begin) and None
        server.command(*trouble.end)

    @pytest.fixture
    def end(self, server: RedisServer, trouble: Trouble) -> Callable[[], None]:
        """Has it end before."""
        return lambda: server.command(*trouble.end) and None

    @both
    def test_nothing_runs_and_duplicates_are_answered(
        self, world: World, trouble: Trouble, begin: Callable[[], None], end: Callable[[], None], *, awaited: bool
    ) -> None:
        manager = world.manager()
        works(manager, "before", awaited=awaited)
        begin()
        effect = Effect()
        said(lambda: run(manager, effect, awaited=awaited), effect, trouble.word)
        assert run(manager, effect, awaited=awaited, name="before") == "before"
        end()
        assert run(manager, effect, awaited=awaited) == "done"

    def test_a_result_is_kept_or_comes_with_the_error(
        self, world: World, trouble: Trouble, begin: Callable[[], None]
    ) -> None:
        manager = world.manager(world.url(**HASTY))
        effect = Effect("card 7", begin)
        if trouble is FULL:  # only what adds a record is refused then
            assert run(manager, effect, awaited=False) == run(manager, effect, awaited=False) == "card 7"
            return
        with at_most(NOT_RECORDED_SECONDS), pytest.raises(ResultNotRecordedError) as caught:
            run(manager, effect, awaited=False)
        assert caught.value.result == "card 7"
        assert trouble.word in str(caught.value).lower()

    def test_a_result_is_recorded_if_it_ends_soon(
        self, world: World, begin: Callable[[], None], end: Callable[[], None]
    ) -> None:
        helper = threading.Timer(0.4, end)

        def meanwhile() -> None:
            begin()
            helper.start()

        effect = Effect("kept", meanwhile)
        assert run(world.manager(), effect, awaited=False) == "kept"
        helper.join()
        assert run(world.manager(), effect, awaited=False) == "kept"
        assert effect.count == 1


class TestAUserWithFewRights:
    @pytest.fixture
    def allow(self, server: RedisServer, world: World) -> Iterator[Callable[[str], IdempotencyManager]]:
        """Makes a user with these rights, and a manager that logs in as it."""

        def made(rights: str) -> IdempotencyManager:
            server.command("ACL", "SETUSER", "worker", "reset", "on", ">w0rker-secret", *rights.split())
            return world.manager(with_parts(server.url, user="worker:w0rker-secret", **PATIENT))

        yield made
        server.command("ACL", "DELUSER", "worker")

    @pytest.mark.parametrize(
        ("rights", "word"),
        [
            ("~* &* +@all -@scripting", "eval"),
            ("~other:* &* +@all", "key"),
            ("~* &* +@read +@connection", "right"),
        ],
    )
    def test_the_missing_one_is_named(self, allow: Callable[[str], IdempotencyManager], rights: str, word: str) -> None:
        effect = Effect()
        with pytest.raises(StoreError) as caught:
            run(allow(rights), effect, awaited=False)
        assert effect.count == 0
        assert word in str(caught.value).lower()
        assert "w0rker-secret" not in str(caught.value)

    def test_keys_of_the_namespace_are_enough(self, allow: Callable[[str], IdempotencyManager], world: World) -> None:
        manager = allow(f"~{world.namespace}:* &* +@all -@dangerous -@admin")
        works(manager, "s1")
        assert len(manager.get_keys()) == 1
        assert manager.clear_all() == 1

    def test_waiters_need_no_channel(self, allow: Callable[[str], IdempotencyManager], world: World) -> None:
        manager = allow("~* resetchannels +@all")
        started, go = threading.Event(), threading.Event()
        effect = Effect("done", lambda: (started.set(), go.wait(10)))
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(run, world.manager(), effect, awaited=False)
            started.wait(10)
            second = pool.submit(run, manager, Effect(), awaited=False)
            until(lambda: manager.stats().in_progress == 1)
            go.set()
            assert first.result() == second.result() == "done"


class TestWhatOthersDoToTheServer:
    def test_scripts_that_were_flushed_are_sent_again(self, world: World, server: RedisServer) -> None:
        manager = world.manager()
        works(manager, "before")
        server.command("SCRIPT", "FLUSH")
        effect = Effect("kept", lambda: server.command("SCRIPT", "FLUSH"))
        assert run(manager, effect, awaited=False) == "kept"
        server.command("SCRIPT", "FLUSH")
        assert run(manager, effect, awaited=False) == "kept"
        assert effect.count == 1

    @both
    def test_a_connection_that_is_killed_is_made_again(
        self, world: World, server: RedisServer, *, awaited: bool
    ) -> None:
        manager = world.manager()
        works(manager, "before", awaited=awaited)
        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        works(manager, "after", awaited=awaited)

    def test_what_was_flushed_under_an_action_is_a_lost_lease(self, world: World, server: RedisServer) -> None:
        with pytest.raises(LeaseLostError) as caught:
            run(world.manager(), Effect("card 7", lambda: server.command("FLUSHALL")), awaited=False)
        assert caught.value.result == "card 7"

    def test_a_script_that_does_not_end_is_waited_for_no_longer_than_asked(
        self, world: World, server: RedisServer
    ) -> None:
        manager = world.manager(world.url(**HASTY))
        works(manager, "before")
        server.command("CONFIG", "SET", "busy-reply-threshold", 100)
        with server.connect() as other, ThreadPoolExecutor(1) as pool:
            ended = pool.submit(pytest.raises, Exception, other.command, "EVAL", "while true do end", 0)
            effect = Effect()
            try:
                until(lambda: _is_busy(server))
                refused(lambda: run(manager, effect, awaited=False), effect)
            finally:
                until(lambda: _killed_script(server))
            ended.result()
        server.command("CONFIG", "SET", "busy-reply-threshold", 5000)
        works(manager, "after")

    def test_no_room_for_another_connection_is_said(self, world: World, server: RedisServer) -> None:
        effect = Effect()
        with server.connect() as held:
            before = int(server.info("clients")["maxclients"])
            held.command("CONFIG", "SET", "maxclients", 1)
            try:
                refused(
                    lambda: run(world.manager(world.url(**HASTY)), effect, awaited=False),
                    effect,
                    str(server.port),
                )
            finally:
                held.command("CONFIG", "SET", "maxclients", before)


def _is_busy(server: RedisServer) -> bool:
    try:
        server.command("PING")
    except ServerError as error:
        return "BUSY" in str(error)
    return False


def _killed_script(server: RedisServer) -> bool:
    with contextlib.suppress(Exception):
        return server.command("SCRIPT", "KILL") == "OK"
    return False


class TestReplicas:
    def test_a_claim_waits_for_them(self) -> None:
        with contextlib.ExitStack() as stack:
            master = stack.enter_context(started(RedisServer()))
            world = stack.enter_context(World(master))
            effect = Effect()
            # A replica that has just come says what it has within a second.
            asks = world.manager(world.url(wait_replicas="1", connect_timeout="1s", timeout="4s"))
            with pytest.raises(StoreError, match="replica"):
                run(asks, effect, awaited=False)
            assert effect.count == 0
            replica = stack.enter_context(RedisServer(replica_of=master))
            until(lambda: replica.info("replication")["master_link_status"] == "up")
            assert run(asks, effect, awaited=False, name="followed") == "done"
            assert any("s1" in key or "followed" in key for key in map(str, _keys(replica)))


def _keys(server: RedisServer) -> list[object]:
    found = server.command("KEYS", "*")
    assert isinstance(found, list)
    return list(found)


# ---------------------------------------------------------------------------------------------- too old


@contextlib.contextmanager
def old_server() -> Iterator[int]:
    """A server that says that it is Redis 5, which nobody can install any more, and knows no command of a later one."""

    def serve(client: socket.socket) -> None:
        with client, client.makefile("rb") as lines, contextlib.suppress(OSError, ValueError):
            while line := lines.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int(lines.readline()[1:])
                    words.append(lines.read(size + 2)[:-2].decode().upper())
                client.sendall(answer(words))

    def answer(words: list[str]) -> bytes:
        match words[0]:
            case "PING":
                return b"+PONG\r\n"
            case "INFO":
                text = b"# Server\r\nredis_version:5.0.7\r\nredis_mode:standalone\r\nrole:master\r\nloading:0\r\n"
                return b"$%d\r\n%b\r\n" % (len(text), text)
            case "SELECT" | "CLIENT":
                return b"+OK\r\n"
            case _:
                return b"-ERR unknown command `%b`\r\n" % words[0].encode()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_version_that_is_too_old_is_named_with_the_oldest_that_will_do() -> None:
    effect = Effect()
    with old_server() as port, World(RedisServer()) as world:
        url = with_parts(f"redis://127.0.0.1:{port}", **PATIENT)
        said(lambda: run(world.manager(url), effect, awaited=False), effect, "older than 6.2")


# ---------------------------------------------------------------------------------------------- failing over


class TestAFailover:
    @pytest.fixture
    def sentinels(self, redis_sentinels: RedisSentinels) -> RedisSentinels:
        return redis_sentinels

    @both
    def test_the_same_manager_finds_the_new_master(self, sentinels: RedisSentinels, *, awaited: bool) -> None:
        with World(sentinels.servers[0]) as world:
            manager = world.manager(with_parts_of_sentinels(sentinels, **PATIENT))
            works(manager, "before", awaited=awaited)
            sentinels.fail_over()
            until(lambda: _works_or_is_out_of_reach(manager, "after"))
            kept = Effect()
            assert run(manager, kept, awaited=awaited, name="before") == "before"
            assert kept.count == 0

    def test_an_action_under_way_is_recorded_at_the_new_master_or_says_that_it_is_not(
        self, sentinels: RedisSentinels
    ) -> None:
        with World(sentinels.servers[0]) as world:
            manager = world.manager(with_parts_of_sentinels(sentinels, **PATIENT))
            effect = Effect("card 7", sentinels.kill_the_master)
            try:
                assert run(manager, effect, awaited=False) == "card 7"
            except (ResultNotRecordedError, LeaseLostError) as error:
                carried = error.result
            else:
                carried = run(manager, effect, awaited=False)
            assert carried == "card 7"
            assert effect.count == 1

    def test_no_sentinel_to_be_found_is_said(self) -> None:
        effect = Effect()
        ports = [closed_port(), closed_port()]
        places = ",".join(f"127.0.0.1:{port}" for port in ports)
        with World(RedisServer()) as world:
            url = f"redis+sentinel://{places}/records?connect_timeout=300ms&timeout=400ms"
            refused(lambda: run(world.manager(url), effect, awaited=False), effect, "sentinel")

    def test_a_service_that_the_sentinels_do_not_know_is_named(self, sentinels: RedisSentinels) -> None:
        effect = Effect()
        with World(RedisServer()) as world:
            url = with_parts_of_sentinels(sentinels, **PATIENT).replace(f"/{sentinels.service}", "/unheard-of")
            said(lambda: run(world.manager(url), effect, awaited=False), effect, "unheard-of")

    def test_sentinels_behind_a_plain_url_are_said_to_be_such(self, sentinels: RedisSentinels) -> None:
        effect = Effect()
        sentinel = sentinels.sentinels[0]
        with World(RedisServer()) as world:
            url = with_parts(f"redis://127.0.0.1:{sentinel.port}", **PATIENT)
            said(lambda: run(world.manager(url), effect, awaited=False), effect, "sentinel")


class TestACluster:
    def test_a_plain_url_to_a_node_of_a_cluster_is_told_what_to_write(self, redis_cluster: RedisCluster) -> None:
        effect = Effect()
        url = redis_cluster.url.replace("redis+cluster", "redis").partition(",")[0]
        with World(RedisServer()) as world:
            said(
                lambda: run(world.manager(with_parts(url, **PATIENT)), effect, awaited=False),
                effect,
                "redis+cluster://",
            )

    def test_a_cluster_url_to_a_single_server_is_told_what_to_write(self, server: RedisServer) -> None:
        effect = Effect()
        with World(server) as world:
            url = f"redis+cluster://127.0.0.1:{server.port}?connect_timeout=2s"
            said(lambda: run(world.manager(url), effect, awaited=False), effect, "redis://")

    def test_one_without_nodes_is_given_up_in_time(self) -> None:
        effect = Effect()
        with World(RedisServer()) as world:
            url = f"redis+cluster://127.0.0.1:{closed_port()},127.0.0.1:{closed_port()}?connect_timeout=300ms&timeout=400ms"
            refused(lambda: run(world.manager(url), effect, awaited=False), effect, "127.0.0.1")


def with_parts_of_sentinels(sentinels: RedisSentinels, **options: str) -> str:
    return f"{sentinels.url}?" + "&".join(f"{name}={text}" for name, text in options.items())


def _works_or_is_out_of_reach(manager: IdempotencyManager, name: str) -> bool:
    """Whether the call worked; a demoted master may still be asked for some moments, and says so."""
    effect = Effect(name)
    try:
        return bool(manager.execute(action(name), effect) == name)
    except StoreError:
        assert effect.count == 0
        return False
