"""Who enters before a room opens stands by lot, whoever came first, whatever Redis loses (D31).

Nobody waits for an opening: it is moved into the past by hand.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from support.redis.events import EVENTS
from support.redis.locking import redis_at
from support.waiting.proving import set_up

from state.domain.waiting.admission import RoomState, Standing, poll_after_ms
from state.domain.waiting.line import Fact, Step, line_of
from state.domain.waiting.lots import (
    NO_LOTS,
    Lots,
    Opening,
    first_turn,
    is_by_lot,
    lot_of,
    undrawn_turn,
)
from state.redis.keys import waiting_room
from state.redis.waiting.rooms import OPENS_MAX_MS, Entry, Prepared, WaitingRooms

SEED = b"seatstream" + bytes(22)
HOUR_MS = 3_600_000
NAMES = [f"user-{at}" for at in range(12)]
DRAWN = sorted(NAMES, key=lambda name: lot_of(SEED, name))

Test = Callable[[WaitingRooms, Redis], Awaitable[None]]


def run(url: str, test: Test) -> None:
    async def go() -> None:
        async with redis_at(url) as client:
            await test(WaitingRooms(client.execute_command), client)

    asyncio.run(go())


async def now_ms(rooms: WaitingRooms, event: int) -> int:
    room, _ = await rooms.look(event, ())
    assert room is not None
    return room.now_ms


async def committed(rooms: WaitingRooms, state: RoomState = RoomState.OPEN) -> tuple[int, Lots]:
    """Return the event of a room that opens in an hour, and its lots."""
    event = next(EVENTS)
    room = await set_up(rooms, event, state=state, cap=100)
    lots = Lots(SEED, room.now_ms + HOUR_MS)
    assert (await rooms.prepare_lots(event, lots.opens_ms))[0] is Prepared.DONE
    assert await rooms.commit_lots(event, lots)
    return event, lots


async def have_it_be_time(client: Redis, event: int, lots: Lots) -> None:
    """Have a room's opening be an hour ago, and its lots with it; say who else stood there."""
    room, line, _, _, turns, *_ = waiting_room(event)
    past = Lots(SEED, lots.opens_ms - 2 * HOUR_MS)
    await client.hset(room, "opens", str(past.opens_ms))
    members: Any = await client.zrange(line, 0, -1)
    for name in (member.decode() for member in members):
        await client.zadd(line, {name: past.turn_of(name)})
        await client.hset(turns, name, str(past.turn_of(name)))


