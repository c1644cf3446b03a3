"""The password file of PostgreSQL's clients: `PGPASSFILE`, or `~/.pgpass`."""

from __future__ import annotations

import os
from stat import S_ISREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def kept_password(servers: Iterable[tuple[str, str]], database: str, user: str) -> str | None:
    """Give the password of the first line that fits one of some servers.

    Args:
        servers: Host and port of each; a socket in its usual folder counts as `localhost`.
        database: The database.
        user: The user.

    Returns:
        The password; `None` where no line fits, or there is no file that may be believed.
    """
    lines = [_fields(line) for line in _lines()]
    for host, port in servers:
        for *wanted, password in (line for line in lines if len(line) == 5):  # noqa: PLR2004 - a line's parts
            asked = zip(wanted, (host, port, database, user), strict=True)
            if all(pattern in ("*", name) for pattern, name in asked):
                return password
    return None


def _lines() -> list[str]:
    path = os.environ.get("PGPASSFILE") or os.path.expanduser("~/.pgpass")  # noqa: PTH111 - pathlib is dear to import
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - the same
            mode = os.fstat(file.fileno()).st_mode
            if not S_ISREG(mode):  # /dev/null, by which people say that there is none
                return []
            if mode & 0o077:
                _warn(path)
                return []
            return [line for line in file.read().splitlines() if line and not line.startswith("#")]
    except (OSError, UnicodeDecodeError):  # as for all clients: no file, no password
        return []


def _warn(path: str) -> None:
    from warnings import warn  # noqa: PLC0415 - rarely needed

    warn(f"{path} is not used: others may read it; chmod 600 {path}", RuntimeWarning, stacklevel=2)


def _fields(line: str) -> list[str]:
    r"""Split at colons; `\:` and `\\` stand for themselves."""
    fields = [""]
    characters = iter(line)
    for character in characters:
        if character == ":" and len(fields) < 5:  # noqa: PLR2004 - the password is the rest
            fields.append("")
        else:
            fields[-1] += next(characters, "\\") if character == "\\" else character
    return fields
