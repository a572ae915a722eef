"""A waiting room at a real Redis: one turn each, in order, never more than the cap (Q01-Q25, I22).

Nobody waits for time: what has to end is ended by hand, and the clock is Redis' own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from support.redis.events import EVENTS
from support.redis.locking import redis_at, twice
from support.waiting.model import ModelOfRoom
from support.waiting.proving import a_second_after, set_up

from infra.stack.redis_server import RedisServer
from state.domain.waiting.admission import (
    ADMITTED_MS,
    NOT_OPEN_PATIENCE_MS,
    PROMOTED_MAX,
    SHOW_UP_MS,
    SILENT_MS,
    STALE_MS,
    TURN_MAX,
    TURNS_PER_S,
    Room,
    RoomState,
    Standing,
)
from state.domain.waiting.line import Fact, Stands, Step, line_of
from state.redis.client import cluster_of
from state.redis.keys import waiting_room
from state.redis.waiting.rooms import Entry, RoomUnreadable, WaitingRooms

USERS = ("ann", "Ænne", "ben", "cy", "{x}:*", "0")
PROMOTIONS = ("p-0", "p-1", "p-2", "p-3")
MANY = 10_000

Test = Callable[[WaitingRooms, Redis], Awaitable[None]]


def run(url: str, test: Test) -> None:
    async def go() -> None:
        async with redis_at(url) as client:
            await test(WaitingRooms(client.execute_command), client)

    asyncio.run(go())


async def opened(rooms: WaitingRooms, cap: int = MANY, **changes: Any) -> int:
    """Return the event of a new room."""
    event = next(EVENTS)
    await set_up(rooms, event, state=RoomState.OPEN, cap=cap, **changes)
    return event


async def filled(rooms: WaitingRooms, event: int, users: int) -> list[str]:
    """Have so many enter one after the other; return their names."""
    names = [f"user-{at}" for at in range(users)]
    for name in names:
        assert (await rooms.enter(event, name)).entry is Entry.NEW
    return names


async def room_of(rooms: WaitingRooms, event: int) -> Room:
    room, _ = await rooms.look(event, ())
    assert room is not None
    return room


async def standing(rooms: WaitingRooms, event: int, user: str) -> Standing:
    _, (place,) = await rooms.look(event, [user])
    return place.standing


def named(members: Any) -> list[str]:
    return [member.decode() for member in members]


async def names_of(turns: Any) -> list[str]:
    return [turn.user_id for turn in await turns]


async def silence(client: Redis, event: int, user: str) -> None:
    """Have a user who waits be unheard of for too long."""
    await client.zadd(waiting_room(event)[2], {user: 1}, xx=True)


async def lapse(client: Redis, event: int, user: str) -> None:
    """Have a user's admission be over."""
    await client.zadd(waiting_room(event)[3], {user: 1}, xx=True)


async def kept(client: Redis, event: int) -> dict[str, Any]:
    """Return what lies in Redis of a room, in the model's words."""
    room, line, seen, active, turns, last, *_ = waiting_room(event)
    fields: Any = await client.hmget(room, ["turn", "joined", "left", "expired", "done"])
    in_line: Any = await client.zrange(line, 0, -1, withscores=True)
    known: Any = await client.hgetall(turns)
    return {
        "counts": [int(field) for field in fields],
        "waiting": [(user.decode(), int(turn)) for user, turn in in_line],
        "seen": set(named(await client.zrange(seen, 0, -1))),
        "admitted": set(named(await client.zrange(active, 0, -1))),
        "last": set(named(await client.hkeys(last))),
        "known": {user.decode(): int(turn) for user, turn in known.items()},
    }


def expected(model: ModelOfRoom) -> dict[str, Any]:
    return {
        "counts": [model.next_turn, model.joined, model.left, model.expired, model.done],
        "waiting": [(user, model.waiting[user]) for user in model.line()],
        "seen": set(model.waiting),
        "admitted": set(model.admitted),
        "last": set(model.admitted),
        "known": model.known,
    }


# --- against a model -------------------------------------------------------------------------

some_user = st.sampled_from(USERS)
steps = st.one_of(
    st.tuples(st.just("enter"), some_user, st.booleans()),
    st.tuples(st.sampled_from(["look", "leave", "silence", "lapse"]), some_user),
    st.tuples(
        st.just("promote"), st.sampled_from(PROMOTIONS), st.integers(0, 4), st.integers(-1, 4)
    ),
    st.tuples(st.just("reap")),
    st.tuples(st.just("configure"), st.sampled_from(RoomState), st.integers(0, 4)),
    st.tuples(st.just("lose")),
)


