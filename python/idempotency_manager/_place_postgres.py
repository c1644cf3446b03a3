"""What `postgresql://` URLs say, in the words of libpq, its environment and its password file included."""

from __future__ import annotations

import os

from ._place_options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._store_url import StoreUrl

_PORT = 5432
_SOCKET_FOLDERS = ("/var/run/postgresql", "/tmp")  # noqa: S108 - where servers listen, Debian's and PostgreSQL's own
_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
_KNOWN = (
    "connect_timeout",
    "timeout",
    "pool_size",
    "prepare",
    "local_copies",
    "application_name",
    "tls",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "target_session_attrs",
)
# Those of libpq that have another name here.
_ALIASES = {"sslmode": "tls", "sslrootcert": "tls_ca", "sslcert": "tls_cert", "sslkey": "tls_key"}
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "tls": "PGSSLMODE",
    "tls_ca": "PGSSLROOTCERT",
    "tls_cert": "PGSSLCERT",
    "tls_key": "PGSSLKEY",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}
_WRITES = "leave it out: of several hosts the first that can be written to is used"
_NO_FILES = {"tls_ca": None, "tls_cert": None, "tls_key": None}


def postgres(url: StoreUrl, namespace: str) -> dict[str, Any]:
    """Give what the native half opens.

    Raises:
        ConfigurationError: An option is unknown or can't have its value, or the URL lacks something.
    """
    options = Options(url, _KNOWN, _ALIASES)
    _put_what_is_before_the_options(url, options)
    for name, variable in _VARIABLES.items():
        options.default(name, variable)
    options.choice("target_session_attrs", ("read-write", "primary"), "read-write", _WRITES)
    hosts = _hosts(url, options)
    user = options.text("user") or _system_user(options)
    database = options.text("dbname") or user
    return {
        "engine": "postgresql",
        "hosts": hosts,
        "database": database,
        "username": user,
        "password": options.text("password") or _kept_password(hosts, database, user),
        **_tls(options, is_local=all(_is_folder(host) for host, _ in hosts)),
        "namespace": namespace,
        "connect_timeout": options.duration("connect_timeout", "2s", bare_is_seconds=True),
        "timeout": options.duration("timeout", "5s"),
        "pool_size": options.whole("pool_size", 10, least=1),
        "prepare": options.choice("prepare", ("auto", "on", "off"), "auto"),
        "application_name": options.text("application_name") or "idempotency-manager",
        "local_copies": options.local_copies("notify"),
    }


def _put_what_is_before_the_options(url: StoreUrl, options: Options) -> None:
    for name, shown, part in (
        ("user", "what stands before the @", "username"),
        ("password", "what stands before the @", "password"),
        ("dbname", "the path", "path"),
    ):
        if getattr(url, part):
            options.reserve(name, shown)
            options.put(name, shown, getattr(url, part))
    for name, is_given in (("host", bool(url.hosts)), ("port", any(port is not None for _, port in url.hosts))):
        if is_given and options.text(name) is not None:
            raise options.wrong(name, "the URL has one before the ?", "give it once")


def _hosts(url: StoreUrl, options: Options) -> list[list[Any]]:
    named = [(host, None) for host in (options.text("host") or "").split(",")]
    hosts = url.hosts or named
    ports = _ports(options, len(hosts))
    return [
        [host or _local_host(default), default if port is None else port]
        for (host, port), default in zip(hosts, ports, strict=True)
    ]


def _ports(options: Options, count: int) -> list[int]:
    text = options.text("port")
    ports = [_PORT] if text is None else [_port(options, part) for part in text.split(",")]
    if len(ports) == 1:
        return ports * count
    if len(ports) != count:
        raise options.wrong("port", f"{len(ports)} ports for {count} hosts", "give one port, or one for each host")
    return ports


def _port(options: Options, text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65_536:  # noqa: PLR2004 - TCP's ports
        return int(text)
    raise options.wrong("port", "no port", "a port is a number from 1 to 65535")


def _local_host(port: int) -> str:
    """Where a server on this host listens: at its socket, if there is one."""
    for folder in _SOCKET_FOLDERS:
        if os.path.exists(f"{folder}/.s.PGSQL.{port}"):  # noqa: PTH110 - pathlib is dear to import
            return folder
    return "localhost"


def _is_folder(host: str) -> bool:
    return host.startswith("/")


def _system_user(options: Options) -> str:
    try:
        import pwd  # noqa: PLC0415 - not on every system

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError):
        raise options.refuse("no user in it", "write postgresql://user@host/database, or set PGUSER") from None


def _kept_password(hosts: list[list[Any]], database: str, user: str) -> str | None:
    from ._pgpass import kept_password  # noqa: PLC0415 - most URLs need none of it

    servers = [("localhost" if host in _SOCKET_FOLDERS else str(host), str(port)) for host, port in hosts]
    return kept_password(servers, database, user)


def _tls(options: Options, *, is_local: bool) -> dict[str, str | None]:
    has_ca = options.text("tls_ca") is not None
    if options.text("tls_ca") == "system":
        options.drop("tls_ca")
    mode = options.choice("tls", _MODES, "verify-full" if has_ca else "prefer")
    if is_local:  # a socket has no TLS, whatever is asked for
        return {"tls": "disable", **_NO_FILES}
    if has_ca and mode in ("disable", "prefer"):
        problem = "no certificate is looked at, though there is a CA to check it by"
        raise options.wrong("tls", problem, "write verify-full, or leave the CA out")
    if mode == "disable":
        return {"tls": mode, **_NO_FILES}
    # As libpq has it: where TLS is required, a certificate is checked if there is something to check it by.
    return {"tls": "verify-ca" if has_ca and mode == "require" else mode, **options.certificate()}
