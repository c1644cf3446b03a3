"""PgBouncer in front of a PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

from servers._errors import program
from servers._server import Server, unprivileged_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from servers._postgres import PostgresServer

_WANTS_TLS = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # the first message of a client: a word about TLS is the answer


class PgBouncer(Server):
    """PgBouncer in transaction mode: a connection of the server is a client's for one transaction only."""

    def __init__(self, behind: PostgresServer, settings: Mapping[str, str] | None = None) -> None:
        """Describe it; it starts with `with` or `start`.

        Args:
            behind: Where its connections lead; it asks for the same password, and its clients for the same databases.
            settings: Further lines of pgbouncer.ini, by name.
        """
        super().__init__("pgbouncer")
        self._behind = behind
        self._settings = {
            "pool_mode": "transaction",
            "default_pool_size": "10",
            "max_client_conn": "500",
            "server_login_retry": "0.1",  # else it takes 15 s to see that the server is back
            **(settings or {}),
        }

    @property
    def url(self) -> str:
        """The URL of a store in the database `test`."""
        return self.url_of(self._behind.database)

    def url_of(self, database: str) -> str:
        """Give the URL of a store in a database of the server behind it."""
        password = f":{quote(self._behind.password, safe='')}" if self._behind.password else ""
        return f"postgresql://{self._behind.user}{password}@{self.host}:{self.port}/{quote(database)}"

    def _user(self) -> str | None:
        return unprivileged_user()

    _polite_signal = signal.SIGTERM

    def _command(self) -> list[str]:
        bouncer = program(("pgbouncer",), "pgbouncer")
        self._write(
            "users.txt", f'"{self._behind.user}" "{(self._behind.password or "").replace(chr(34), chr(34) * 2)}"\n'
        )
        settings = {
            "listen_addr": self.host,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256" if self._behind.password else "trust",
            "auth_file": self.folder / "users.txt",
            "admin_users": self._behind.user,
            **self._settings,
        }
        lines = [f"{name} = {text}" for name, text in settings.items()]
        databases = f"* = host={self._behind.folder} port={self._behind.port}"
        self._write("pgbouncer.ini", "\n".join(["[databases]", databases, "[pgbouncer]", *lines, ""]))
        return [bouncer, str(self.folder / "pgbouncer.ini")]

    def _write(self, name: str, text: str) -> None:
        file, owner = self.folder / name, self.folder.stat()
        file.touch(mode=0o600)
        file.write_text(text)
        os.chown(file, owner.st_uid, owner.st_gid)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(self.address, timeout=1) as connection:
            connection.sendall(_WANTS_TLS)
            return connection.recv(1) in {b"N", b"S"}
        return False