class Walk:
    """The same steps at a room and at its model."""

    def __init__(self, rooms: WaitingRooms, client: Redis, *, answers_count: bool) -> None:
        self.rooms = rooms
        self.client = client
        self.event = next(EVENTS)
        self.model = ModelOfRoom()
        self.shown: dict[str, int] = {}
        self.answers_count = answers_count

    async def begin(self, state: RoomState, cap: int) -> None:
        await set_up(self.rooms, self.event, state=state, cap=cap)
        turn: Any = await self.client.hget(waiting_room(self.event)[0], "turn")
        if not self.model.next_turn:
            self.model.next_turn = int(turn)
        self.model.state, self.model.cap = state, cap

    async def step(self, name: str, *told: Any) -> None:
        await getattr(self, f"_{name}")(*told)
        assert await kept(self.client, self.event) == expected(self.model)
        room = await room_of(self.rooms, self.event)
        ended = room.left + room.expired + room.done
        assert room.joined == room.waiting + room.admitted + ended
        assert not set(self.model.waiting) & set(self.model.admitted)

    def _same(self, told: Any, of_model: Any) -> None:
        assert not self.answers_count or told == of_model

    async def _enter(self, user: str, is_shown: bool) -> None:
        proved = self.shown.get(user, 0) if is_shown else 0
        entered = await self.rooms.enter(self.event, user, proved)
        self._same(entered.entry, self.model.enter(user, proved, entered.place.turn))
        if entered.place.standing is Standing.WAITING:
            self.shown[user] = entered.place.turn
            assert entered.place.rank == self.model.line().index(user)

    async def _look(self, user: str) -> None:
        assert await standing(self.rooms, self.event, user) is self.model.look(user)

    async def _leave(self, user: str) -> None:
        place = await self.rooms.leave(self.event, user)
        self._same(place.standing, self.model.leave(user))

    async def _silence(self, user: str) -> None:
        await silence(self.client, self.event, user)
        self.model.silent |= {user} & set(self.model.waiting)

    async def _lapse(self, user: str) -> None:
        await lapse(self.client, self.event, user)
        self.model.lapsed |= {user} & set(self.model.admitted)

    async def _promote(self, promotion_id: str, slots: int, most: int) -> None:
        before = len(self.model.admitted)
        promoted = await self.rooms.promote(self.event, promotion_id, slots, most)
        assert [tuple(turn) for turn in promoted] == self.model.promote(promotion_id, slots, most)
        assert len(self.model.admitted) <= max(before, self.model.cap)

    async def _reap(self) -> None:
        reaped = await self.rooms.reap(self.event)
        told = reaped.waiting, {turn.user_id for turn in reaped.admitted}
        self._same(told, self.model.reap())

    async def _configure(self, state: RoomState, cap: int) -> None:
        await self.begin(state, cap)

    async def _lose(self) -> None:
        """F66: Redis comes back empty, and the room is opened again."""
        async for key in self.client.scan_iter(f"seatstream:waiting:{{{self.event}}}:*"):
            await self.client.delete(key)
        state, cap, former = self.model.state, self.model.cap, self.model.next_turn
        self.model = ModelOfRoom()
        await set_up(self.rooms, self.event, state=state, cap=cap)
        await a_second_after(self.client, self.event, former)
        await self.begin(state, cap)


@pytest.mark.parametrize("sent", [1, 2])
@given(st.lists(steps, max_size=30))
def test_every_answer_and_what_is_left_are_those_of_a_model_of_a_room(
    redis_url: str, sent: int, walk: list[tuple[Any, ...]]
) -> None:
    """Q03, Q04, Q06, Q09, I22; sent twice, as retries are, each step has the effect of once."""

    async def test(rooms: WaitingRooms, client: Redis) -> None:
        if sent > 1:
            rooms = WaitingRooms(twice(client.execute_command))
        walking = Walk(rooms, client, answers_count=sent == 1)
        await walking.begin(RoomState.OPEN, 3)
        for one in walk:
            await walking.step(*one)

    run(redis_url, test)


class Rebuilt(Walk):
    """The same, where all is written down, and a lost Redis is made anew from that."""

    def __init__(self, rooms: WaitingRooms, client: Redis) -> None:
        super().__init__(rooms, client, answers_count=True)
        self.told: set[Fact] = set()
        self.let_in: list[tuple[str, int]] = []

    async def step(self, name: str, *told: Any) -> None:
        await super().step(name, *told)
        async for facts in self.rooms.unsaid(self.event):
            self.told |= set(facts)
            await self.rooms.said(self.event, facts)
        _, places = await self.rooms.look(self.event, USERS)
        assert not any(place.is_unsaid for place in places)

    async def _promote(self, promotion_id: str, slots: int, most: int) -> None:
        known = set(self.model.answers)
        await super()._promote(promotion_id, slots, most)
        if promotion_id not in known:
            self.let_in += self.model.answers[promotion_id]
        # No turn lets anybody in twice, whatever was lost (I22).
        assert len(self.let_in) == len(set(self.let_in))

    async def _lose(self) -> None:
        former = self.model
        async for key in self.client.scan_iter(f"seatstream:waiting:{{{self.event}}}:*"):
            await self.client.delete(key)
        line = line_of(self.told)
        life = await self.rooms.life(self.event)
        assert await self.rooms.restore(self.event, line, life=life) == len(line)
        # Stopped halfway and run again it does nothing more.
        assert await self.rooms.restore(self.event, line) == 0
        found = await kept(self.client, self.event)
        waiting = dict(found["waiting"])
        assert former.waiting.items() <= waiting.items()
        assert found["admitted"] == set(former.admitted)
        # Who had been given up in silence stands there again, at a turn that was never used up.
        for user in waiting.keys() - former.waiting.keys():
            assert former.known[user] == waiting[user] - 1
        self.model = ModelOfRoom(
            next_turn=found["counts"][0],
            state=RoomState.CLOSED,
            waiting=waiting,
            admitted=dict(former.admitted),
            known=found["known"],
            joined=len(waiting) + len(former.admitted),
        )


