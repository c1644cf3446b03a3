"""Real servers for tests, benchmarks and chaos: private, on free ports of the loopback interface."""

from servers._certificates import Certificates
from servers._errors import MissingServerError, ServerError, postgresql_program, redis_program
from servers._passage import Cut
from servers._pgbouncer import PgBouncer
from servers._postgres import PostgresServer
from servers._proxy import Proxy
from servers._redis import RedisServer
from servers._redis_cluster import RedisCluster
from servers._redis_sentinels import RedisSentinel, RedisSentinels
from servers._server import Server

__all__ = [
    "Certificates",
    "Cut",
    "MissingServerError",
    "PgBouncer",
    "PostgresServer",
    "Proxy",
    "RedisCluster",
    "RedisSentinel",
    "RedisSentinels",
    "RedisServer",
    "Server",
    "ServerError",
    "postgresql_program",
    "redis_program",
]
