"""Where the records are kept, by name: a context manager that gives a URL for everybody, and what besieges it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chaos.siege import Siege, on_cluster, on_postgres, on_redis, on_sentinels
from servers import PostgresServer, Proxy, RedisCluster, RedisSentinels, RedisServer, Server

_TIMEOUTS = "connect_timeout=500ms&timeout=1s"  # shorter than some outages, so that both of its errors are met
_DOWN_AFTER_MILLISECONDS = 700
_NODE_TIMEOUT_MILLISECONDS = 1_000


@dataclass(slots=True)
class Place:
    """Where records are kept, and what can be said of it.

    Attributes:
        url: For the managers of all workers.
        siege: What happens to its server meanwhile.
        sees_deaths: Whether it knows of a dead process that it is dead; else its lease must lapse first.
        may_undo: Whether it may forget that an action was completed, but not that it was begun: replication that is not
            waited for does. The action is in doubt then.
    """

    url: str
    siege: Siege = field(default_factory=lambda: Siege({}))
    sees_deaths: bool = True
    may_undo: bool = False


@contextmanager
def _sqlite(folder: Path) -> Iterator[Place]:
    yield Place(f"sqlite:///{folder / 'records.db'}")


@contextmanager
def _memory(_folder: Path) -> Iterator[Place]:
    yield Place("memory://")


@contextmanager
def _logged(folder: Path, servers: Sequence[Server]) -> Iterator[None]:
    """Keep the servers' logs beside the workers'."""
    try:
        yield
    finally:
        for server in servers:
            (folder / f"{server.name}-{server.port}.log").write_text(server.log)


@contextmanager
def _redis(folder: Path) -> Iterator[Place]:
    with RedisServer(appendonly=True) as server, Proxy(server.address) as proxy, _logged(folder, [server]):
        yield Place(f"{proxy.through(server.url)}?{_TIMEOUTS}", on_redis(server, proxy), sees_deaths=False)


@contextmanager
def _redis_cluster(folder: Path) -> Iterator[Place]:
    with (
        RedisCluster(appendonly=True, node_timeout=_NODE_TIMEOUT_MILLISECONDS) as cluster,
        _logged(folder, cluster.nodes),
    ):
        url = f"{cluster.url}?{_TIMEOUTS}&wait_replicas=1"
        yield Place(url, on_cluster(cluster), sees_deaths=False, may_undo=True)


@contextmanager
def _redis_sentinel(folder: Path) -> Iterator[Place]:
    with (
        # One replica, which is waited for: with two, the one that has a claim need not be the one that is promoted.
        RedisSentinels(replicas=1, appendonly=True, down_after=_DOWN_AFTER_MILLISECONDS) as group,
        _logged(folder, [*group.servers, *group.sentinels]),
    ):
        url = f"{group.url}?{_TIMEOUTS}&wait_replicas=1"
        yield Place(url, on_sentinels(group), sees_deaths=False, may_undo=True)


@contextmanager
def _postgres(folder: Path) -> Iterator[Place]:
    with PostgresServer(fsync=True) as server, Proxy(server.address) as proxy, _logged(folder, [server]):
        yield Place(f"{proxy.through(server.url)}?{_TIMEOUTS}", on_postgres(server, proxy), sees_deaths=False)


STORES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "sqlite": _sqlite,
    "redis": _redis,
    "redis-cluster": _redis_cluster,
    "redis-sentinel": _redis_sentinel,
    "postgres": _postgres,
    # Each process has a memory of its own, so this run must fail: it shows that the audit would notice.
    "memory": _memory,
}
