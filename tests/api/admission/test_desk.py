"""Waiting rooms as requests have them: what Redis cannot answer keeps every place (F64)."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from support.pods.conditions import PAUSE_S
from support.redis.events import EVENTS
from support.redis.locking import ask_of, redis_at
from support.waiting.keys import passes
from support.waiting.proving import prove

from api.admission.desk import Stand, WaitingDesk
from api.web.problems import Problem
from infra.stack.redis_server import RedisServer
from state.domain.waiting.admission import STALE_MS, RoomState, Standing
from state.redis.keys import waiting_room, waits_in
from state.redis.line import NoAnswer, TooManyAsk
from state.redis.waiting.rooms import Entry

NAMES = count()

Test = Callable[[WaitingDesk, Redis], Awaitable[None]]


def run(url: str, test: Test) -> None:
    async def go() -> None:
        desk = WaitingDesk(url, passes())
        try:
            async with redis_at(url) as client:
                await test(desk, client)
        finally:
            await desk.close()

    asyncio.run(go())


def somebody() -> str:
    """Return a name that no other test has: a user waits for one event at a time."""
    return f"somebody-{next(NAMES)}"


async def opened(desk: WaitingDesk, cap: int = 100) -> int:
    event = next(EVENTS)
    await desk.configure(event, RoomState.OPEN, cap, None, None)
    await prove(desk.rooms, event)
    return event


async def refused(asking: Awaitable[Any], status: int, reason: str) -> Problem:
    with pytest.raises(Problem) as told:
        await asking
    assert (told.value.status, told.value.reason.name) == (status, reason)
    return told.value


async def let_in(desk: WaitingDesk, event: int, user: str) -> str:
    """Return the entry token of a user who has waited."""
    await desk.enter(event, user, None)
    await desk.rooms.promote(event, f"p-{user}", 100)
    stand = await desk.look(event, user)
    assert stand.place.standing is Standing.ADMITTED
    assert desk.passes is not None
    # Its clock is that of the tests, and not Redis'.
    return desk.passes.entry(event, user, stand.place.turn, 1_900_000_060_000)


def test_s000_14_a_user_waits_for_one_event_at_a_time(redis_url: str) -> None:
    async def test(desk: WaitingDesk, client: Redis) -> None:
        one, other, user = await opened(desk), await opened(desk), somebody()
        await desk.enter(one, user, None)
        told = await refused(desk.enter(other, user, None), 409, "WAITS_ELSEWHERE")
        assert told.extensions == {"event_id": one}
        assert (await desk.enter(one, user, None)).entry is Entry.WAITS
        assert 0 < await client.pttl(waits_in(user)) <= STALE_MS
        # To ask lets it last; to leave ends it.
        await client.pexpire(waits_in(user), 10_000)
        await desk.look(one, user)
        assert await client.pttl(waits_in(user)) > 10_000
        await desk.leave(one, user)
        assert (await desk.enter(other, user, None)).entry is Entry.NEW
        # To leave a room again takes nothing from another.
        await desk.leave(one, user)
        await refused(desk.enter(one, user, None), 409, "WAITS_ELSEWHERE")

    run(redis_url, test)


def test_s000_14_who_follows_a_stream_goes_on_to_wait_for_one_event(redis_url: str) -> None:
    async def test(desk: WaitingDesk, client: Redis) -> None:
        one, other, user = await opened(desk), await opened(desk), somebody()
        await desk.enter(one, user, None)
        await client.pexpire(waits_in(user), 10_000)
        await desk.keep_waiting([user, "nobody"])
        assert await client.pttl(waits_in(user)) > 10_000
        assert not await client.exists(waits_in("nobody"))
        await refused(desk.enter(other, user, None), 409, "WAITS_ELSEWHERE")

    run(redis_url, test)


def test_b80_what_others_have_put_under_the_key_of_a_user_keeps_nobody_out(redis_url: str) -> None:
    async def test(desk: WaitingDesk, client: Redis) -> None:
        one, other, user = await opened(desk), await opened(desk), somebody()
        await client.set(waits_in(user), b"\xff no event")
        assert (await desk.enter(one, user, None)).entry is Entry.NEW
        assert 0 < await client.pttl(waits_in(user)) <= STALE_MS
        await refused(desk.enter(other, user, None), 409, "WAITS_ELSEWHERE")

    run(redis_url, test)


def test_who_finds_no_room_waits_for_no_event(redis_url: str) -> None:
    async def test(desk: WaitingDesk, client: Redis) -> None:
        user, none = somebody(), next(EVENTS)
        await refused(desk.enter(none, user, None), 404, "NO_WAITING_ROOM")
        closed = await opened(desk)
        await desk.configure(closed, RoomState.CLOSED, None, None, None)
        await refused(desk.enter(closed, user, None), 409, "ROOM_CLOSED")
        assert not await client.exists(waits_in(user))
        await refused(desk.look(none, user), 404, "NO_WAITING_ROOM")

    run(redis_url, test)


def test_a_token_of_a_turn_brings_back_who_was_given_up(redis_url: str) -> None:
    async def test(desk: WaitingDesk, client: Redis) -> None:
        event, user = await opened(desk), somebody()
        turn = (await desk.enter(event, user, None)).place.turn
        await desk.enter(event, somebody(), None)
        assert desk.passes is not None
        token = desk.passes.queue(event, user, turn)
        await client.zadd(waiting_room(event)[2], {user: 1})
        await desk.rooms.reap(event)
        back = await desk.enter(event, user, token)
        assert (back.entry, back.place.rank, back.place.turn) == (Entry.RESTORED, 0, turn)

    run(redis_url, test)


def test_q16_b77_a_token_that_proves_nothing_changes_nothing(redis_url: str) -> None:
    async def test(desk: WaitingDesk, client: Redis) -> None:
        event, user = await opened(desk), somebody()
        made = passes()
        before = await client.hgetall(waiting_room(event)[0])
        for token in (
            "forged",
            made.queue(event + 1, user, 5),
            made.queue(event, "another", 5),
            made.entry(event, user, 5, 1_900_000_060_000),
            made.queue(event, user, 5)[:-4],
            passes(1_000).queue(event, user, 5),
        ):
            await refused(desk.enter(event, user, token), 401, "TURN_NOT_PROVED")
            await refused(desk.check_admitted(event, user, token + "x"), 401, "TURN_NOT_PROVED")
        assert await client.hgetall(waiting_room(event)[0]) == before
        assert not await client.exists(waits_in(user))

    run(redis_url, test)


def test_who_was_let_in_is_until_the_admission_is_over(redis_url: str) -> None:
    async def test(desk: WaitingDesk, client: Redis) -> None:
        event, user = await opened(desk), somebody()
        await refused(desk.check_admitted(event, user, None), 403, "ADMISSION_REQUIRED")
        token = await let_in(desk, event, user)
        await desk.check_admitted(event, user, token)
        await refused(desk.check_admitted(event, "another", token), 401, "TURN_NOT_PROVED")
        await client.zadd(waiting_room(event)[3], {user: 1})
        await refused(desk.check_admitted(event, user, token), 403, "ADMISSION_REQUIRED")
        assert desk.unchecked == 0

    run(redis_url, test)


@pytest.mark.parametrize("is_known", [False, True])
def test_q11_f65_who_was_let_in_proves_it_to_a_redis_that_has_lost_it(
    redis_url: str, is_known: bool
) -> None:
    """A failover has lost the promotion, or all that it had of the user."""

    async def test(desk: WaitingDesk, client: Redis) -> None:
        event, user, other = await opened(desk), somebody(), somebody()
        await desk.enter(event, other, None)
        await desk.rooms.configure(event, cap=1)
        turn = (await desk.enter(event, user, None)).place.turn
        _, line, seen, active, turns, *_ = waiting_room(event)
        assert desk.passes is not None
        token = desk.passes.entry(event, user, turn, 1_900_000_060_000)
        if not is_known:
            for key in (line, seen):
                await client.zrem(key, user)
            await client.hdel(turns, user)
            await client.hincrby(waiting_room(event)[0], "joined", -1)
        await desk.check_admitted(event, user, token)
        stand = await desk.look(event, user)
        assert (stand.place.standing, stand.place.turn) == (Standing.ADMITTED, turn)
        assert stand.place.last_ms == 1_900_000_060_000
        room = stand.room
        assert room.joined == room.waiting + room.admitted + room.left + room.expired + room.done
        # It is over as any other is, and the token brings nobody back.
        await client.zadd(active, {user: 1})
        await refused(desk.check_admitted(event, user, token), 403, "ADMISSION_REQUIRED")
        await desk.rooms.reap(event)
        await refused(desk.check_admitted(event, user, token), 403, "ADMISSION_REQUIRED")

    run(redis_url, test)


@pytest.mark.redis
def test_f64_without_redis_everybody_holds_the_position_and_a_proof_alone_lets_in(
    server: RedisServer,
) -> None:
    async def test(desk: WaitingDesk, _: Redis) -> None:
        event, user = await opened(desk), somebody()
        token = await let_in(desk, event, user)
        await asyncio.to_thread(server.kill)
        for asking in (
            desk.enter(event, somebody(), None),
            desk.look(event, user),
            desk.leave(event, user),
            desk.configure(event, RoomState.PAUSED, None, None, None),
        ):
            told = await refused(asking, 503, "ROOM_UNREACHABLE")
            assert "Retry-After" in dict(told.headers)
        await desk.check_admitted(event, user, token)
        assert desk.unchecked == 1
        # Whoever has no proof is not let in by it.
        await refused(desk.check_admitted(event, "ann", None), 403, "ADMISSION_REQUIRED")
        await refused(desk.check_admitted(event, "ann", token), 401, "TURN_NOT_PROVED")

    run(server.url, test)


def test_b80_a_room_of_another_form_is_one_that_cannot_be_reached(redis_url: str) -> None:
    async def test(desk: WaitingDesk, client: Redis) -> None:
        bad, good = await opened(desk), await opened(desk)
        await client.delete(waiting_room(bad)[1])
        await client.set(waiting_room(bad)[1], "somebody else's", px=60_000)
        await refused(desk.enter(bad, somebody(), None), 503, "ROOM_UNREACHABLE")
        await client.hset(waiting_room(bad)[0], "state", "odd")
        await refused(desk.look_all(bad, ()), 503, "ROOM_UNREACHABLE")
        assert (await desk.enter(good, somebody(), None)).entry is Entry.NEW

    run(redis_url, test)


@pytest.mark.parametrize("has_keys", [False, True])
def test_a_pod_without_redis_or_without_keys_has_no_waiting_rooms(has_keys: bool) -> None:
    async def go() -> None:
        url = "" if has_keys else "redis://127.0.0.1:1"
        desk = WaitingDesk(url, passes() if has_keys else None)
        for asking in (
            desk.enter(7, "ann", None),
            desk.look(7, "ann"),
            desk.leave(7, "ann"),
            desk.configure(7, RoomState.OPEN, 1, None, None),
        ):
            await refused(asking, 404, "NO_WAITING_ROOM")
        await desk.close()

    asyncio.run(go())


@pytest.mark.parametrize("has_keys", [False, True])
def test_a_pod_that_lacks_redis_or_keys_tells_nobody_that_there_is_no_waiting_room(
    has_keys: bool,
) -> None:
    """The event demands admission: others know the room."""

    async def go() -> None:
        url = "" if has_keys else "redis://127.0.0.1:1"
        desk = WaitingDesk(url, passes() if has_keys else None)
        desk.is_demanded = lambda event: event == 7
        token = passes().entry(7, "ann", 1, 1_900_000_060_000)
        for asking in (
            desk.enter(7, "ann", passes().queue(7, "ann", 1)),
            desk.look(7, "ann"),
            desk.look_all(7, ["ann"]),
            desk.leave(7, "ann"),
            desk.check_admitted(7, "ann", token),
        ):
            await refused(asking, 503, "ROOM_UNREACHABLE")
        await desk.close()

    asyncio.run(go())


@pytest.mark.parametrize("error", [NoAnswer(), TooManyAsk(), ResponseError("OOM")])
def test_signs_of_life_that_were_refused_are_told_with_the_next_one(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def test(desk: WaitingDesk, __: Redis) -> None:
        event, other, user = await opened(desk), await opened(desk), somebody()
        await desk.enter(event, user, None)
        told: list[tuple[int, bool]] = []
        real: Any = desk.rooms.look

        async def look(event_id: int, users: Any, *, was_deaf: bool, **how: Any) -> Any:
            told.append((event_id, was_deaf))
            if len(told) <= 2:
                raise error
            return await real(event_id, users, was_deaf=was_deaf, **how)

        monkeypatch.setattr(desk.rooms, "look", look)
        for _ in (1, 2):
            with pytest.raises(Problem):
                await desk.look(event, user)
        with suppress(Problem):
            await desk.look(other, user)
        for _ in (1, 2):
            await desk.look(event, user)
        assert told == [
            (event, False),
            (event, True),
            (other, False),
            (event, True),
            (event, False),
        ]

    run(redis_url, test)


async def once_reached(desk: WaitingDesk, event: int, user: str) -> Stand:
    """Return where a user stands as soon as that can be told."""
    async with asyncio.timeout(60):
        while True:
            with suppress(Problem):
                return await desk.look(event, user)
            await asyncio.sleep(PAUSE_S)


@pytest.mark.redis
def test_f72_a_redis_that_stands_still_is_out_of_reach_and_keeps_every_place(
    server: RedisServer,
) -> None:
    async def test(desk: WaitingDesk, _: Redis) -> None:
        event, users = await opened(desk), [somebody() for _ in range(3)]
        for user in users:
            await desk.enter(event, user, None)
        assert server.child is not None
        os.kill(server.child.pid, SIGSTOP)
        try:
            await refused(desk.look(event, users[1]), 503, "ROOM_UNREACHABLE")
        finally:
            os.kill(server.child.pid, SIGCONT)
        stand = await once_reached(desk, event, users[1])
        assert stand.place.rank == 1

    run(server.url, test)


@pytest.mark.redis
def test_f71_a_redis_that_is_busy_with_a_script_is_out_of_reach_until_that_is_over(
    server: RedisServer,
) -> None:
    async def test(desk: WaitingDesk, client: Redis) -> None:
        event, user = await opened(desk), somebody()
        await desk.enter(event, user, None)
        await client.config_set("busy-reply-threshold", "1")
        async with redis_at(server.url) as other:
            looping = asyncio.ensure_future(ask_of(other)("EVAL", "while true do end", 0))
            await until_refused(desk, event, user)
            await ask_of(client)("SCRIPT", "KILL")
            with pytest.raises(ResponseError):
                await looping
        assert (await once_reached(desk, event, user)).place.rank == 0

    async def until_refused(desk: WaitingDesk, event: int, user: str) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    await desk.look(event, user)
                except Problem:
                    return
                await asyncio.sleep(PAUSE_S)

    run(server.url, test)
