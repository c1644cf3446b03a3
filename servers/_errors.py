"""What goes wrong with a server, and which package of Debian brings one that is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

_POSTGRESQL = Path("/usr/lib/postgresql")
_OLDEST_POSTGRESQL = 13


class ServerError(Exception):
    """A server does not start, or does not do what it is asked to do."""


class MissingServerError(ServerError):
    """A program is not installed here.

    Attributes:
        program: What was looked for.
        package: The package of Debian that has it.
    """

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed here, as root on Debian: apt-get install {package}")
        self.program, self.package = program, package


def program(names: tuple[str, ...], package: str) -> str:
    """Give the path of the first of these programs that is installed.

    Raises:
        MissingServerError: None is.
    """
    for name in names:
        for folder in (None, "/usr/sbin:/usr/local/sbin"):  # what is for administrators is on root's PATH only
            found = shutil.which(name, path=folder)
            if found:
                return found
    raise MissingServerError(names[0], package)


def redis_program() -> str:
    """Give the path of the server of Redis, or of Valkey.

    Raises:
        MissingServerError: Neither is installed.
    """
    return program(("redis-server", "valkey-server"), "redis-server")


def postgresql_program(name: str) -> str:
    """Give the path of a program of PostgreSQL's, of the newest version that is installed.

    Debian leaves a server's programs out of PATH, in a folder for each version.

    Raises:
        MissingServerError: None is.
    """
    for folder in sorted(_POSTGRESQL.glob("*/bin"), key=_version, reverse=True):
        if _version(folder) >= _OLDEST_POSTGRESQL and (folder / name).exists():
            return str(folder / name)
    return program((name,), "postgresql")


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdecimal() else 0
