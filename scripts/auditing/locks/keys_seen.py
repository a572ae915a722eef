"""Which keys a sale writes to a Redis of its own, as SCAN finds them."""

import json
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from scripts.auditing.topics import CannotRead

PAGE = 1_000
TIMEOUT_S = 15.0
GONE = -2
"""What PTTL says of a key that is not there."""


class KeysSeen:
    """Every key that was there at one of the looks.

    url:     of the Redis. path: of the file that is written at each look; None for no looks.
    by_name: type, and ms until it ends at the last look that found it; -1 for never.
    """

    def __init__(self, url: str, path: Path | None) -> None:
        self.by_name: dict[str, tuple[str, int]] = {}
        self.url = url
        self._path = path

    def look(self) -> None:
        """Add what is there now, and write all; raises CannotRead where Redis does not answer."""
        if self._path is None:
            return
        timeout = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        try:
            with Redis.from_url(self.url, **timeout) as redis:
                for name in redis.scan_iter(count=PAGE):
                    kind, left_ms = redis.pipeline().type(name).pttl(name).execute()
                    if left_ms != GONE:
                        text = name.decode("utf-8", "backslashreplace")
                        self.by_name[text] = kind.decode(), left_ms
        except (RedisError, OSError) as error:
            raise CannotRead(f"the keys in Redis cannot be read: {error}") from error
        found = {name: list(seen) for name, seen in sorted(self.by_name.items())}
        self._path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
