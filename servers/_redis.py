"""A server of Redis or Valkey."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote

from servers import _resp
from servers._errors import redis_program
from servers._server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from servers._certificates import Certificates

BUS_ABOVE = 10_000


class RedisServer(Server):
    """One Redis, alone or a replica of another.

    Nothing is written to disk unless `appendonly` or `settings` say so: what is killed forgets, then.
    """

    def __init__(  # noqa: PLR0913 - a server has many settings, all with a default
        self,
        *,
        appendonly: bool = False,
        maxmemory: str | None = None,
        maxmemory_policy: str | None = None,
        password: str | None = None,
        users: Mapping[str, str] | None = None,
        unix_socket: bool = False,
        certificates: Certificates | None = None,
        client_certificates: str = "no",
        replica_of: RedisServer | None = None,
        settings: Mapping[str, str] | None = None,
        cluster: bool = False,
    ) -> None:
        """Describe it; it starts with `with` or `start`.

        Args:
            appendonly: Append each write to a file and flush that to disk before the answer.
            maxmemory: How much it may hold, such as "2mb".
            maxmemory_policy: What it does when it is full.
            password: The default user's.
            users: Rules by the user's name, as ACL SETUSER takes them: {"worker": "on >secret ~* &* +@all"}.
            unix_socket: Listen on a socket in the folder too.
            certificates: Speak TLS only, with these.
            client_certificates: Whether clients must show one: "no", "optional" or "yes".
            replica_of: The server to copy.
            settings: Further lines of redis.conf, by name.
            cluster: Run as a node of a cluster; the port 10,000 above its own is the bus.
        """
        super().__init__("redis", second_port_above=BUS_ABOVE if cluster else 0)
        self.password, self.certificates = password, certificates
        self._users, self._replica_of, self._cluster = users or {}, replica_of, cluster
        self._settings = {
            "save": '""',
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": "always",
            "repl-diskless-sync-delay": "0",
            **({"maxmemory": maxmemory} if maxmemory else {}),
            **({"maxmemory-policy": maxmemory_policy} if maxmemory_policy else {}),
            **({"unixsocket": "socket", "unixsocketperm": "700"} if unix_socket else {}),
            **({"tls-auth-clients": client_certificates} if certificates else {}),
            **({"cluster-enabled": "yes", "cluster-config-file": "nodes.conf"} if cluster else {}),
            **(settings or {}),
        }

    @property
    def socket(self) -> Path:
        """Its unix socket, with `unix_socket`."""
        return self.folder / "socket"

    @property
    def url(self) -> str:
        """The URL of a store in it, with the password and the authority that it needs."""
        scheme, option = (
            ("rediss", f"?tls_ca={quote(str(self.certificates.ca))}") if self.certificates else ("redis", "")
        )
        return f"{scheme}://{self.userinfo}{self.host}:{self.port}/0{option}"

    @property
    def unix_url(self) -> str:
        """The URL of a store in it, by its unix socket."""
        return f"redis+unix:///{quote(str(self.socket))}"

    @property
    def userinfo(self) -> str:
        """What stands before the host in a URL."""
        return f":{quote(self.password, safe='')}@" if self.password else ""

    def connect(self) -> _resp.Connection:
        """Connect as the default user."""
        context = None
        if self.certificates:
            context = ssl.create_default_context(cafile=str(self.certificates.ca))
            context.load_cert_chain(self.certificates.client, self.certificates.client_key)
        return _resp.Connection(self.address, tls=context, password=self.password)

    def command(self, *words: str | int) -> _resp.Reply:
        """Run one command as the default user, on a connection of its own."""
        with self.connect() as connection:
            return connection.command(*words)

    def info(self, section: str = "default") -> dict[str, str]:
        """Give what INFO says, by name."""
        return _resp.fields(self.command("INFO", section))

    def _command(self) -> list[str]:
        redis = redis_program()
        file = self.folder / "redis.conf"
        if not file.exists():  # afterwards CONFIG REWRITE may have changed it, which a sentinel uses
            file.write_text("\n".join(self._lines()) + "\n")
        return [redis, str(file)]

    def _lines(self) -> list[str]:
        lines = [f"bind {self.host}", f"dir {self.folder}", "daemonize no", "protected-mode no"]
        if self.certificates:
            lines += ["port 0", f"tls-port {self.port}", f"tls-ca-cert-file {self.certificates.ca}"]
            lines += [f"tls-cert-file {self.certificates.server}", f"tls-key-file {self.certificates.server_key}"]
            lines += ["tls-replication yes"] if self._replica_of or self._cluster else []
        else:
            lines += [f"port {self.port}"]
        lines += [f"requirepass {self.password}", f"masterauth {self.password}"] if self.password else []
        lines += [f"user {name} {rules}" for name, rules in self._users.items()]
        lines += [f"replicaof {self._replica_of.host} {self._replica_of.port}"] if self._replica_of else []
        return lines + [f"{name} {text}" for name, text in self._settings.items()]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, _resp.RedisReplyError):  # -LOADING, too
            return self.command("PING") == "PONG"
        return False
