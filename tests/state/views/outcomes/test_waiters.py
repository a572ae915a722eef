"""Waiters: nothing that comes after they are made is missed, and none of them stays behind."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.outcome import Outcome, OutcomeKind
from state.views.outcomes.waiters import SEEN_MAX, OutcomeWaiters, WaitsEnded


def outcome(reservation: bytes, number: int = 0) -> Outcome:
    kind = OutcomeKind.HELD
    return Outcome(kind, reservation, b"ann", b"", b"A", 7, b"commands:0:%d:0" % number, number, 0)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()

    asyncio.run(bounded())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 5)),
        st.tuples(st.just("tell"), st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 5)),
        st.tuples(st.just("cancel"), st.just(b""), st.integers(0, 30)),
        st.tuples(st.just("turn"), st.just(b""), st.integers(1, 3)),
    ),
    max_size=60,
)


@given(STEPS, st.booleans())
def test_no_waiter_stays_behind_whoever_is_cancelled_when(
    steps: list[tuple[str, bytes, int]], ends: bool
) -> None:
    async def main() -> None:
        waiters = OutcomeWaiters()
        tasks: list[asyncio.Task[None]] = []
        number = 0

        async def wait(reservation: bytes, at_least: int) -> None:
            with waiters.waiting(reservation) as waiter:
                found = await waiter.first(lambda told: told.version >= at_least)
                assert found.reservation_id == reservation
                assert found.version >= at_least

        for what, reservation, amount in steps:
            if what == "wait":
                tasks.append(asyncio.create_task(wait(reservation, number + amount)))
            elif what == "tell":
                number += 1
                waiters.tell([outcome(reservation, number)])
            elif what == "cancel" and tasks:
                tasks[amount % len(tasks)].cancel()
            for _ in range(amount if what == "turn" else 0):
                await asyncio.sleep(0)
        if ends:
            waiters.end()
        else:
            for task in tasks:
                task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, WaitsEnded):
                await task
        assert len(waiters) == 0
        assert not any(name in waiters for name in (b"a", b"b", b"c"))

    run(main)


@given(st.lists(st.sampled_from([b"a", b"b"]), max_size=20), st.integers(0, 20))
def test_who_waits_is_told_everything_of_its_reservation_in_order(
    told: list[bytes], early: int
) -> None:
    async def main() -> None:
        waiters = OutcomeWaiters()
        with waiters.waiting(b"a") as waiter:
            numbered = [outcome(name, number) for number, name in enumerate(told)]
            # Some come before anybody looks, the others while somebody does.
            waiters.tell(numbered[:early])
            loop = asyncio.get_running_loop()
            loop.call_soon(waiters.tell, numbered[early:])
            mine = [one for one in numbered if one.reservation_id == b"a"]
            assert [await waiter.first(lambda _: True) for _ in mine] == mine

    run(main)


def test_an_end_wakes_who_waits_and_who_comes_later() -> None:
    async def main() -> None:
        waiters = OutcomeWaiters()

        async def wait() -> None:
            with waiters.waiting(b"a") as waiter:
                await waiter.first(lambda _: False)

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiters.end()
        with pytest.raises(WaitsEnded):
            await waiting
        with pytest.raises(WaitsEnded):
            await wait()
        assert len(waiters) == 0

    run(main)


def test_what_came_before_the_end_is_still_told() -> None:
    async def main() -> None:
        waiters = OutcomeWaiters()
        with waiters.waiting(b"a") as waiter:
            waiters.tell([outcome(b"a", 1)])
            waiters.end()
            assert (await waiter.first(lambda _: True)).version == 1

    run(main)


def test_one_reservation_cannot_fill_the_memory_of_its_waiter() -> None:
    async def main() -> None:
        waiters = OutcomeWaiters()
        with waiters.waiting(b"a") as waiter:
            waiters.tell([outcome(b"a", number) for number in range(SEEN_MAX + 10)])
            assert (await waiter.first(lambda _: True)).version == 10

    run(main)
