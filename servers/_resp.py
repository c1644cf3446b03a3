"""Enough of the Redis protocol to start servers, to arrange them and to look at them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self, TypeAlias

from servers._errors import ServerError

if TYPE_CHECKING:
    import ssl

Reply: TypeAlias = "str | int | list[Reply] | None"
_TIMEOUT_SECONDS = 10.0


class RedisReplyError(ServerError):
    """The server answered with an error."""


class Connection:
    """One connection to a server of Redis, for one command after the other."""

    def __init__(
        self,
        address: tuple[str, int] | str,
        *,
        tls: ssl.SSLContext | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> None:
        """Connect to a host and port, or to the path of a socket."""
        if isinstance(address, str):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(timeout)
            self._socket.connect(address)
        else:
            self._socket = socket.create_connection(address, timeout=timeout)
        try:
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=address[0])
            self._answers = self._socket.makefile("rb")
            if password is not None:
                self.command("AUTH", *([username] if username else []), password)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._answers.close()
        self._socket.close()

    def command(self, *words: str | int) -> Reply:
        """Send a command and give its answer.

        Raises:
            RedisReplyError: The answer is an error.
        """
        parts = [str(word).encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
        return self._reply()

    def _reply(self) -> Reply:
        line = self._answers.readline()
        kind, text = line[:1], line[1:].decode().strip()
        match kind:
            case b"+":
                return text
            case b":":
                return int(text)
            case b"$":
                return None if text == "-1" else self._answers.read(int(text) + 2)[:-2].decode(errors="replace")
            case b"*":
                return None if text == "-1" else [self._reply() for _ in range(int(text))]
            case b"-":
                raise RedisReplyError(text)
            case _:
                message = "the server has hung up"
                raise ConnectionResetError(message)


def fields(info: Reply) -> dict[str, str]:
    """Take apart what INFO, CLUSTER INFO and the like answer."""
    pairs = (line.partition(":") for line in str(info).splitlines() if ":" in line)
    return {name: text for name, _, text in pairs}
