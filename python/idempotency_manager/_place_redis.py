"""What the URLs of Redis and Valkey say: one server, a cluster, sentinels or a socket."""

from __future__ import annotations

from ._place_options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._store_url import StoreUrl

_PORT = 6379
_SENTINEL_PORT = 26_379
_TOPOLOGIES = {
    "redis": "single",
    "rediss": "single",
    "redis+cluster": "cluster",
    "redis+sentinel": "sentinel",
    "redis+unix": "unix",
}
_COMMON = ("connect_timeout", "timeout", "wait_replicas", "local_copies")
_TLS = ("tls_ca", "tls_cert", "tls_key")
_KNOWN = {
    "redis": (*_COMMON, "database", "tls", *_TLS),
    "rediss": (*_COMMON, "database", "tls", *_TLS),
    "redis+cluster": (*_COMMON, "database", "tls", *_TLS),
    "redis+sentinel": (*_COMMON, "database", "tls", *_TLS, "sentinel_username", "sentinel_password"),
    "redis+unix": (*_COMMON, "database", *_TLS),
}
# How TLS is switched on.
_SWITCH = {
    "redis": "write rediss://, or ",
    "redis+cluster": "add tls=on, or ",
    "redis+sentinel": "add tls=on, or ",
    "redis+unix": "",
}


def redis(url: StoreUrl, namespace: str) -> dict[str, Any]:
    """Give what the native half opens.

    Raises:
        ConfigurationError: An option is unknown or can't have its value, or the URL lacks something.
    """
    options = Options(url, _KNOWN[url.scheme])
    topology = _TOPOLOGIES[url.scheme]
    service, database = _service_and_database(url, options)
    return {
        "engine": "redis",
        "topology": topology,
        "nodes": _nodes(url, options),
        # A socket's path is absolute, however many slashes begin it.
        "path": "/" + url.path.lstrip("/") if topology == "unix" else "",
        "service": service,
        **_tls(url, options),
        **_credentials(url, options),
        "database": database,
        "namespace": namespace,
        "connect_timeout": options.duration("connect_timeout", "2s"),
        "timeout": options.duration("timeout", "5s"),
        "wait_replicas": options.whole("wait_replicas", 0),
        "local_copies": options.local_copies(None if topology == "cluster" else "tracking"),
    }


def _nodes(url: StoreUrl, options: Options) -> list[list[Any]]:
    if _TOPOLOGIES[url.scheme] == "single" and len(url.hosts) > 1:
        tls = "?tls=on" if url.scheme == "rediss" else ""
        raise options.refuse(
            f"{url.scheme}:// leads to one server",
            f"write redis+cluster://a,b,c{tls} for a cluster, redis+sentinel://a,b,c/service{tls} for sentinels",
        )
    default = _SENTINEL_PORT if url.scheme == "redis+sentinel" else _PORT
    return [[host, default if port is None else port] for host, port in url.hosts]


def _service_and_database(url: StoreUrl, options: Options) -> tuple[str, int]:
    service, path = "", url.path
    if url.scheme == "redis+unix":
        return service, options.whole("database", 0)
    if url.scheme == "redis+sentinel":
        service, _, path = url.path.partition("/")
        if not service:
            raise options.refuse(
                "no service in it", "write redis+sentinel://a,b,c/service, by the name that the sentinels know it by"
            )
    if path:
        options.reserve("database", "the path")
        options.put("database", "the path", path)
    database = options.whole("database", 0)
    if url.scheme == "redis+cluster" and database:
        raise options.wrong("database", "a cluster has only database 0", "leave it out, and use namespace")
    return service, database


def _tls(url: StoreUrl, options: Options) -> dict[str, Any]:
    asked = options.choice("tls", ("on", "off"), "on" if url.scheme == "rediss" else "off")
    if url.scheme == "redis" and asked == "on":
        raise options.wrong("tls", "redis:// is the plain protocol", "write rediss:// for TLS")
    if url.scheme == "rediss" and asked == "off":
        raise options.wrong("tls", "rediss:// is TLS", "write redis:// for the plain protocol")
    needless = [name for name in _TLS if options.text(name) is not None]
    if asked == "off" and needless:
        raise options.wrong(needless[0], "there is no TLS in this URL", f"{_SWITCH[url.scheme]}leave it out")
    return {"tls": asked == "on", **options.certificate()}


def _credentials(url: StoreUrl, options: Options) -> dict[str, str | None]:
    # Nobody would be logged in: all would be done as the user `default`.
    if url.username and url.password is None:
        raise options.refuse("a user without a password", "write user:password@, or user:@ for a user without one")
    username, password = options.text("sentinel_username"), options.text("sentinel_password")
    if username and password is None:
        raise options.refuse("a sentinel_username without a password", "write sentinel_password= beside it")
    return {
        "username": url.username,
        # Without a user, an empty password is none: the server has no AUTH for it.
        "password": url.password if url.username else url.password or None,
        "sentinel_username": username or None,
        "sentinel_password": password if username else password or None,
    }
