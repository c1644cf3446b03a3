"""Real servers for tests, benchmarks and chaos: private, on free ports of the loopback interface."""

from servers._certificates import Certificates
from servers._errors import MissingServerError, ServerError
from servers._postgres import PostgresServer
from servers._redis import RedisServer
from servers._server import Server

__all__ = ["Certificates", "MissingServerError", "PostgresServer", "RedisServer", "Server", "ServerError"]
