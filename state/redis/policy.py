"""Whether Redis drops keys when its memory is full: such a server must not be used."""

import asyncio
import logging
import re
from typing import Any, Final

from redis.exceptions import RedisError

from state.redis.client import client_of
from state.redis.scripts import Ask

log = logging.getLogger("seatstream.api")

KEEPS: Final = "noeviction"
_POLICY: Final = re.compile(rb"^maxmemory_policy:([a-z-]+)\r?$", re.MULTILINE)


class Evicts(Exception):
    """Redis drops keys when its memory is full, so requests would pass limits.

    Operator action: set `maxmemory-policy noeviction` at the server, and start again.
    """


async def check_policy(ask: Ask) -> str:
    """Return the server's policy, empty where it does not tell; raises Evicts, and as `ask`."""
    policy = _policy_of(await ask("INFO", "memory"))
    if policy not in {"", KEEPS}:
        raise Evicts(
            f"Redis drops keys when its memory is full (maxmemory-policy {policy}): limits and "
            f"locks need maxmemory-policy {KEEPS}"
        )
    return policy


async def _asked_once(url: str) -> str:
    client = client_of(url, retries=0)
    try:
        return await check_policy(client.execute_command)
    except (RedisError, OSError) as error:
        log.warning("whether Redis drops keys is not known: %s: %s", type(error).__name__, error)
        return ""
    finally:
        await client.aclose()


def check_policy_at(url: str) -> str:
    """Ask the server at an address once, and return as `check_policy`. Blocks; not on a loop.

    Returns an empty text where the server does not answer: a process may start without Redis.
    """
    return asyncio.run(_asked_once(url))


def _policy_of(told: Any) -> str:
    # A client of redis-py returns a dict, `RedisLine` the text.
    if isinstance(told, dict):
        return str(told.get("maxmemory_policy", ""))
    found = _POLICY.search(told if isinstance(told, bytes) else str(told).encode())
    return "" if found is None else found[1].decode()