async def in_line(client: Redis, event: int) -> list[str]:
    members: Any = await client.zrange(waiting_room(event)[1], 0, -1)
    return [member.decode() for member in members]


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1], DRAWN[::-1]])
def test_d31_one_seed_gives_one_order_whoever_came_first(
    redis_url: str, names: Sequence[str]
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event, lots = await committed(rooms)
        for name in names:
            entered = await rooms.enter(event, name, lots=lots)
            assert (entered.entry, entered.place.turn) == (Entry.NEW, lots.turn_of(name))
            # Coming again changes nothing.
            assert (await rooms.enter(event, name, lots=lots)).entry is Entry.WAITS
        assert await in_line(client, event) == DRAWN
        # Nobody is let in before everybody can reckon who is next.
        assert await rooms.promote(event, "p-1", 5) == ()
        assert await rooms.draw_lots(event) is None
        await have_it_be_time(client, event, lots)
        assert await rooms.promote(event, "p-2", 5) == ()
        drawn = await rooms.draw_lots(event)
        assert drawn is not None
        assert (drawn.commitment, drawn.is_shown) == (lots.commitment, False)
        assert await rooms.promote(event, "p-3", 5) == ()
        # By whom else it is done changes nothing.
        await rooms.draw_lots(event)
        await rooms.show_lots(event)
        await rooms.show_lots(event)
        late = await rooms.enter(event, "late", lots=lots)
        assert (late.entry, late.place.rank) == (Entry.NEW, len(names))
        assert not is_by_lot(late.place.turn, lots.opens_ms)
        promoted = await rooms.promote(event, "p-4", 50)
        assert [turn.user_id for turn in promoted] == [*DRAWN, "late"]

    run(redis_url, test)


def test_d31_nobody_enters_before_there_is_a_commitment_and_none_is_made_after(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = next(EVENTS)
        assert await rooms.prepare_lots(event, 1) == (Prepared.HAS_TURNS, None)
        await set_up(rooms, event, state=RoomState.OPEN, cap=9)
        now = await now_ms(rooms, event)
        for opens_ms in (now - 1, now + OPENS_MAX_MS + 60_000):
            assert (await rooms.prepare_lots(event, opens_ms))[0] is Prepared.NO_TIME
        first, other = Lots(SEED, now + HOUR_MS), Lots(SEED[::-1], now + 2 * HOUR_MS)
        await rooms.prepare_lots(event, first.opens_ms)
        assert (await rooms.enter(event, "ann", lots=first)).entry is Entry.CLOSED
        # It is moved before anybody has entered: what was asked before has no effect any more.
        await rooms.prepare_lots(event, other.opens_ms)
        assert not await rooms.commit_lots(event, first)
        assert await rooms.commit_lots(event, other)
        assert (await rooms.prepare_lots(event, other.opens_ms))[0] is Prepared.WAS_DONE
        assert not await rooms.commit_lots(event, Lots(SEED, other.opens_ms))
        for lots in (NO_LOTS, first):
            asked = await rooms.enter(event, "ann", lots=lots)
            assert asked.entry is Entry.NEEDS_LOT
            assert asked.room is not None
            assert (asked.room.opens_ms, asked.room.commitment) == (
                other.opens_ms,
                other.commitment,
            )
        assert not await in_line(client, event)
        await rooms.enter(event, "ann", lots=other)
        assert (await rooms.prepare_lots(event, first.opens_ms))[0] is Prepared.HAS_TURNS
        assert await in_line(client, event) == ["ann"]

    run(redis_url, test)


def test_d31_a_lot_is_given_once_and_none_from_the_opening_on(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event, lots = await committed(rooms)
        for name in ("ann", "ben"):
            await rooms.enter(event, name, lots=lots)
        await rooms.leave(event, "ann")
        # Behind all lots, also those that are given out later.
        again = await rooms.enter(event, "ann", lots=lots)
        assert again.place.turn >= first_turn(lots.opens_ms)
        await rooms.enter(event, "cy", lots=lots)
        assert (await in_line(client, event))[-1] == "ann"
        # Who was given up has the lot still: nothing was given back.
        await client.zadd(waiting_room(event)[2], {"cy": 1}, xx=True)
        assert (await rooms.reap(event)).waiting == 1
        back = await rooms.enter(event, "cy", lots=lots)
        assert back.place.turn == lots.turn_of("cy")
        # A clock that is set back after the lots were drawn gives nobody another.
        await client.hset(waiting_room(event)[0], "opens", "1000")
        await rooms.draw_lots(event)
        await client.hset(waiting_room(event)[0], "opens", str(lots.opens_ms))
        late = await rooms.enter(event, "dan", lots=lots)
        assert late.place.turn > again.place.turn

    run(redis_url, test)


def test_d31_who_waits_for_an_opening_asks_rarely_and_is_waited_for_as_long(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event, lots = await committed(rooms)
        entered = await rooms.enter(event, "ann", lots=lots)
        assert entered.room is not None
        assert entered.room.is_pre_queue
        pause_ms = poll_after_ms(entered.place, entered.room)
        seen: Any = await client.zscore(waiting_room(event)[2], "ann")
        assert seen >= entered.room.now_ms + 2 * pause_ms
        assert pause_ms == 30_000

    run(redis_url, test)


@pytest.mark.parametrize("is_shown", [False, True])
def test_d31_u6_a_line_by_lot_is_put_back_as_it_was(redis_url: str, is_shown: bool) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event, lots = await committed(rooms)
        if is_shown:
            lots = Lots(SEED, lots.opens_ms - 2 * HOUR_MS)
        told = [Fact(name, lots.turn_of(name), Step.GIVEN) for name in NAMES]
        await client.delete(*waiting_room(event))
        opening = Opening(lots.opens_ms, lots.commitment, SEED if is_shown else b"")
        life = await rooms.life(event)
        put = await rooms.restore_all(event, line_of(told), opening, life)
        assert put == len(NAMES)
        assert await rooms.restore_all(event, line_of(told), opening, life) == 0
        room = await set_up(rooms, event, state=RoomState.OPEN, cap=100)
        assert (room.opens_ms, room.commitment, room.is_shown) == (
            lots.opens_ms,
            lots.commitment,
            is_shown,
        )
        late = await rooms.enter(event, "late", lots=lots)
        assert is_by_lot(late.place.turn, lots.opens_ms) is not is_shown
        await rooms.leave(event, "late")
        assert await in_line(client, event) == DRAWN
        promoted = await rooms.promote(event, "p-1", 3)
        assert [turn.user_id for turn in promoted] == (DRAWN[:3] if is_shown else [])

    run(redis_url, test)


@pytest.mark.parametrize("is_time", [False, True])
def test_d31_who_proves_to_have_had_a_lot_has_it_after_redis_has_lost_it(
    redis_url: str, is_time: bool
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event, lots = await committed(rooms)
        if is_time:
            await have_it_be_time(client, event, lots)
            lots = Lots(SEED, lots.opens_ms - 2 * HOUR_MS)
        proof = undrawn_turn(lots.opens_ms)
        unknown = await rooms.enter(event, "ann", proof)
        assert unknown.entry is Entry.NEEDS_LOT
        entered = await rooms.enter(event, "ann", proof, lots=lots)
        assert (entered.entry, entered.place.turn) == (Entry.RESTORED, lots.turn_of("ann"))
        assert entered.place.standing is Standing.WAITING
        # Once it is used up it proves nothing.
        await rooms.leave(event, "ann")
        again = await rooms.enter(event, "ann", proof, lots=lots)
        assert again.entry is Entry.NEW
        assert again.place.turn >= first_turn(lots.opens_ms)

    run(redis_url, test)
