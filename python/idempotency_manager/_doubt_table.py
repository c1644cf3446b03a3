"""Which errors of which clients say that a request may have arrived: data only, read by `_doubt`.

A class is named by its top-level package and its qualified name, so a client that moves a class between its
modules is still recognised, and none has to be imported. The most derived class that is named here counts.
"""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """What an error says of the request."""

    DOUBT = "it may have arrived, unless what the error wraps proves that it did not"
    UNSENT = "it did not arrive, or was answered: an ordinary failure"
    UNSENT_UNLESS = "it did not arrive, unless what the error wraps leaves that open"


_DOUBT = (
    # The standard library. socket.timeout and asyncio.TimeoutError are TimeoutError.
    "builtins.TimeoutError builtins.ConnectionResetError builtins.ConnectionAbortedError builtins.BrokenPipeError",
    "asyncio.CancelledError asyncio.IncompleteReadError",
    "concurrent.CancelledError concurrent.BrokenExecutor",
    "http.RemoteDisconnected http.IncompleteRead http.BadStatusLine http.LineTooLong http.UnknownProtocol",
    "ssl.SSLEOFError ssl.SSLZeroReturnError ssl.SSLSyscallError smtplib.SMTPServerDisconnected",
    # What a worker raises in the middle of a task that has taken too long.
    "billiard.SoftTimeLimitExceeded billiard.TimeLimitExceeded rq.BaseTimeoutException",
    "subprocess.TimeoutExpired anyio.BrokenResourceError trio.BrokenResourceError",
    "requests.ConnectionError requests.Timeout requests.ReadTimeout requests.ChunkedEncodingError",
    "requests.ContentDecodingError",
    "urllib3.ReadTimeoutError urllib3.TimeoutError urllib3.ProtocolError urllib3.IncompleteRead",
    "urllib3.InvalidChunkLength urllib3.MaxRetryError urllib3.DecodeError",
    *(
        f"{package}.TimeoutException {package}.ReadTimeout {package}.WriteTimeout {package}.NetworkError "
        f"{package}.ReadError {package}.WriteError {package}.CloseError {package}.RemoteProtocolError "
        f"{package}.DecodingError"
        for package in ("httpx", "httpcore")
    ),
    "aiohttp.ClientConnectionError aiohttp.ClientConnectionResetError aiohttp.ClientOSError",
    "aiohttp.ServerDisconnectedError aiohttp.ServerTimeoutError aiohttp.SocketTimeoutError",
    "aiohttp.ClientPayloadError",
    "botocore.HTTPClientError botocore.ConnectionError botocore.ConnectionClosedError botocore.ReadTimeoutError",
    "botocore.ResponseStreamingError botocore.IncompleteReadError",
    "grpc.FutureTimeoutError grpc.FutureCancelledError",
    "redis.TimeoutError redis.ConnectionError",
)
_UNSENT = (
    "builtins.ConnectionRefusedError socket.gaierror socket.herror ssl.SSLCertVerificationError ssl.CertificateError",
    "ssl.SSLWantReadError ssl.SSLWantWriteError",  # no failures: "call again"
    "smtplib.SMTPConnectError httplib2.ServerNotFoundError",
    "requests.ConnectTimeout requests.ProxyError requests.RetryError",
    "urllib3.ConnectTimeoutError urllib3.NewConnectionError urllib3.NameResolutionError urllib3.ProxyError",
    "urllib3.ResponseError urllib3.PoolError urllib3.EmptyPoolError urllib3.ClosedPoolError",
    *(
        f"{package}.ConnectError {package}.ConnectTimeout {package}.PoolTimeout {package}.UnsupportedProtocol "
        f"{package}.ProxyError {package}.LocalProtocolError"
        for package in ("httpx", "httpcore")
    ),
    "aiohttp.ClientConnectorError aiohttp.ClientConnectorDNSError aiohttp.ClientConnectorSSLError",
    "aiohttp.ClientConnectorCertificateError aiohttp.ClientSSLError aiohttp.ConnectionTimeoutError",
    "aiohttp.ServerFingerprintMismatch aiohttp.ClientProxyConnectionError aiohttp.UnixClientConnectorError",
    "botocore.EndpointConnectionError botocore.ConnectTimeoutError botocore.ProxyConnectionError",
    "redis.AuthenticationError redis.AuthorizationError redis.BusyLoadingError redis.MaxConnectionsError",
    "psycopg.ConnectionTimeout psycopg_pool.PoolTimeout psycopg_pool.PoolClosed psycopg_pool.TooManyRequests",
    # Raised before an inner action's effect runs.
    "idempotency_manager.StoreUnavailableError",
)
_UNSENT_UNLESS = ("ssl.SSLError requests.SSLError urllib3.SSLError botocore.SSLError",)

CLASSES: dict[str, Verdict] = {
    name: verdict
    for verdict, lines in (
        (Verdict.DOUBT, _DOUBT),
        (Verdict.UNSENT, _UNSENT),
        (Verdict.UNSENT_UNLESS, _UNSENT_UNLESS),
    )
    for line in lines
    for name in line.split()
}

# Classes that say "sent" or "not sent" only in words: any of these words says "not sent".
CONNECTING_WORDS: dict[str, tuple[str, ...]] = {
    "redis.TimeoutError": ("timeout connecting",),
    "redis.ConnectionError": (" connecting to ", "no connection available", "too many connections"),
    "aiohttp.ClientConnectionError": ("connector is closed",),
    "psycopg": (
        "connection failed",
        "connection is bad",
        "connection to server at",
        "connection to server on socket",
        "could not connect",
        "could not translate host name",
        "failed to resolve host",
        "connection timeout expired",
        "the connection is closed",
        "connection already closed",
    ),
}

# SQLSTATEs of a connection that was lost; with any other the server has answered.
LOST_SQLSTATES = frozenset({"08000", "08006", "08007", "40003", "57P01", "57P02"})

# A status that the client gives itself when the answer is lost. UNKNOWN and INTERNAL are also what a server
# says whose handler broke off midway.
LOST_GRPC_CODES = frozenset({"CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
UNSENT_GRPC_DETAILS = ("failed to connect to all addresses", "dns resolution failed", "connection refused")
# RESOURCE_EXHAUSTED when the answer was too large to be taken: the effect happened.
LOST_GRPC_DETAILS = ("received message larger than max",)

# The standard library's functions that run before the first byte of a request, by module. An error that came
# through one of them, such as a TimeoutError, is about the connection only.
CONNECTING_FRAMES = frozenset(
    {
        ("socket", "create_connection"),
        ("ssl", "do_handshake"),
        ("http.client", "connect"),
        ("asyncio.base_events", "create_connection"),
        ("asyncio.selector_events", "sock_connect"),
        ("asyncio.streams", "open_connection"),
    },
)
# Its functions that move bytes once there is a TLS session.
TRANSFER_FRAMES = frozenset(
    ("ssl", name) for name in ("read", "recv", "recv_into", "send", "sendall", "write", "sendfile")
)

UNROUTABLE = frozenset({"ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "EADDRNOTAVAIL"})

# Packages whose errors don't say which step they are of; a client's error around one does.
TRANSPORTS = frozenset(
    {"builtins", "asyncio", "concurrent", "socket", "ssl", "http", "smtplib", "subprocess", "anyio", "trio"},
)
