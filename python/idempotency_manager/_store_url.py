"""Store URLs: taking them apart, and showing them without their passwords."""

from __future__ import annotations

from ._duration import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MASK: Final = "***"
SCHEMES: Final = (
    "memory",
    "sqlite",
    "redis",
    "rediss",
    "redis+cluster",
    "redis+sentinel",
    "redis+unix",
    "postgresql",
)
_PATH_NEEDED = ("sqlite", "redis+unix")
_HOST_NEEDED = ("redis", "rediss", "redis+cluster", "redis+sentinel")
_SECRET_WORDS = ("pass", "pwd", "secret", "token")
_REMEDY = (
    'write "memory://", "sqlite:///path.db", "redis://host:6379/0" (or rediss, redis+cluster, redis+sentinel, '
    'redis+unix) or "postgresql://user@host/database"; in each part %-encode what has a meaning in URLs, '
    "such as @ : / ? # %"
)


class StoreUrl:
    """A store URL in its parts, percent-decoded; its `repr` and `str` show the password as `***`."""

    __slots__ = ("_text", "hosts", "masked", "options", "password", "path", "scheme", "username")

    scheme: str
    username: str | None
    password: str | None
    hosts: tuple[tuple[str, int | None], ...]
    """Host and port of each server; the port is `None` where the engine's own default applies."""
    path: str
    """Without its leading slash: a file (`sqlite:////var/x.db` is the absolute one), a socket, a database."""
    options: tuple[tuple[str, str], ...]
    """What follows the question mark, in order."""
    masked: str
    """The URL with `***` for the password."""

    def __init__(self, text: str, field: str = "store") -> None:
        """Take a URL apart.

        Raises:
            ConfigurationError: It is no store URL; the message shows it without its password.
        """
        object.__setattr__(self, "_text", text)
        try:
            parts = _take_apart(text)
        except ValueError as problem:
            raise refusal(field, mask(text), str(problem), _REMEDY) from None
        for name, part in parts.items():
            object.__setattr__(self, name, part)

    @property
    def text(self) -> str:
        """The URL as it was given, password and all: for the engine only."""
        return self._text  # type: ignore[attr-defined,no-any-return]

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a URL does not change."""
        message = f"a StoreUrl does not change: {name} can't be set"
        raise AttributeError(message)

    def __eq__(self, other: object) -> bool:
        """Compare the URLs as given."""
        return self.text == other.text if isinstance(other, StoreUrl) else NotImplemented

    def __hash__(self) -> int:
        """Hash the URL as given."""
        return hash(self.text)

    def __repr__(self) -> str:
        """Show the URL without its password."""
        return f"StoreUrl({self.masked!r})"

    def __str__(self) -> str:
        """Show the URL without its password."""
        return self.masked

    def __reduce__(self) -> tuple[type[StoreUrl], tuple[str]]:
        """Copy and pickle as the URL."""
        return StoreUrl, (self.text,)


def mask(text: str) -> str:
    """Hide what may be a password in a text that may be no URL: too much rather than too little."""
    head, separator, rest = text.partition("://")
    if not separator:
        return text if "@" not in text else MASK + text[text.rindex("@") :]
    rest, question, query = rest.partition("?")
    if "@" in query:  # an unescaped ? in a password
        rest, question, query = rest + question + query, "", ""
    if "@" in rest:
        at = rest.rindex("@")
        user, colon, _ = rest[:at].partition(":")
        rest = user + (colon + MASK if colon else "") + rest[at:]
    return head + separator + rest + question + _mask_query(query)


def _mask_query(query: str) -> str:
    pairs = (pair.partition("=") for pair in query.split("&"))
    return "&".join(
        name + equals + (MASK if equals and any(word in name.lower() for word in _SECRET_WORDS) else value)
        for name, equals, value in pairs
    )


def _take_apart(text: str) -> dict[str, object]:
    scheme, separator, rest = text.partition("://")
    if not separator:
        message = "no scheme:// in it"
        raise ValueError(message)
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        message = f"no store has the scheme {scheme!r}; known are {', '.join(SCHEMES)}"
        raise ValueError(message)
    if "#" in rest:
        message = "a # must be written %23"
        raise ValueError(message)
    place, _, query = rest.partition("?")
    authority, slash, path = place.partition("/")
    if "@" in query:
        message = "after the ? an @ must be written %40, and in a password a ? %3F"
        raise ValueError(message)
    userinfo, at, servers = authority.rpartition("@")
    username, colon, password = userinfo.partition(":")
    _check_shape(scheme, authority, path)
    if password == MASK:
        message = f"the {MASK} stands for a password that was hidden; give the URL itself"
        raise ValueError(message)
    return {
        "scheme": scheme,
        "username": _decode(username) if username else None,
        "password": _decode(password) if colon else None,
        "hosts": _hosts(scheme, servers),
        "path": _decode(path),
        "options": tuple(_options(query)),
        "masked": (
            f"{scheme}://{username}{colon}{MASK if colon else ''}{at}{servers}{slash}{path}"
            + (f"?{_mask_query(query)}" if query else "")
        ),
    }


def _check_shape(scheme: str, authority: str, path: str) -> None:
    problem = ""
    if scheme == "memory" and (authority or path):
        problem = "nothing follows memory://"
    elif scheme == "sqlite" and (authority or not path):
        problem = "a path follows sqlite:///, with a third slash (a fourth begins an absolute path)"
    elif scheme == "redis+unix" and (authority.rpartition("@")[2] or not path.strip("/")):
        problem = "a path follows redis+unix:///, with a third slash (after a password: redis+unix://:password@/path)"
    elif scheme == "sqlite" and path == ":memory:":
        problem = "a database in memory is memory://"
    elif scheme not in _PATH_NEEDED and "@" in path:
        problem = "an @ in a password or a database's name must be written %40, a / %2F"
    if problem:
        raise ValueError(problem)


def _hosts(scheme: str, servers: str) -> tuple[tuple[str, int | None], ...]:
    if not servers:
        if scheme in _HOST_NEEDED:
            message = "no host in it"
            raise ValueError(message)
        return ()
    return tuple(_host(server) for server in servers.split(","))


def _host(server: str) -> tuple[str, int | None]:
    address, bracket, tail = server.rpartition("]")  # an IPv6 address stands in brackets, for its colons
    name, colon, port = tail.partition(":")
    if bracket:
        name = "" if name else address.removeprefix("[")
    if not name:
        message = "a host without a name, or with one that is no host's"
        raise ValueError(message)
    if not colon:
        return _decode(name), None
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):  # noqa: PLR2004 - TCP's ports
        message = "a port is a number from 1 to 65535"
        raise ValueError(message)
    return _decode(name), int(port)


def _options(query: str) -> list[tuple[str, str]]:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return [(_decode(name), _decode(value)) for name, _, value in pairs]


def _decode(part: str) -> str:
    """Undo percent-encoding; a stray % means that a password was pasted in as it is."""
    if "%" not in part:
        return part
    from urllib.parse import unquote  # noqa: PLC0415 - dear, and most processes have no % in their URL

    for rest in part.split("%")[1:]:
        if len(rest) < 2 or not all(digit in "0123456789abcdefABCDEF" for digit in rest[:2]):  # noqa: PLR2004 - %XX
            message = "a % that begins no %XX must be written %25"
            raise ValueError(message)
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        message = "what %XX stands for is not UTF-8"
        raise ValueError(message) from None
