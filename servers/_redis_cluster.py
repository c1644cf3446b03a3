"""A cluster of Redis: three masters, a replica for each."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from servers import _resp
from servers._group import Group
from servers._redis import BUS_ABOVE, RedisServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

_MASTERS = 3
_SLOTS = 16_384
_NODE_TIMEOUT_MILLISECONDS = 2_000


class RedisCluster(Group[RedisServer]):
    """Six nodes: the first three begin as masters, with a third of the slots each, the others as their replicas.

    They find the cluster arranged when they start, in the files in which nodes keep it: that takes the two seconds that
    a master waits before it serves, where introducing them to each other takes several more.
    """

    def __init__(
        self,
        *,
        appendonly: bool = False,
        password: str | None = None,
        node_timeout: int = _NODE_TIMEOUT_MILLISECONDS,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Describe it; it starts with `with` or `start`.

        Args:
            appendonly: Flush each write to disk before the answer.
            password: The default user's, on each node.
            node_timeout: After how many milliseconds without an answer a node counts as failed.
            settings: Further lines of each node's redis.conf, by name.
        """
        arranged = {
            "cluster-node-timeout": str(node_timeout),
            "cluster-replica-validity-factor": "0",  # a replica may always stand for election
            "cluster-allow-replica-migration": "no",
            **(settings or {}),
        }
        super().__init__(
            [
                RedisServer(cluster=True, appendonly=appendonly, password=password, settings=arranged)
                for _ in range(2 * _MASTERS)
            ]
        )
        self._password = password

    @property
    def nodes(self) -> list[RedisServer]:
        """All six, running or not."""
        return self.members

    @property
    def url(self) -> str:
        """The URL of a store in it, which names all six."""
        places = ",".join(f"{node.host}:{node.port}" for node in self.nodes)
        return f"redis+cluster://{self.nodes[0].userinfo}{places}"

    @property
    def masters(self) -> list[RedisServer]:
        """The running nodes that serve slots now."""
        return [node for node in self.nodes if node.is_running and _role(node) == "master"]

    def start(self) -> None:
        """Start those that aren't running, and wait until the cluster serves all slots and copies all of them."""
        if not (self.nodes[0].folder / "nodes.conf").exists():
            self._arrange()
        super().start()
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Wait until every node sees every slot served, and every replica follows its master."""
        for node in self.nodes:
            node.wait_until(lambda node=node: _is_whole(node), "sees the cluster whole")  # type: ignore[misc]
        self.nodes[0].wait_until(lambda: len(self.masters) == _MASTERS, "sees three masters")

    def master_of(self, key: str) -> RedisServer:
        """Give the node that serves a key now."""
        slot = self.nodes[0].command("CLUSTER", "KEYSLOT", key) if self.nodes[0].is_running else None
        for node in self.masters:
            slot = node.command("CLUSTER", "KEYSLOT", key) if slot is None else slot
            ranges = [words.split("-") for words in _own_line(node).split()[8:] if not words.startswith("[")]
            if any(int(each[0]) <= int(str(slot)) <= int(each[-1]) for each in ranges):
                return node
        message = f"no node serves {key!r} now"
        raise LookupError(message)

    def kill_a_master(self, random: Random) -> RedisServer:
        """Kill a master, wait until a replica serves its slots, and give the one that was killed."""
        killed = random.choice(self.masters)
        killed.kill()
        witness = next(node for node in self.nodes if node.is_running)
        witness.wait_until(lambda: len(self.masters) == _MASTERS and self._serves_all(), "sees a replica take over")
        return killed

    def _serves_all(self) -> bool:
        return all(_state(node).get("cluster_slots_ok") == str(_SLOTS) for node in self.nodes if node.is_running)

    def flush(self) -> None:
        """Remove all keys."""
        for node in self.masters:
            node.command("FLUSHALL", "SYNC")

    def _arrange(self) -> None:
        """Write each node's file of the cluster, as if it had been in it before."""
        names = [secrets.token_hex(20) for _ in self.nodes]
        for own, node in enumerate(self.nodes):
            lines = [self._line(number, names, is_own=number == own) for number in range(len(names))]
            text = "\n".join([*lines, f"vars currentEpoch {_MASTERS} lastVoteEpoch 0", ""])
            (node.folder / "nodes.conf").write_text(text)

    def _line(self, number: int, names: list[str], *, is_own: bool) -> str:
        node = self.nodes[number]
        place = f"{names[number]} {node.host}:{node.port}@{node.port + BUS_ABOVE}"
        myself = "myself," if is_own else ""
        if number >= _MASTERS:
            return f"{place} {myself}slave {names[number - _MASTERS]} 0 0 {number - _MASTERS + 1} connected"
        first, after = (_SLOTS * share // _MASTERS for share in (number, number + 1))
        return f"{place} {myself}master - 0 0 {number + 1} connected {first}-{after - 1}"


def _role(node: RedisServer) -> str:
    with contextlib.suppress(OSError, _resp.RedisReplyError):
        return "master" if "master" in _own_line(node).split()[2] else "replica"
    return "unknown"


def _own_line(node: RedisServer) -> str:
    lines = str(node.command("CLUSTER", "NODES")).splitlines()
    return next(line for line in lines if "myself" in line)


def _state(node: RedisServer) -> dict[str, str]:
    """Give what a node says of the cluster and of its replication; nothing where it doesn't answer."""
    with contextlib.suppress(OSError, _resp.RedisReplyError), node.connect() as connection:
        return _resp.fields(connection.command("CLUSTER", "INFO")) | _resp.fields(
            connection.command("INFO", "replication")
        )
    return {}


def _is_whole(node: RedisServer) -> bool:
    state = _state(node)
    served = state.get("cluster_state") == "ok" and state.get("cluster_slots_ok") == str(_SLOTS)
    known = state.get("cluster_known_nodes") == str(2 * _MASTERS)
    follows = state.get("master_link_status", "up") == "up"
    return served and known and follows
