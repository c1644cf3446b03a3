"""Strikes a store's server, and the way to it, at random instants, in a thread of its own."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Self

from servers import PostgresServer, Proxy, RedisCluster, RedisSentinels, RedisServer, Server

_STRIKE_EVERY_SECONDS = 0.7
_DOWN_SECONDS = (0.02, 1.5)
_STOPPED_SECONDS = 0.5
_ANSWERS_LOST = (1, 4)

Strike = Callable[[Random], None]


class Siege:
    """Strikes from `with` to the end of its block, after which the server is whole again.

    Attributes:
        counts: How often each kind of strike has happened.
    """

    def __init__(self, strikes: Mapping[str, Strike], every: float = _STRIKE_EVERY_SECONDS) -> None:
        """Take the kinds of strikes by name, and how many seconds there are between two of them, on average.

        A strike returns when the server is whole again. Without any, nothing ever happens.
        """
        self.counts: Counter[str] = Counter(dict.fromkeys(strikes, 0))
        self._strikes, self._every = strikes, every
        self._random = Random(0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._trouble: Exception | None = None

    def under(self, seed: int) -> Self:
        """Set the seed of its choices."""
        self._random.seed(seed)
        return self

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Strike no more, and wait until the server is whole again."""
        self._over.set()
        self._thread.join()
        if self._trouble:
            raise self._trouble

    def _run(self) -> None:
        lasted = 0.0
        try:
            # On a slow machine, too, the server is well for as long as it was not.
            while self._strikes and not self._over.wait(max(lasted, self._random.expovariate(1 / self._every))):
                begin, name = time.monotonic(), self._random.choice(list(self._strikes))
                self._strikes[name](self._random)
                self.counts[name] += 1
                lasted = time.monotonic() - begin
        except Exception as trouble:  # noqa: BLE001 - it is raised where somebody sees it
            self._trouble = trouble


def on_redis(server: RedisServer, proxy: Proxy) -> Siege:
    """Kill it, and start it on what it had flushed to disk; break the connections to it, and lose its answers."""
    return Siege(_faults(server, proxy))


def on_cluster(cluster: RedisCluster) -> Siege:
    """Kill a master; it comes back as the replica of the one that took over."""

    def kill(random: Random) -> None:
        cluster.kill_a_master(random)
        cluster.start()

    return Siege({"server_kills": kill})


def on_postgres(server: PostgresServer, proxy: Proxy) -> Siege:
    """The same, or kill one of its processes, after which it recovers as from a crash by itself."""
    return Siege(_faults(server, proxy) | {"server_crashes": server.crash})


def on_sentinels(group: RedisSentinels) -> Siege:
    """Kill the master, or stop it until another is the master; it comes back as a replica."""

    def kill(_random: Random) -> None:
        group.kill_the_master()
        group.start()

    def stop(_random: Random) -> None:
        stopped = group.master
        stopped.pause()
        try:
            group.wait_until_led_away(stopped)
            time.sleep(_STOPPED_SECONDS)
        finally:
            stopped.resume()
        group.wait_until_whole()

    return Siege({"server_kills": kill, "server_stops": stop})


def _faults(server: Server, proxy: Proxy) -> dict[str, Strike]:
    """What can happen to a server and on the way to it."""

    def kill(random: Random) -> None:
        server.kill()
        proxy.refuse()
        time.sleep(random.uniform(*_DOWN_SECONDS))
        server.start()
        proxy.accept()

    def cut(_random: Random) -> None:
        proxy.cut()

    def lose(random: Random) -> None:
        proxy.cut_after_request(b"", times=random.randint(*_ANSWERS_LOST))

    return {"server_kills": kill, "connections_cut": cut, "answers_lost": lose}
