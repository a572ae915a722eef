"""Clients of redis-py, with a pool, retries and backoff, for what asks Redis now and then.

What a pod asks at every request goes through `RedisLine`.
"""

from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

CONNECTIONS_MAX: Final = 16
TIMEOUT_S: Final = 0.5
RETRIES: Final = 3
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0


def _retry(retries: int) -> Retry:
    # The client may send a script twice: each has the same effect as if it were sent once.
    return Retry(ExponentialWithJitterBackoff(_LONGEST_PAUSE_S, _FIRST_PAUSE_S), retries)


def client_of(url: str, *, timeout_s: float | None = TIMEOUT_S, retries: int = RETRIES) -> Redis:
    """Return a client of one server; connects to nothing yet.

    A call that finds all connections in use waits for one. timeout_s: for one answer, and for a
    connection; None where the caller ends each call itself.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS_MAX,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=_retry(retries),
    )
    return Redis.from_pool(pool)


def cluster_of(url: str, *, timeout_s: float = TIMEOUT_S, retries: int = RETRIES) -> RedisCluster:
    """Return a client of the cluster that this node belongs to."""
    return RedisCluster.from_url(
        url,
        max_connections=CONNECTIONS_MAX,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=_retry(retries),
    )
