"""A master of Redis with replicas, and sentinels that name a new master when it fails."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from servers import _resp
from servers._errors import redis_program
from servers._group import Group
from servers._lifetime import Lifetime
from servers._redis import RedisServer
from servers._server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

_SENTINELS = 3
_SERVICE = "records"
_DOWN_AFTER_MILLISECONDS = 500
_FAILOVER_MILLISECONDS = 3_000
# How often a sentinel looks, asks and tells. Its own periods are seconds: a server that comes back waits for several,
# and a new master counts as down before it is asked for the first time. Five ping periods must outlast the second after
# which a sentinel looks at a replica of a failed master: older news disqualify it.
_PERIODS_MILLISECONDS = {"info-period": 300, "publish-period": 300, "ask-period": 200, "ping-period": 300}


class RedisSentinel(Server):
    """One sentinel; `RedisSentinels` has three."""

    def __init__(self, group: RedisSentinels, down_after: int) -> None:
        super().__init__("sentinel")
        self.id = secrets.token_hex(20)
        self._group, self._down_after = group, down_after

    def wait_until_it_answers(self) -> None:
        """Wait until it serves, and have it look more often."""
        super().wait_until_it_answers()
        with contextlib.suppress(_resp.RedisReplyError):  # before Redis 7 it can't be told
            self.command("SENTINEL", "DEBUG", *(word for pair in _PERIODS_MILLISECONDS.items() for word in pair))

    def connect(self) -> _resp.Connection:
        """Connect to the sentinel itself."""
        return _resp.Connection(self.address)

    def command(self, *words: str | int) -> _resp.Reply:
        """Run one command on a connection of its own."""
        with self.connect() as connection:
            return connection.command(*words)

    def master(self) -> tuple[str, int] | None:
        """Say which master it would lead a client to."""
        with contextlib.suppress(OSError, _resp.RedisReplyError):
            answer = self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _SERVICE)
            if isinstance(answer, list):
                return str(answer[0]), int(str(answer[1]))
        return None

    def sees_all(self, replicas: int) -> bool:
        """Tell whether it knows the other sentinels and so many replicas that follow the master, all of them well."""
        with contextlib.suppress(OSError, _resp.RedisReplyError), self.connect() as connection:
            connection.command("SENTINEL", "CKQUORUM", _SERVICE)
            known = connection.command("SENTINEL", "REPLICAS", _SERVICE)
            return isinstance(known, list) and sum(_follows(each) for each in known) >= replicas
        return False

    def _command(self) -> list[str]:
        redis = redis_program()
        file = self.folder / "sentinel.conf"
        if not file.exists():  # afterwards it is the sentinel's own, which keeps in it what it has learned
            file.write_text("\n".join(self._lines()) + "\n")
        return [redis, str(file), "--sentinel"]

    def _lines(self) -> list[str]:
        group, master = self._group, self._group.servers[0]
        about = {
            "down-after-milliseconds": self._down_after,
            "failover-timeout": _FAILOVER_MILLISECONDS,
            "parallel-syncs": 1,
            **({"auth-pass": master.password} if master.password else {}),
        }
        # What it would find out within seconds by itself.
        replicas = [f"known-replica {_SERVICE} {each.host} {each.port}" for each in group.servers[1:]]
        others = [
            f"known-sentinel {_SERVICE} {each.host} {each.port} {each.id}"
            for each in group.sentinels
            if each is not self
        ]
        named = [f"{name} {_SERVICE} {text}" for name, text in about.items()]
        monitored = f"monitor {_SERVICE} {master.host} {master.port} {_SENTINELS // 2 + 1}"
        said = [f"myid {self.id}", monitored, *named, *replicas, *others]
        return [
            *(f"bind {self.host}", f"port {self.port}", f"dir {self.folder}", "protected-mode no"),
            *(f"sentinel {line}" for line in said),
        ]

    def _answers(self) -> bool:
        return self.master() is not None


class RedisSentinels(Lifetime):
    """A master with replicas under three sentinels.

    Attributes:
        servers: The master that it began with, and its replicas.
        sentinels: The three.
        service: The name that the master goes by.
    """

    service = _SERVICE

    def __init__(
        self,
        *,
        replicas: int = 2,
        appendonly: bool = False,
        password: str | None = None,
        down_after: int = _DOWN_AFTER_MILLISECONDS,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Describe them; they start with `with` or `start`.

        Args:
            replicas: How many copies of the master there are.
            appendonly: Flush each write to disk before the answer.
            password: The default user's on master and replicas; the sentinels ask for none.
            down_after: After how many milliseconds without an answer a sentinel counts the master as down.
            settings: Further lines of the redis.conf of master and replicas, by name.
        """
        master = RedisServer(appendonly=appendonly, password=password, settings=settings)
        copies = (
            RedisServer(appendonly=appendonly, password=password, settings=settings, replica_of=master)
            for _ in range(replicas)
        )
        self._servers = Group([master, *copies])
        self._sentinels = Group([RedisSentinel(self, down_after) for _ in range(_SENTINELS)])
        self.servers, self.sentinels = self._servers.members, self._sentinels.members

    @property
    def url(self) -> str:
        """The URL of a store in it, which names the three sentinels."""
        places = ",".join(f"{each.host}:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{self.servers[0].userinfo}{places}/{self.service}"

    @property
    def master(self) -> RedisServer:
        """The server that most of the running sentinels lead to."""
        said = [each.master() for each in self.sentinels if each.is_running]
        leading = max(set(said), key=said.count)
        return next(server for server in self.servers if server.address == leading)

    def start(self) -> None:
        """Start those that aren't running, and wait until the sentinels see all of it."""
        self._servers.start()
        self._sentinels.start()
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Wait until a failover would succeed: every replica follows, and the sentinels agree on everything."""
        count = len(self.servers) - 1
        for sentinel in self.sentinels:
            sentinel.wait_until(lambda each=sentinel: each.sees_all(count), "sees all of it")  # type: ignore[misc]
        first = self.sentinels[0]
        first.wait_until(lambda: len({each.master() for each in self.sentinels}) == 1, "agrees with the others")

    def kill_the_master(self) -> RedisServer:
        """Kill the master, wait until the sentinels lead to another, and give the one that was killed."""
        killed = self.master
        killed.kill()
        self.wait_until_led_away(killed)
        return killed

    def fail_over(self) -> RedisServer:
        """Have a sentinel promote a replica while the master is well; give the one that was the master."""
        demoted = self.master
        self.sentinels[0].command("SENTINEL", "FAILOVER", self.service)
        self.wait_until_led_away(demoted)
        return demoted

    def wait_until_led_away(self, master: RedisServer) -> None:
        """Wait until every running sentinel leads to another master than this one."""
        for sentinel in self.sentinels:
            if sentinel.is_running:
                sentinel.wait_until(
                    lambda each=sentinel: each.master() not in {None, master.address},  # type: ignore[misc]
                    "leads to another master",
                )

    def flush(self) -> None:
        """Remove all keys."""
        self.master.command("FLUSHALL", "SYNC")

    def close(self) -> None:
        """End them at once, the sentinels first; does nothing the second time."""
        self._sentinels.close()
        self._servers.close()


def _follows(replica: _resp.Reply) -> bool:
    if not isinstance(replica, list):
        return False
    names = [str(word) for word in replica]
    known = dict(zip(names[::2], names[1::2], strict=True))
    return known["flags"] == "slave" and known["master-link-status"] == "ok"
