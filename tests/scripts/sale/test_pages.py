"""Pages of who has bought are kept before their worker looks, and what it leaves is counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from scripts.brokers.addresses import Servers
from scripts.sale import pages as module
from scripts.sale.pages import Pages

pytestmark = pytest.mark.redis

NOWHERE = Servers("127.0.0.1:1", "http://127.0.0.1:1")
BUYERS = [(9, "pages-ann"), (9, "pages-bob")]


class World:
    """A worker that forgets the pages of some users some time after its start."""

    def __init__(self, redis: Redis, forgets: list[str]) -> None:
        self.redis = redis
        self.forgets = forgets
        self.started: list[int] = []
        self.looks = 0

    def start(self) -> None:
        self.started.append(len(self.redis.keys("user:home:pages-*")))

    def revive(self) -> None:
        self.looks += 1
        if self.looks == 3:
            for user in self.forgets:
                self.redis.delete(f"user:home:{user}", f"user:tickets:{user}")
            self.redis.delete("event:availability:9")


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
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0)
    monkeypatch.setattr(module, "AT_ONCE", 2)
    if left:
        # Long enough for what is forgotten.
        monkeypatch.setattr(module, "DONE_S", 2)
    said: list[str] = []
    with Pages(NOWHERE, tmp_path, {}, redis_url, said.append) as pages:
        monkeypatch.setattr(pages, "_buyers", lambda: iter(BUYERS))
        monkeypatch.setattr(pages._worker, "start", world.start)
        monkeypatch.setattr(pages._supervisor, "revive", world.revive)
        pages.keep()
        assert (pages.left, world.started) == (5, [2])
        pages.until_forgotten()
        assert pages.left == left
        assert world.looks == 3 or left
