"""A lock at a majority of three independent servers: what too few grant is granted by none."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection
from support.redis.locking import TTL_MS, ask_of, fresh_section
from support.redis.nodes import servers

from infra.stack.redis_server import RedisServer
from state.redis import redlock
from state.redis.client import client_of
from state.redis.keys import LockKeys
from state.redis.redlock import Redlock
from state.redis.seat_lock import Busy, Granted, SeatLock, Stale, owner_of

ANN, BEN = owner_of("ann", 1), owner_of("ben", 1)
PATIENT_S = 30.0
"""What a node that answers gets on a busy machine; one that is gone is met by other means."""

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, ...]]:
    """Give three servers; a test that stops one starts it again."""
    directory = tmp_path_factory.mktemp("redlock")
    with servers(directory, 3, "--appendfsync", "always") as started:
        yield started


@dataclass
class Nodes:
    """Clients of three servers; a node of `cut` cannot be reached, one of `deaf` is not heard.

    asked: how often each was.
    """

    clients: list[Redis]
    cut: set[int]
    deaf: set[int]
    asked: Counter[int] = field(default_factory=Counter)

    def ask(self, at: int) -> Callable[..., Awaitable[Any]]:
        async def send(*command: Any) -> Any:
            self.asked[at] += 1
            if at in self.cut:
                raise NoConnection("cut")
            answer = await ask_of(self.clients[at])(*command)
            if at in self.deaf:
                raise NoConnection("the answer was lost")
            return answer

        return send

    def locks(self, **options: Any) -> Redlock:
        each = [SeatLock(self.ask(at)) for at in range(len(self.clients))]
        return Redlock(each, **{"node_timeout_s": PATIENT_S, **options})

    async def having(self, keys: LockKeys) -> list[int]:
        """Return which servers have a lock of these."""
        counts = [await client.exists(*keys.locks) for client in self.clients]
        return [at for at, count in enumerate(counts) if count]


@asynccontextmanager
async def nodes_of(started: tuple[RedisServer, ...]) -> AsyncIterator[Nodes]:
    async with AsyncExitStack() as ending:
        clients = [client_of(server.url, timeout_s=PATIENT_S, retries=0) for server in started]
        for client in clients:
            ending.push_async_callback(client.aclose)
        yield Nodes(clients, set(), set())


def run(started: tuple[RedisServer, ...], test: Callable[[Nodes], Awaitable[None]]) -> None:
    async def go() -> None:
        async with nodes_of(started) as nodes:
            await test(nodes)

    asyncio.run(go())


def test_l16_two_of_three_grant_and_one_alone_does_not(three: tuple[RedisServer, ...]) -> None:
    async def test(nodes: Nodes) -> None:
        for cut in range(3):
            keys = fresh_section()(1, 2)
            nodes.cut = {cut}
            grant = await nodes.locks().acquire(keys, ANN, TTL_MS)
            assert isinstance(grant, Granted)
            assert await nodes.locks().extend(grant, TTL_MS) is not None
            nodes.cut = {*range(3)} - {cut}
            assert await nodes.locks().acquire(fresh_section()(1), ANN, TTL_MS) == Busy((), 0)
            assert await nodes.locks().extend(grant, TTL_MS) is None
            nodes.cut = set()
            # What was not extended was given up.
            assert isinstance(await nodes.locks().acquire(keys, BEN, TTL_MS), Busy | Granted)

    run(three, test)


def test_l16_one_server_that_died_costs_nothing_and_two_the_grant(
    three: tuple[RedisServer, ...],
) -> None:
    async def test(nodes: Nodes) -> None:
        for dead in ((0,), (1, 2)):
            keys = fresh_section()(1, 2)
            for at in dead:
                three[at].kill()
            grant = await nodes.locks().acquire(keys, ANN, TTL_MS)
            for at in dead:
                three[at].restart()
                await asyncio.to_thread(three[at].wait)
            if len(dead) == 1:
                assert isinstance(grant, Granted)
                # The server that came back knows nothing of it; the majority does.
                assert await nodes.having(keys) == [1, 2]
                assert isinstance(await nodes.locks().acquire(keys, BEN, TTL_MS), Busy)
            else:
                assert grant == Busy((), 0)
                assert await nodes.having(keys) == []

    run(three, test)


def test_l17_what_too_few_grant_is_given_up_on_all_even_where_the_answer_was_lost(
    three: tuple[RedisServer, ...],
) -> None:
    async def test(nodes: Nodes) -> None:
        keys = fresh_section()(1, 2)
        nodes.deaf = {0, 1}
        assert await nodes.locks().acquire(keys, ANN, TTL_MS) == Busy((), 0)
        assert await nodes.having(keys) == []
        nodes.deaf = set()
        # Another has a majority: the third node's grant is no use to us.
        for at in (0, 1):
            await SeatLock(nodes.ask(at)).acquire(keys, BEN, TTL_MS)
        busy = await nodes.locks().acquire(keys, ANN, TTL_MS)
        assert isinstance(busy, Busy)
        assert busy.names == keys.names
        assert await nodes.having(keys) == [0, 1]

    run(three, test)


def test_a_fence_is_above_every_earlier_one_whichever_majority_granted_it(
    three: tuple[RedisServer, ...],
) -> None:
    async def test(nodes: Nodes) -> None:
        keys, highest = fresh_section()(1), 0
        for cut in (0, 1, 2, 0, 2, 1, 1, 0):
            nodes.cut = {cut}
            grant = await nodes.locks().acquire(keys, ANN, TTL_MS)
            assert isinstance(grant, Granted)
            assert grant.fence > highest
            highest = grant.fence
            nodes.cut = set()
            assert await nodes.locks().release(grant) == 1
        assert await nodes.locks().acquire(keys, BEN, TTL_MS, fence=highest - 1) == Stale(highest)
        assert await nodes.having(keys) == []

    run(three, test)


def test_l16_frozen_nodes_cost_their_time_out_and_no_more(three: tuple[RedisServer, ...]) -> None:
    """A majority that does not answer: the lock is refused though nobody said no."""

    async def test(nodes: Nodes) -> None:
        keys = fresh_section()(1)
        for server in three[1:]:
            assert server.child is not None
            server.child.signal(SIGSTOP)
        try:
            locks = nodes.locks(node_timeout_s=redlock.NODE_TIMEOUT_S)
            assert await locks.acquire(keys, ANN, TTL_MS) == Busy((), 0)
            # Each is asked once and told once to give up, for their time out each: below 200 ms.
            assert set(nodes.asked.values()) == {2}
            assert 2 * redlock.NODE_TIMEOUT_S < 0.2
        finally:
            for server in three[1:]:
                assert server.child is not None
                server.child.signal(SIGCONT)

    run(three, test)


def test_a_grant_that_took_longer_than_it_lasts_is_none(three: tuple[RedisServer, ...]) -> None:
    async def test(nodes: Nodes) -> None:
        now_s = [0.0]

        def slow_clock() -> float:
            now_s[0] += 400.0
            return now_s[0]

        keys = fresh_section()(1)
        assert await nodes.locks(clock_s=slow_clock).acquire(keys, ANN, 100_000) == Busy((), 0)
        assert await nodes.having(keys) == []

    run(three, test)


def test_who_finds_it_taken_may_try_again(
    three: tuple[RedisServer, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redlock, "PAUSE_MS", (1, 1))

    async def test(nodes: Nodes) -> None:
        keys = fresh_section()(1)
        held = await nodes.locks().acquire(keys, BEN, TTL_MS)
        assert isinstance(held, Granted)
        waiting = asyncio.ensure_future(nodes.locks(tries=100_000).acquire(keys, ANN, TTL_MS))
        assert isinstance(await nodes.locks(tries=3).acquire(keys, ANN, TTL_MS), Busy)
        await nodes.locks().release(held)
        assert isinstance(await waiting, Granted)

    run(three, test)


@pytest.mark.parametrize("count", [0, 1, 2, 4, 7])
def test_no_other_number_of_nodes_is_taken(count: int) -> None:
    async def ask(*command: Any) -> Any:
        raise AssertionError(command)

    with pytest.raises(ValueError, match="3 or 5 nodes"):
        Redlock([SeatLock(ask) for _ in range(count)])


def test_a_fault_of_ours_is_no_node_that_is_gone(tmp_path: Path) -> None:
    async def ask(*command: Any) -> Any:
        raise KeyError(command[0])

    async def go() -> None:
        with pytest.raises(KeyError):
            await Redlock([SeatLock(ask)] * 3).acquire(fresh_section()(1), ANN, TTL_MS)

    asyncio.run(go())


def test_what_lies_there_and_is_no_lock_goes_from_all_nodes_and_owners_are_told_by_most(
    three: tuple[RedisServer, ...],
) -> None:
    async def test(nodes: Nodes) -> None:
        keys = fresh_section()(1)
        [key] = keys.locks
        for client in nodes.clients:
            await client.set(key, "no lock")
        assert await nodes.locks().mend(keys, TTL_MS) == 1
        assert await nodes.having(keys) == []
        assert await nodes.locks().owner(key) == ""
        assert isinstance(await nodes.locks().acquire(keys, ANN, TTL_MS), Granted)
        await nodes.clients[0].hset(key, "o", BEN)
        assert await nodes.locks().owner(key) == ANN

    run(three, test)