@given(st.lists(steps, max_size=30))
def test_d36_u6_a_line_that_redis_lost_is_the_same_once_it_is_put_back(
    redis_url: str, walk: list[tuple[Any, ...]]
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        walking = Rebuilt(rooms, client)
        await walking.begin(RoomState.OPEN, 3)
        for one in walk:
            await walking.step(*one)

    run(redis_url, test)


def test_u6_nobody_enters_while_a_line_is_put_back_not_even_by_a_turn_that_was_used_up(
    redis_url: str,
) -> None:
    """A part of the line is there, and the rest is not: the room is, once all of it is."""

    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = next(EVENTS)
        line = [Stands("ann", 1, Step.GIVEN), Stands("ben", 2, Step.ENDED)]
        assert await rooms.restore(event, line[:1], is_last=False) == 1
        for user, turn in (("ben", 2), ("cy", 0)):
            assert (await rooms.enter(event, user, turn)).entry is Entry.NO_ROOM
        assert (await rooms.look(event, ()))[0] is None
        assert not await rooms.promote(event, "p-1", 9)
        # Stopped there, and begun anew.
        assert await rooms.restore(event, line[:1], is_last=False) == 0
        assert await rooms.restore(event, line[1:]) == 1
        assert (await room_of(rooms, event)).state is RoomState.CLOSED
        assert (await rooms.enter(event, "ben", 2)).entry is Entry.CLOSED
        await set_up(rooms, event, state=RoomState.OPEN, cap=9)
        assert (await rooms.enter(event, "ben", 2)).place.rank == 1

    run(redis_url, test)


def test_u6_a_room_that_was_put_back_by_half_may_be_set_up(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = next(EVENTS)
        await rooms.restore(event, [Stands("ann", 1, Step.GIVEN)], is_last=False)
        assert (await set_up(rooms, event)).state is RoomState.PAUSED

    run(redis_url, test)


def test_u6_a_line_that_is_put_back_moves_nobody_who_stands_there(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        [ann, ben] = await filled(rooms, event, 2)
        turn = (await rooms.enter(event, ben)).place.turn
        line = [
            Stands(ann, 1, Step.GIVEN),
            Stands("cy", 2, Step.GIVEN),
            Stands("in", 3, Step.ADMITTED, 2**45),
            Stands("over", 4, Step.ADMITTED, 1),
            Stands(ben, turn - 1, Step.ADMITTED, 2**45),
        ]
        assert await rooms.restore(event, line) == 3
        room, places = await rooms.look(event, [ann, ben, "cy", "in", "over"])
        assert [place.standing.name for place in places] == [
            "WAITING", "WAITING", "WAITING", "ADMITTED", "NONE",
        ]  # fmt: skip
        assert [place.rank for place in places[:3]] == [1, 2, 0]
        assert room is not None
        assert room.is_open
        assert room.joined == room.waiting + room.admitted == 4

    run(redis_url, test)


def test_f66_u6_who_stands_further_back_in_an_old_file_is_moved_on_to_where_they_were(
    redis_url: str,
) -> None:
    """Redis came back with a file from before: nobody is let in by a turn that was used up."""

    async def test(rooms: WaitingRooms, _: Redis) -> None:
        event = await opened(rooms)
        names = await filled(rooms, event, 6)
        turns = [(await rooms.enter(event, name)).place.turn for name in names]
        await rooms.promote(event, "p-1", 2)
        line = [
            Stands(names[0], turns[0], Step.ENDED),
            Stands(names[1], turns[5] + 1, Step.GIVEN),
            Stands(names[2], turns[2], Step.ADMITTED, 2**45),
            Stands(names[3], turns[3], Step.ENDED),
            Stands(names[4], turns[4], Step.ADMITTED, 1),
            Stands(names[5], turns[5], Step.GIVEN),
        ]
        assert await rooms.restore(event, line) == 5
        room, places = await rooms.look(event, names)
        assert [place.standing.name for place in places] == [
            "NONE", "WAITING", "ADMITTED", "NONE", "NONE", "WAITING",
        ]  # fmt: skip
        assert [place.rank for place in places] == [0, 1, 0, 0, 0, 0]
        assert room is not None
        ended = room.left + room.expired + room.done
        assert room.joined == room.waiting + room.admitted + ended
        assert (await rooms.enter(event, names[3], turns[3])).entry is Entry.NEW
        assert await rooms.restore(event, line) == 0

    run(redis_url, test)


# --- one after the other ---------------------------------------------------------------------


def test_q04_q05_whoever_enters_again_or_in_two_tabs_keeps_one_turn(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, _: Redis) -> None:
        event = await opened(rooms)
        tabs = await asyncio.gather(*(rooms.enter(event, "ann") for _ in range(20)))
        assert sorted(tab.entry for tab in tabs) == [Entry.NEW] + [Entry.WAITS] * 19
        assert len({tab.place for tab in tabs}) == 1
        await rooms.enter(event, "ben")
        again = await rooms.enter(event, "ann")
        assert (again.entry, again.place.rank) == (Entry.WAITS, 0)
        assert (await room_of(rooms, event)).waiting == 2

    run(redis_url, test)


def test_q03_the_same_promotion_twice_is_the_same_list_and_moves_nobody_else(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, _: Redis) -> None:
        event = await opened(rooms)
        names = await filled(rooms, event, 6)
        answers = await asyncio.gather(*(rooms.promote(event, "p-1", 3) for _ in range(8)))
        assert {tuple(turn.user_id for turn in answer) for answer in answers} == {tuple(names[:3])}
        assert (await room_of(rooms, event)).admitted == 3
        # Also the empty one: who asks late is told what was done, not served anew.
        empty = await opened(rooms)
        assert await rooms.promote(empty, "p-1", 3) == ()
        await rooms.enter(empty, "ann")
        assert await rooms.promote(empty, "p-1", 3) == ()

    run(redis_url, test)


def test_q06_a_promotion_passes_over_who_has_left(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, _: Redis) -> None:
        event = await opened(rooms)
        names = await filled(rooms, event, 4)
        for name in names[:2]:
            assert (await rooms.leave(event, name)).standing is Standing.WAITING
        assert await names_of(rooms.promote(event, "p-1", 2)) == names[2:]
        # Whoever comes back after that waits at the end.
        assert (await rooms.enter(event, names[0])).entry is Entry.NEW

    run(redis_url, test)


def test_s000_14_only_who_was_admitted_gives_a_slot_back(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, _: Redis) -> None:
        event = await opened(rooms, cap=1)
        names = await filled(rooms, event, 4)
        assert await names_of(rooms.promote(event, "p-1", 9)) == names[:1]
        await rooms.leave(event, names[3])
        assert await rooms.promote(event, "p-2", 9) == ()
        assert (await rooms.leave(event, names[0])).standing is Standing.ADMITTED
        assert (await rooms.leave(event, names[0])).standing is Standing.NONE
        assert await names_of(rooms.promote(event, "p-3", 9)) == names[1:2]

    run(redis_url, test)


def test_q20_a_cap_of_nothing_admits_nobody(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, _: Redis) -> None:
        event = await opened(rooms, cap=0)
        await filled(rooms, event, 2)
        assert await rooms.promote(event, "p-1", 9) == ()
        assert (await room_of(rooms, event)).waiting == 2

    run(redis_url, test)


def test_a_cap_lowered_below_those_who_are_in_throws_nobody_out(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, _: Redis) -> None:
        event = await opened(rooms, cap=4)
        names = await filled(rooms, event, 6)
        await rooms.promote(event, "p-1", 9)
        await set_up(rooms, event, cap=2)
        assert await rooms.promote(event, "p-2", 9) == ()
        assert (await room_of(rooms, event)).admitted == 4
        for name in names[:2]:
            await rooms.leave(event, name)
        assert await rooms.promote(event, "p-3", 9) == ()
        await rooms.leave(event, names[2])
        assert await names_of(rooms.promote(event, "p-4", 9)) == names[4:5]

    run(redis_url, test)


def test_u6_no_more_are_admitted_than_can_buy_and_nobody_once_all_is_sold(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, _: Redis) -> None:
        event = await opened(rooms, cap=10)
        names = await filled(rooms, event, 5)
        assert await names_of(rooms.promote(event, "p-1", 9, most=2)) == names[:2]
        assert await rooms.promote(event, "p-2", 9, most=2) == ()
        assert await rooms.promote(event, "p-3", 9, most=0) == ()
        room = await room_of(rooms, event)
        assert (room.is_sold_out, room.slots, room.waiting) == (True, 0, 3)
        assert await names_of(rooms.promote(event, "p-4", 9, most=3)) == names[2:3]
        assert not (await room_of(rooms, event)).is_sold_out

    run(redis_url, test)


@pytest.mark.parametrize("state", [RoomState.PAUSED, RoomState.CLOSED])
def test_a_room_that_is_not_open_promotes_nobody_and_keeps_every_place(
    redis_url: str, state: RoomState
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        names = await filled(rooms, event, 3)
        await set_up(rooms, event, state=state)
        assert await rooms.promote(event, "p-1", 9) == ()
        came = await rooms.enter(event, "late")
        assert came.entry is (Entry.NEW if state is RoomState.PAUSED else Entry.CLOSED)
        _, places = await rooms.look(event, names)
        assert [place.rank for place in places] == [0, 1, 2]
        # Asked to come back no sooner than in half a minute, nobody is given up for it.
        now_ms = (await room_of(rooms, event)).now_ms
        heard: Any = await client.zscore(waiting_room(event)[2], names[0])
        assert now_ms + STALE_MS < heard <= now_ms + NOT_OPEN_PATIENCE_MS

    run(redis_url, test)


def test_nobody_enters_where_there_is_no_room(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = next(EVENTS)
        entered = await rooms.enter(event, "ann", proved_turn=7)
        assert (entered.entry, entered.room) == (Entry.NO_ROOM, None)
        assert await rooms.look(event, ["ann"]) == (None, (entered.place,))
        assert (await rooms.leave(event, "ann")).standing is Standing.NONE
        assert await rooms.reap(event) == (0, (), None, "")
        assert not await client.exists(*waiting_room(event))

    run(redis_url, test)


# --- time ------------------------------------------------------------------------------------


def test_q08_d32_who_was_promoted_shows_up_in_time_and_is_kept_while_heard_of(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        await filled(rooms, event, 1)
        await rooms.promote(event, "p-1", 1)
        key, now_ms = waiting_room(event)[3], (await room_of(rooms, event)).now_ms
        ends: Any = await client.zscore(key, "user-0")
        assert now_ms < ends <= now_ms + SHOW_UP_MS
        room, (place,) = await rooms.look(event, ["user-0"])
        assert room is not None
        assert place.ends_ms == room.now_ms + SILENT_MS > ends
        assert now_ms < place.last_ms <= now_ms + ADMITTED_MS
        # No sign of life leads beyond the last moment.
        last_ms = room.now_ms + 20_000
        await client.hset(waiting_room(event)[5], "user-0", str(last_ms))
        await client.zadd(key, {"user-0": room.now_ms + 10_000})
        _, (place,) = await rooms.look(event, ["user-0"])
        assert place.ends_ms == last_ms
        # And none cuts an admission short.
        await client.hset(waiting_room(event)[5], "user-0", str(room.now_ms + 15_000))
        await rooms.look(event, ["user-0"])
        assert await client.zscore(key, "user-0") == last_ms

    run(redis_url, test)


def test_q07_d32_who_is_not_heard_of_makes_room_once(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms, cap=1)
        names = await filled(rooms, event, 3)
        (first,) = await rooms.promote(event, "p-1", 9)
        await lapse(client, event, names[0])
        # It is over at once for whose it was, and for the others once somebody has looked.
        assert await standing(rooms, event, names[0]) is Standing.NONE
        assert await rooms.promote(event, "p-2", 9) == ()
        assert (await rooms.reap(event))[:2] == (0, (first,))
        assert (await rooms.reap(event))[:2] == (0, ())
        assert await names_of(rooms.promote(event, "p-3", 9)) == names[1:2]
        # A turn that was used up does not count, whoever shows it.
        again = await rooms.enter(event, names[0], proved_turn=first.turn)
        assert (again.entry, again.place.rank) == (Entry.NEW, 1)

    run(redis_url, test)


def test_d32_who_comes_back_after_the_time_waits_at_the_end_though_nobody_has_looked(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms, cap=1)
        names = await filled(rooms, event, 2)
        await rooms.promote(event, "p-1", 9)
        await lapse(client, event, names[0])
        again = await rooms.enter(event, names[0])
        assert (again.entry, again.place.rank) == (Entry.NEW, 1)
        assert await names_of(rooms.promote(event, "p-2", 9)) == names[1:]

    run(redis_url, test)


def test_s000_17_who_waits_and_does_not_ask_leaves_every_set_and_keeps_what_was_shown(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        names = await filled(rooms, event, 3)
        turn = (await rooms.enter(event, names[0])).place.turn
        await silence(client, event, names[0])
        await silence(client, event, names[1])
        assert await standing(rooms, event, names[1]) is Standing.WAITING
        assert (await rooms.reap(event))[:2] == (1, ())
        known = (await kept(client, event))["known"]
        assert known[names[0]] < turn
        # Who comes back with the turn has the place; who comes back without, the last.
        back = await rooms.enter(event, names[0], proved_turn=turn)
        assert (back.entry, back.place.rank, back.place.turn) == (Entry.RESTORED, 0, turn)

    run(redis_url, test)


@pytest.mark.parametrize("is_promoted", [False, True])
def test_q06_a_turn_that_was_used_up_stays_so_though_a_later_one_was_given_up(
    redis_url: str, is_promoted: bool
) -> None:
    """A turn is let in once: no silence makes one good again that was spent before."""

    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        first, *_ = names = await filled(rooms, event, 2)
        turns = [(await rooms.enter(event, first)).place.turn]
        if is_promoted:
            assert await names_of(rooms.promote(event, "p-1", 1)) == [first]
        await rooms.leave(event, first)
        for end in ("reap", "promote"):
            turns.append((await rooms.enter(event, first)).place.turn)
            await silence(client, event, first)
            if end == "reap":
                await rooms.reap(event)
            else:
                await rooms.promote(event, "p-2", 9)
            for used in turns[:-1]:
                again = await rooms.enter(event, first, proved_turn=used)
                assert again.entry is Entry.NEW
                assert again.place.turn > turns[-1]
                turns.append(again.place.turn)
                await rooms.leave(event, first)
        assert len(names) == 2

    run(redis_url, test)


def test_s000_9_a_promotion_removes_who_cannot_be_promoted_and_counts_the_others(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        names = await filled(rooms, event, 5)
        line, _, active = waiting_room(event)[1:4]
        now_ms = (await room_of(rooms, event)).now_ms
        # One is in already, one stands at a turn that was never given out, one is gone.
        await client.zadd(active, {names[0]: now_ms + 600_000})
        await client.zadd(line, {"nobody": 1})
        await silence(client, event, names[1])
        assert await names_of(rooms.promote(event, "p-1", 4)) == names[2:3]
        assert named(await client.zrange(line, 0, -1)) == names[3:]
        assert (await room_of(rooms, event)).admitted == 2

    run(redis_url, test)


@pytest.mark.parametrize(("per_minute", "expected"), [(1, 1), (60, 1), (600, 10), (0, 50)])
def test_d34_no_more_are_promoted_than_a_minute_allows(
    redis_url: str, per_minute: int, expected: int
) -> None:
    """What a second brings at most, at once; the rest follows with time, and not with attempts."""

    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms, per_minute=per_minute)
        await filled(rooms, event, 60)
        assert len(await rooms.promote(event, "p-1", 50)) == expected
        if not per_minute:
            return
        key = waiting_room(event)[0]
        due: Any = await client.hget(key, "next")
        # A minute later, as far as the rate knows: never a minute's worth at once.
        await client.hset(key, "next", str(float(due) - 60_000))
        assert len(await rooms.promote(event, "p-2", 50)) == expected

    run(redis_url, test)


def test_d37_the_pace_is_that_of_the_last_minute(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        await filled(rooms, event, 30)
        assert (await room_of(rooms, event)).pace == 0
        await rooms.promote(event, "p-1", 30)
        assert 0.4 < (await room_of(rooms, event)).pace <= 0.5
        key = waiting_room(event)[0]
        paced: Any = await client.hget(key, "paced")
        await client.hset(key, "paced", str(int(paced) - 600_000))
        assert (await room_of(rooms, event)).pace < 0.001

    run(redis_url, test)


def test_q11_a_turn_is_never_behind_the_second_that_it_is_and_never_goes_back(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        key = waiting_room(event)[0]
        # A server that has missed all that was given out for an hour.
        second, _ = await client.time()
        await client.hset(key, "turn", str((second - 3_600) * TURNS_PER_S))
        first = (await rooms.enter(event, "ann")).place.turn
        assert first >= second * TURNS_PER_S
        # A clock that is an hour behind, and one that ran far ahead and was set right.
        ahead = (second + 3_600) * TURNS_PER_S
        await client.hset(key, "turn", str(ahead))
        turns = [(await rooms.enter(event, f"user-{at}")).place.turn for at in range(3)]
        assert turns == [ahead + 1, ahead + 2, ahead + 3]

    run(redis_url, test)


# --- what cannot be ----------------------------------------------------------------------------


def test_q17_no_turn_is_given_out_beyond_what_a_score_can_tell_apart(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        key = waiting_room(event)[0]
        await client.hset(key, "turn", str(TURN_MAX - 2))
        entered = [(await rooms.enter(event, f"u{at}")) for at in range(4)]
        assert [one.entry for one in entered] == [Entry.NEW, Entry.NEW, Entry.FULL, Entry.FULL]
        assert [one.place.turn for one in entered[:2]] == [TURN_MAX - 1, TURN_MAX]
        assert (await room_of(rooms, event)).waiting == 2
        # None is taken from outside either.
        shown = await rooms.enter(event, "late", proved_turn=TURN_MAX + 1)
        assert shown.entry is Entry.FULL

    run(redis_url, test)


@pytest.mark.parametrize("user", ["", "x" * 65, "x" * 10_240, "a\nb", "\ud800"])
def test_q18_a_name_that_nobody_waits_under_never_reaches_redis(redis_url: str, user: str) -> None:
    async def test(rooms: WaitingRooms, _: Redis) -> None:
        event = await opened(rooms)
        with pytest.raises(ValueError, match="nobody waits"):
            await rooms.enter(event, user)
        assert (await room_of(rooms, event)).joined == 0

    run(redis_url, test)


async def enter_and_promote(rooms: WaitingRooms, event: int) -> None:
    await rooms.enter(event, "ann")
    await rooms.promote(event, "p-1", 1)


def test_b80_keys_of_another_type_trouble_their_own_event_alone(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        good = await opened(rooms)
        for at in range(6):
            bad = await opened(rooms)
            key = waiting_room(bad)[at]
            await client.delete(key)
            await client.set(key, "somebody else's", px=60_000)
            with pytest.raises(ResponseError, match="WRONGTYPE"):
                await enter_and_promote(rooms, bad)
        odd = await opened(rooms)
        await client.hset(waiting_room(odd)[0], "state", "odd")
        with pytest.raises(RoomUnreadable):
            await rooms.look(odd, ["ann"])
        assert await rooms.promote(odd, "p-1", 1) == ()
        strange = await opened(rooms)
        await rooms.enter(strange, "ann")
        await client.hset(waiting_room(strange)[4], "ann", "strange")
        with pytest.raises(RoomUnreadable):
            await rooms.look(strange, ["ann"])
        assert (await rooms.enter(good, "ann")).entry is Entry.NEW

    run(redis_url, test)


def test_s000_12_every_key_of_a_room_has_an_end_and_one_hash_tag(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        await filled(rooms, event, 3)
        await rooms.promote(event, "p-1", 1)
        names = [name async for name in client.scan_iter(f"seatstream:waiting:{{{event}}}:*")]
        assert len(names) == len(waiting_room(event)) + 1
        for name in names:
            assert 0 < await client.pttl(name), name

    run(redis_url, test)


def test_f71_a_server_that_forgot_the_scripts_is_told_them_again(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        await client.script_flush()
        await rooms.enter(event, "ann")
        await client.script_flush()
        assert await names_of(rooms.promote(event, "p-1", 1)) == ["ann"]

    run(redis_url, test)


def test_s000_11_the_rooms_that_there_are_are_found_and_what_is_none_is_passed_over(
    redis_url: str,
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        made = {await opened(rooms) for _ in range(3)}
        await client.sadd("seatstream:waiting-rooms", "no number")
        assert made <= set(await rooms.events())

    run(redis_url, test)


def test_a_room_that_has_ended_is_taken_from_those_that_there_are(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        gone, there = await opened(rooms), await opened(rooms)
        await client.delete(*waiting_room(gone))
        for event in (gone, there):
            await rooms.forget(event)
        found = set(await rooms.events())
        assert gone not in found
        assert there in found
        assert await client.pttl("seatstream:waiting-rooms") > 0

    run(redis_url, test)


@pytest.mark.parametrize(
    ("state", "users", "is_kept"),
    [
        (RoomState.OPEN, 0, True),
        (RoomState.PAUSED, 0, True),
        (RoomState.CLOSED, 1, True),
        (RoomState.CLOSED, 0, False),
    ],
)
def test_only_a_closed_room_with_nobody_in_it_ends_while_it_is_looked_after(
    redis_url: str, state: RoomState, users: int, is_kept: bool
) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms)
        await filled(rooms, event, users)
        await set_up(rooms, event, state=state)
        await client.pexpire(waiting_room(event)[0], 60_000)
        await rooms.reap(event)
        assert (await client.pttl(waiting_room(event)[0]) > 60_000) == is_kept

    run(redis_url, test)


# --- many at once ------------------------------------------------------------------------------


def test_q02_q09_q12_q22_q25_the_cap_holds_whoever_promotes_and_nobody_is_promoted_twice(
    redis_url: str,
) -> None:
    """Q22: what came adds up at every look meanwhile, and nobody waits who is in."""

    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms, cap=20)
        line, active = waiting_room(event)[1], waiting_room(event)[3]
        is_over = asyncio.Event()
        highest = 0
        promoted: list[Any] = []

        async def sample() -> None:
            nonlocal highest
            while not is_over.is_set():
                asked: Any = client.pipeline(transaction=True)
                asked = asked.zrange(line, 0, -1).zrange(active, 0, -1)
                waiting, admitted = await asked.execute()
                assert not {*waiting} & {*admitted}
                highest = max(highest, len(admitted))
                room = await room_of(rooms, event)
                ended = room.left + room.expired + room.done
                assert room.joined == room.waiting + room.admitted + ended

        async def come(first: int) -> None:
            for at in range(first, 300, 3):
                await rooms.enter(event, f"user-{at}")

        async def promote(worker: int) -> None:
            for at in range(60):
                promoted.extend(await rooms.promote(event, f"p-{worker}-{at}", 7))
                for user in named(await client.zrange(active, 0, 4))[worker % 2 :: 2]:
                    await rooms.leave(event, user)

        sampling = asyncio.create_task(sample())
        await asyncio.gather(*map(come, range(3)), *map(promote, range(6)))
        is_over.set()
        await sampling
        at = 0
        while (room := await room_of(rooms, event)).waiting:
            promoted.extend(await rooms.promote(event, f"p-last-{at}", PROMOTED_MAX))
            for user in named(await client.zrange(active, 0, -1)):
                await rooms.leave(event, user)
            at += 1
        assert highest <= 20
        assert (room.joined, room.done, room.admitted) == (300, 300, 0)
        assert len({turn.user_id for turn in promoted}) == len(promoted) == 300
        # Q25: as the log has it, nobody was overtaken.
        log: Any = await client.xrange(waiting_room(event)[6])
        turns = [int(entry[b"turn"]) for _, entry in log]
        assert turns == sorted(turns)

    run(redis_url, test)


def test_q15_nobody_who_stays_is_told_a_later_place(redis_url: str) -> None:
    async def test(rooms: WaitingRooms, client: Redis) -> None:
        event = await opened(rooms, cap=MANY)
        names = await filled(rooms, event, 60)
        ranks: dict[str, list[int]] = {name: [] for name in names}

        async def watch(name: str) -> None:
            while True:
                _, (place,) = await rooms.look(event, [name])
                if place.standing is not Standing.WAITING:
                    return
                ranks[name].append(place.rank)

        async def move() -> None:
            for at in range(30):
                await rooms.promote(event, f"p-{at}", 2)
                await rooms.enter(event, f"late-{at}")

        await asyncio.gather(move(), *map(watch, names[20:]))
        for name in names[20:]:
            assert ranks[name] == sorted(ranks[name], reverse=True)
        # At rest a place is exact.
        assert await client.zcard(waiting_room(event)[1]) == 30
        _, places = await rooms.look(event, [f"late-{at}" for at in range(30)])
        assert [place.rank for place in places] == list(range(30))

    run(redis_url, test)


# --- servers that fail -------------------------------------------------------------------------


@pytest.mark.redis
def test_q10_f66_who_shows_a_turn_to_an_empty_redis_has_the_place_again(
    server: RedisServer,
) -> None:
    async def go() -> None:
        async with redis_at(server.url) as client:
            rooms = WaitingRooms(client.execute_command)
            event = await opened(rooms)
            names = await filled(rooms, event, 12)
            _, places = await rooms.look(event, names)
            turn_of = {name: place.turn for name, place in zip(names, places, strict=True)}
            await client.flushall()
            # Nobody is told to have no place before somebody has opened the room again.
            assert (await rooms.enter(event, names[3], turn_of[names[3]])).room is None
            await set_up(rooms, event, state=RoomState.OPEN, cap=MANY)
            await a_second_after(client, event, max(turn_of.values()))
            late = await rooms.enter(event, "late")
            survivors = [names[at] for at in (7, 2, 11, 5)]
            for name in survivors:
                assert (await rooms.enter(event, name, turn_of[name])).entry is Entry.RESTORED
            in_order = sorted(survivors, key=lambda name: turn_of[name])
            assert await names_of(rooms.promote(event, "p-1", 9)) == [*in_order, "late"]
            assert late.place.turn > max(turn_of.values())

    asyncio.run(go())


@pytest.mark.redis
def test_f66_a_redis_that_keeps_its_file_keeps_every_place(server: RedisServer) -> None:
    async def before(client: Redis) -> tuple[int, dict[str, Any]]:
        rooms = WaitingRooms(client.execute_command)
        event = await opened(rooms)
        await filled(rooms, event, 5)
        await rooms.promote(event, "p-1", 2)
        return event, await kept(client, event)

    async def go() -> None:
        async with redis_at(server.url) as client:
            event, known = await before(client)
        server.kill()
        server.restart()
        await asyncio.to_thread(server.wait)
        async with redis_at(server.url) as client:
            assert await kept(client, event) == known
            rooms = WaitingRooms(client.execute_command)
            assert len(await rooms.promote(event, "p-1", 2)) == 2
            assert (await room_of(rooms, event)).admitted == 2

    asyncio.run(go())


@pytest.mark.redis
def test_all_keys_of_a_room_lie_on_one_node_of_a_cluster(cluster_url: str) -> None:
    async def go() -> None:
        client = cluster_of(cluster_url, timeout_s=30.0)
        try:
            rooms = WaitingRooms(client.execute_command)
            for _ in range(4):
                event = await opened(rooms)
                names = await filled(rooms, event, 3)
                assert await names_of(rooms.promote(event, "p-1", 2)) == names[:2]
                await lapse_in(client, event, names[0])
                assert len((await rooms.reap(event)).admitted) == 1
        finally:
            await client.aclose()

    async def lapse_in(client: Any, event: int, user: str) -> None:
        await client.zadd(waiting_room(event)[3], {user: 1}, xx=True)

    asyncio.run(go())
