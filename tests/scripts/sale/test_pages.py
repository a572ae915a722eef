"""Pages of who has bought are kept before their worker looks, and what it leaves is counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from schemas.topics import PURCHASE_CREATED
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import Place, Rest
from scripts.sale import pages as module
from scripts.sale.pages import GROUP, Pages

pytestmark = pytest.mark.redis

NOWHERE = Servers("127.0.0.1:1", "http://127.0.0.1:1")
PLACE: Place = ("purchase-created", 0)
BUYERS = [(9, "pages-ann"), (9, "pages-bob")]


class World:
    """A worker that forgets the pages of some users when its topic is looked at."""

    def __init__(self, redis: Redis, forgets: list[str]) -> None:
        self.redis = redis
        self.forgets = forgets
        self.started: list[int] = []
        self.looks = 0

    def start(self) -> None:
        self.started.append(len(self.redis.keys("user:home:pages-*")))

    def rest(self, where: Servers, group: str, topics: object) -> Rest:
        assert (where, group, topics) == (NOWHERE, GROUP, [PURCHASE_CREATED])
        self.looks += 1
        if self.looks > 1:
            for user in self.forgets:
                self.redis.delete(f"user:home:{user}", f"user:tickets:{user}")
            self.redis.delete("event:availability:9")
        return Rest({}, {}, {PLACE: (0, 1)} if self.looks == 1 else {})


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client
        client.delete("event:availability:9", *client.keys("user:*:pages-*"))


@pytest.mark.parametrize(
    ("forgets", "left"), [(["pages-ann", "pages-bob"], 0), (["pages-ann"], 2)]
)
def test_s002_19_what_is_left_of_the_pages_of_all_buyers_is_counted(
    forgets: list[str],
    left: int,
    redis: Redis,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(redis, forgets)
    monkeypatch.setattr(module, "rest", world.rest)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0)
    said: list[str] = []
    with Pages(NOWHERE, tmp_path, {}, redis_url, said.append) as pages:
        monkeypatch.setattr(pages, "_buyers", lambda: iter(BUYERS))
        monkeypatch.setattr(pages._worker, "start", world.start)
        monkeypatch.setattr(pages._worker, "metric", lambda _: 0)
        pages.keep()
        assert (pages.left, world.started) == (5, [2])
        pages.until_forgotten()
        assert (pages.left, world.looks) == (left, 2)
