"""Pages that a shop keeps in Redis of who buys, and the worker that has them forgotten."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from redis import Redis

from schemas.topics import PURCHASE_CREATED
from scripts.auditing.topics import read_topic, reading
from scripts.brokers.addresses import Servers
from scripts.processes.workers import Supervisor, Worker
from streams.invalidate_caches import ROLE, keys_of
from streams.working.answers import OURS

GROUP = "cache-invalidation-workers"
DONE_S = 240.0
LOOK_EVERY_S = 0.2
AT_ONCE = 500
REDIS_S = 15.0
DAY_S = 86_400


class Pages:
    """The pages of all buyers, kept at the end of the sale; and a worker in a group of its own.

    It has the whole sale before it then: so each page was there before its worker looked.
    """

    def __init__(
        self,
        where: Servers,
        directory: Path,
        settings: Mapping[str, str],
        redis_url: str,
        say: Callable[[str], None],
    ) -> None:
        self._where = where
        self._say = say
        self._redis = Redis.from_url(
            redis_url, socket_timeout=REDIS_S, socket_connect_timeout=REDIS_S
        )
        own = {"SEATSTREAM_ROLES": ROLE, "SEATSTREAM_APP_ID": GROUP, "REDIS_URL": redis_url}
        self._worker = Worker("caches", where, directory, {**settings, **own})
        self._supervisor = Supervisor([self._worker], say)
        self._kept: list[str] = []
        self.left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.terminate()
        self._worker.finish()
        self._redis.close()

    def keep(self) -> None:
        """Keep the pages of everybody who has a purchase, and start the worker."""
        self._kept = sorted(
            {key for event, user in self._buyers() for key in keys_of(user, event)}
        )
        for key in self._kept:
            self._redis.set(key, "a page", ex=DAY_S)
        self.left = len(self._kept)
        self._say(f"{self.left} pages are kept of who has bought; a worker has them forgotten")
        self._worker.start()

    def until_forgotten(self) -> None:
        """Wait until no page is left, but not for ever; count what is left.

        What the worker says of itself is as it was counted last: nothing is open there before it
        has counted what it just read.
        """
        end_s = monotonic() + DONE_S
        while (left := self._count()) and monotonic() < end_s:
            self._supervisor.revive()
            sleep(LOOK_EVERY_S)
        self._worker.terminate()
        self.left = left

    def _count(self) -> int:
        """Return how many of the pages are left."""
        begins = range(0, len(self._kept), AT_ONCE)
        return sum(int(self._redis.exists(*self._kept[at : at + AT_ONCE])) for at in begins)

    def _buyers(self) -> Iterator[tuple[int, str]]:
        """Yield event and user of each purchase; raises CannotRead."""
        with reading(self._where) as consumer:
            found = read_topic(consumer, PURCHASE_CREATED)
        for key in {record.key or b"" for records in found.values() for record in records}:
            if not key.startswith(OURS):
                event, _, user = key.partition(b"-")
                yield int(event), user.decode()
