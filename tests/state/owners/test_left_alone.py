"""What a pod knows of destinations that owners leave alone; nothing is known for long."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.pods.conditions import until

from state.owners.left_alone import FRESH_S, LeftAlone
from state.owners.lookup import OwnerLookup
from state.owners.questions import OwnerNotReady, OwnersBusy, OwnerUnreachable

pytestmark = pytest.mark.timeout(60)

TOPIC = "payment-commands"


class Owners(OwnerLookup):
    """Owners that say at once what a test has them say, or raise it, or hang.

    said: by the number of a partition. asked: the partitions of all questions.
    """

    def __init__(self) -> None:
        super().__init__("nowhere:1", "seats")
        self.said: dict[int, dict[str, int] | Exception] = {}
        self.asked: list[int] = []
        self.goes = asyncio.Event()
        self.goes.set()

    async def left_alone(self, topic: str, partition: int) -> dict[str, int]:
        assert topic == TOPIC
        self.asked.append(partition)
        await self.goes.wait()
        said = self.said.get(partition, {})
        if isinstance(said, Exception):
            raise said
        return said


def run(talk: Callable[[LeftAlone, Owners], Awaitable[None]]) -> None:
    """Run a conversation; whatever is asked ends with it."""

    async def conversation() -> None:
        owners = Owners()
        left_alone = LeftAlone(owners, TOPIC)
        await talk(left_alone, owners)
        await left_alone.close()
        await asyncio.sleep(0)
        assert not left_alone._asking

    asyncio.run(conversation())


def later(left_alone: LeftAlone, seconds: float) -> None:
    """Have all words grow older, as if that time had passed."""
    for partition, word in left_alone._words.items():
        until_s = {name: until - seconds for name, until in word.until_s.items()}
        left_alone._words[partition] = word._replace(until_s=until_s, told_s=word.told_s - seconds)


def test_f60_only_the_owner_of_the_partition_and_only_that_destination_counts() -> None:
    async def talk(left_alone: LeftAlone, owners: Owners) -> None:
        owners.said = {1: {"mock": 60_000}}
        assert 50_000 < await left_alone.left_ms(1, "mock") <= 60_000
        assert await left_alone.left_ms(1, "toss") == 0
        assert await left_alone.left_ms(2, "mock") == 0

    run(talk)


def test_a_word_is_believed_for_a_moment_and_then_asked_for_anew() -> None:
    async def talk(left_alone: LeftAlone, owners: Owners) -> None:
        owners.said = {1: {"mock": 60_000}}
        for _ in range(100):
            assert await left_alone.left_ms(1, "mock")
        assert owners.asked == [1]
        owners.said = {}
        later(left_alone, FRESH_S)
        assert await left_alone.left_ms(1, "mock") == 0
        assert owners.asked == [1, 1]

    run(talk)


def test_what_may_be_called_again_is_left_alone_no_longer_whatever_was_said() -> None:
    async def talk(left_alone: LeftAlone, owners: Owners) -> None:
        owners.said = {1: {"mock": 400}}
        assert 0 < await left_alone.left_ms(1, "mock") <= 400
        later(left_alone, 0.4)
        assert await left_alone.left_ms(1, "mock") == 0
        assert owners.asked == [1]

    run(talk)


@pytest.mark.parametrize("error", [OwnerNotReady, OwnerUnreachable, OwnersBusy])
def test_where_nobody_can_be_asked_nothing_is_known_and_not_everybody_asks(error: Any) -> None:
    async def talk(left_alone: LeftAlone, owners: Owners) -> None:
        owners.said = {1: {"mock": 60_000}}
        assert await left_alone.left_ms(1, "mock")
        owners.said = {1: error("told so")}
        later(left_alone, FRESH_S)
        for _ in range(10):
            assert await left_alone.left_ms(1, "mock") == 0
        assert owners.asked == [1, 1]

    run(talk)


def test_an_owner_that_hangs_is_asked_once_and_its_former_word_does_not_count() -> None:
    async def talk(left_alone: LeftAlone, owners: Owners) -> None:
        owners.said = {1: {"mock": 60_000}}
        assert await left_alone.left_ms(1, "mock")
        owners.goes.clear()
        later(left_alone, FRESH_S)
        waited = [left_alone.left_ms(1, "mock") for _ in range(20)]
        assert set(await asyncio.gather(*waited)) == {0}
        assert owners.asked == [1, 1]
        # Whoever comes later waits for it no more, and asks nobody again.
        assert left_alone._asking[1].until_s <= asyncio.get_running_loop().time()
        assert await left_alone.left_ms(1, "mock") == 0
        assert owners.asked == [1, 1]
        owners.goes.set()
        await until(lambda: not left_alone._asking)
        assert await left_alone.left_ms(1, "mock")
        assert owners.asked == [1, 1]

    run(talk)


def test_who_goes_away_takes_nothing_from_the_others() -> None:
    async def talk(left_alone: LeftAlone, owners: Owners) -> None:
        owners.said = {1: {"mock": 60_000}}
        owners.goes.clear()
        first = asyncio.create_task(left_alone.left_ms(1, "mock"))
        await asyncio.sleep(0)
        first.cancel()
        owners.goes.set()
        assert await left_alone.left_ms(1, "mock")
        assert owners.asked == [1]

    run(talk)


def test_what_is_being_asked_ends_with_the_pod() -> None:
    async def talk(left_alone: LeftAlone, owners: Owners) -> None:
        owners.goes.clear()
        assert await left_alone.left_ms(1, "mock") == 0

    run(talk)
