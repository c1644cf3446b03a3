"""A server of PostgreSQL."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

from servers import _keeper
from servers._errors import ServerError, postgresql_program, program
from servers._ports import HOST
from servers._server import Server, unprivileged_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from random import Random

    from servers._certificates import Certificates

_SETTINGS = {
    "listen_addresses": f"'{HOST}'",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # files of its folder: nothing outlives a kill
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "log_min_messages": "warning",
}
_SHARED_MEMORY_LINE, _STATUS_LINE = 6, 7  # of postmaster.pid
_LASTING_PROCESSES = """
    SELECT pid FROM pg_stat_activity WHERE backend_type IN ('background writer', 'checkpointer', 'walwriter')
"""


class PostgresServer(Server):
    """One PostgreSQL with a superuser `postgres` and a database `test`.

    Its socket in `folder` asks for no password: only this user, and root, get there.
    """

    user = "postgres"
    database = "test"

    def __init__(
        self,
        *,
        fsync: bool = False,
        password: str | None = None,
        certificates: Certificates | None = None,
        tls_only: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Describe it; it starts with `with` or `start`.

        Args:
            fsync: Wait for the disk at each commit. Without it commits survive the server's death, but no power cut.
            password: The superuser's, asked for (scram-sha-256) at the port; without it the port trusts everyone.
            certificates: Speak TLS too, with these.
            tls_only: Refuse what comes to the port without TLS.
            settings: Further lines of postgresql.conf, by name.
        """
        super().__init__("postgres")
        self.password, self.certificates, self._tls_only = password, certificates, tls_only
        durable = {} if fsync else {"fsync": "off", "full_page_writes": "off"}
        self._settings = {**_SETTINGS, **durable, **(settings or {})}
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """The URL of a store in the database `test`, with the password and the authority that it needs."""
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        """Give the URL of a store in a database."""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        tls = f"?sslmode=verify-full&sslrootcert={quote(str(self.certificates.ca))}" if self.certificates else ""
        return f"postgresql://{self.user}{password}@{self.host}:{self.port}/{quote(database)}{tls}"

    def sql(self, statement: str, database: str | None = None) -> str:
        """Run a statement as the superuser, through the socket, and give the rows that psql prints.

        Raises:
            ServerError: It failed.
        """
        where = ["-h", str(self.folder), "-p", str(self.port), "-U", self.user, "-d", database or self.database]
        return self._tool("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *where, "-c", statement).strip()

    @contextlib.contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Make an empty database, give its name, and drop it at the end, whoever is connected."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            if self.is_running:
                self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def start(self) -> None:
        """Start it, or start it again on the same port and folder, and wait until it answers."""
        is_new = not self._data.exists()
        if is_new:
            self._initialise()
        super().start()
        if is_new:
            self.sql(f"CREATE DATABASE {self.database}", "postgres")
            if self.password:
                literal = self.password.replace("'", "''")
                self.sql(f"ALTER USER {self.user} PASSWORD '{literal}'")

    def crash(self, random: Random) -> None:
        """Kill one of its processes but the first, as out-of-memory killers do, and wait until it has recovered.

        The first process ends all others then, and recovers from what is on disk. It is one that stays for as long as
        the server runs: one that serves a client may be at its end, and nobody would miss it.
        """
        recovered = "ready to accept connections"
        before = self.log.count(recovered)
        _keeper.send([int(random.choice(self.sql(_LASTING_PROCESSES).split()))], signal.SIGKILL)
        self.wait_until(lambda: self.log.count(recovered) > before, "has recovered")

    def close(self) -> None:
        """End it at once and remove what it left; does nothing the second time."""
        left = self._data / "postmaster.pid" if "folder" in self.__dict__ else None
        if left and not self.is_running and left.exists():
            # It was killed: the system keeps its shared memory, of which it keeps a note for its next start.
            segment = left.read_text().splitlines()[_SHARED_MEMORY_LINE].split()[1]
            subprocess.run([program(("ipcrm",), "util-linux"), "-m", segment], capture_output=True, check=False)  # noqa: S603
        super().close()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _initialise(self) -> None:
        self._tool(
            *("initdb", "--pgdata", str(self._data), "--username", self.user, "--auth", "trust"),
            *("--encoding", "UTF8", "--no-locale", "--no-sync"),
        )
        self._tls_files()
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {text}\n" for name, text in self._all_settings().items())
        how = "scram-sha-256" if self.password else "trust"
        (self._data / "pg_hba.conf").write_text(
            f"local all all trust\n{'hostssl' if self._tls_only else 'host'} all all {self.host}/32 {how}\n"
        )

    def _all_settings(self) -> dict[str, str]:
        tls = {"ssl": "on", "ssl_ca_file": "'ca.crt'"} if self.certificates else {}
        return {"port": str(self.port), "unix_socket_directories": f"'{self.folder}'", **tls, **self._settings}

    def _tls_files(self) -> None:
        if self.certificates:
            copies = {"ca.crt": self.certificates.ca, "server.crt": self.certificates.server}
            for name, source in (copies | {"server.key": self.certificates.server_key}).items():
                copy = self._data / name
                copy.write_bytes(source.read_bytes())
                copy.chmod(0o600)
                owner = self._data.stat()
                os.chown(copy, owner.st_uid, owner.st_gid)

    def _tool(self, name: str, *words: str) -> str:
        user = self._user()
        finished = subprocess.run(  # noqa: S603 - PostgreSQL's own tools
            [postgresql_program(name), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            user=user,
            group=None if user is None else self.folder.stat().st_gid,
            extra_groups=None if user is None else [],
        )
        if finished.returncode:
            message = f"{name} failed: {finished.stderr.strip()}"
            raise ServerError(message)
        return finished.stdout

    _polite_signal = signal.SIGINT  # a "fast shutdown": disconnects clients, writes a checkpoint
    _last_signal = signal.SIGQUIT  # an "immediate" one: gives its shared memory back, and writes nothing

    def _user(self) -> str | None:
        return unprivileged_user()

    def _command(self) -> list[str]:
        return [postgresql_program("postgres"), "-D", str(self._data)]

    def _answers(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return lines[:1] == [str(self.process_id)] and [line.strip() for line in lines[_STATUS_LINE:]] == ["ready"]
        return False
