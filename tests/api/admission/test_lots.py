"""Seeds are committed to before anybody enters, and told by whoever comes first at the opening."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from hmac import digest
from typing import Any

import pytest
from redis.asyncio import Redis
from support.pods.conditions import PAUSE_S
from support.redis.events import EVENTS
from support.redis.locking import redis_at
from support.waiting.keys import KEY, OLD, STRANGER, passes
from support.waiting.turns_in_memory import IDS, TurnsInMemory

from api.admission.cycle import PromotionCycles
from api.admission.desk import Stand, WaitingDesk
from api.admission.lots import NoSeed, RoomLots, seed_from
from api.admission.pool import Pool
from api.admission.turns import TurnLog
from api.waiting_room.bodies import place_body
from api.web.problems import Problem
from state.domain.waiting.admission import Room, RoomState, Standing
from state.domain.waiting.lots import Lots, commitment_of, lot_of
from state.redis.keys import PROMOTION_CYCLES, WAITING_ROOMS, waiting_room
from state.redis.waiting.tasks import PromotionTasks

HOUR_MS = 3_600_000

Test = Callable[[WaitingDesk, TurnsInMemory, Redis], Awaitable[None]]


def desk_at(url: str, topic: Any) -> WaitingDesk:
    return WaitingDesk(url, passes(), turns=TurnLog(topic, IDS))


def run(url: str, test: Test) -> None:
    async def go() -> None:
        topic = TurnsInMemory()
        desk = desk_at(url, topic)
        try:
            async with redis_at(url) as client:
                await client.delete(WAITING_ROOMS, PROMOTION_CYCLES)
                await desk.start()
                await test(desk, topic, client)
        finally:
            await desk.close()

    asyncio.run(go())


async def now_ms(client: Redis) -> int:
    seconds, micros = await client.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def opening_soon(
    desk: WaitingDesk, client: Redis, users: int
) -> tuple[int, Room, list[str]]:
    """Return a room that opened after so many had entered it: on a slow machine a later one."""
    for lead_ms in (500, 2_000, 10_000, 60_000):
        event = next(EVENTS)
        names = [f"{at}-{event}" for at in range(users)]
        opens_ms = await now_ms(client) + lead_ms
        await desk.configure(event, RoomState.OPEN, 100, None, None, opens_ms)
        stands = [await desk.enter(event, name, None) for name in names]
        if await now_ms(client) < opens_ms:
            assert {one.state for one in stands} == {"PRE_QUEUE"}
            while await now_ms(client) < opens_ms:  # noqa: ASYNC110
                await asyncio.sleep(PAUSE_S)
            return event, stands[0].room, names
    raise AssertionError("nobody enters within a minute")


def cycles(desk: WaitingDesk, client: Redis) -> PromotionCycles:
    async def say(event_id: int) -> None:
        assert desk.turns is not None
        await desk.turns.say_all(desk.rooms, event_id)

    async def draw(event_id: int) -> None:
        await desk.lots.draw(desk.rooms, event_id)

    tasks = PromotionTasks(client.execute_command)
    return PromotionCycles(desk.rooms, tasks, Pool("tests", 2), lambda _: 100, say=say, draw=draw)


async def refused(asking: Awaitable[Any]) -> str:
    with pytest.raises(Problem) as told:
        await asking
    return told.value.reason.name


def test_d31_a_seed_is_derived_by_a_published_algorithm_and_another_for_each_opening() -> None:
    # RFC 5869, with one block of output and no salt.
    extracted = digest(bytes(32), KEY.private_bytes_raw(), "sha256")
    told = b"seatstream waiting room lots 7 1900000000000"
    assert seed_from(KEY, 7, 1_900_000_000_000) == digest(extracted, told + b"\1", "sha256")
    others = [(KEY, 8, 1), (KEY, 7, 2), (OLD, 7, 1), (KEY, 7, 1), (KEY, 71, 1), (KEY, 7, 11)]
    assert len({seed_from(*other) for other in others}) == len(others)


def test_d31_a_seed_is_found_by_its_commitment_while_any_key_gives_it() -> None:
    opens_ms = 1_900_000_000_000
    seed = seed_from(OLD, 7, opens_ms)
    counts = 0, 0, 0, 0, 0, 0
    room = Room(RoomState.OPEN, 1, 0, "", *counts, -1, 0.0, 0, opens_ms, commitment_of(seed))
    lots = RoomLots([KEY, OLD], None)
    assert lots.learn(7, room) == Lots(seed, opens_ms) == lots.known(7)
    for stranger in ([KEY, STRANGER], []):
        with pytest.raises(NoSeed):
            RoomLots(stranger, None).learn(7, room)


def test_d31_nobody_enters_before_the_commitment_is_written_down(redis_url: str) -> None:
    async def test(desk: WaitingDesk, topic: TurnsInMemory, client: Redis) -> None:
        event, user = next(EVENTS), f"ann-{next(EVENTS)}"
        opens_ms = await now_ms(client) + HOUR_MS
        set_up = RoomState.OPEN, 100, None, None
        topic.is_away = True
        assert await refused(desk.configure(event, *set_up, opens_ms)) == "ROOM_UNREACHABLE"
        assert await refused(desk.enter(event, user, None)) == "ROOM_CLOSED"
        topic.is_away = False
        room = await desk.configure(event, *set_up, opens_ms)
        [(told, turns_before)] = topic.seeds
        assert (told.opens_ms, told.commitment.decode(), told.seed) == (
            opens_ms,
            room.commitment,
            b"",
        )
        assert not turns_before
        await desk.enter(event, user, None)
        # Set up once more it is the same; another opening is one too late.
        assert (await desk.configure(event, *set_up, opens_ms)).commitment == room.commitment
        assert await refused(desk.configure(event, *set_up, opens_ms + 1)) == "NO_LOTS"
        assert await refused(desk.configure(next(EVENTS), *set_up, 1)) == "NO_LOTS"
        assert len(topic.seeds) == 1

    run(redis_url, test)


def test_d31_two_who_promote_draw_once_and_whoever_waits_is_told_the_place_behind_the_seed(
    redis_url: str,
) -> None:
    async def test(desk: WaitingDesk, topic: TurnsInMemory, client: Redis) -> None:
        event, room, names = await opening_soon(desk, client, 6)
        # Of whom nobody was told, and of whom nothing is written: it has a lot, too.
        [silent] = [f"silent-{event}"]
        seed = seed_from(KEY, event, room.opens_ms)
        lots = Lots(seed, room.opens_ms)
        await client.hset(waiting_room(event)[0], "opens", str(await now_ms(client) + HOUR_MS))
        await desk.rooms.enter(event, silent, lots=lots)
        await client.hset(waiting_room(event)[0], "opens", str(room.opens_ms))
        # Who promotes dies before the seed is told: nobody is told a place by it.
        topic.is_away = True
        await cycles(desk, client).run()
        assert {(await desk.look(event, name)).state for name in names} == {"PRE_QUEUE"}
        topic.is_away = False
        other = desk_at(redis_url, topic)
        try:
            await asyncio.gather(cycles(desk, client).run(), cycles(other, client).run())
            # Before the seed was told the turns of all lots were.
            told = [(one, before) for one, before in topic.seeds if one.seed]
            assert {bytes.fromhex(one.seed.decode()) for one, _ in told} == {seed}
            assert all(before > len(names) for _, before in told)
            assert sha256(seed).hexdigest() == room.commitment
            drawn = sorted([*names, silent], key=lambda name: lot_of(seed, name))
            stands = [await other.look(event, name) for name in drawn]
            places = [place_of(stand) for stand in stands]
            is_in = [stand.place.standing is Standing.ADMITTED for stand in stands]
            assert places == [*range(1, len(drawn) + 1)] or all(is_in)
            await cycles(other, client).run()
            log: Any = await client.xrange(waiting_room(event)[6])
            assert [entry[b"user"].decode() for _, entry in log] == drawn
        finally:
            await other.close()

    run(redis_url, test)


def place_of(stand: Stand) -> int | None:
    place: int | None = place_body(7, "ann", stand, None)["position"]
    return place


def test_d31_who_comes_back_with_a_token_of_before_the_opening_has_the_lot(
    redis_url: str,
) -> None:
    async def test(desk: WaitingDesk, topic: TurnsInMemory, client: Redis) -> None:
        event, user = next(EVENTS), f"ann-{next(EVENTS)}"
        set_up = RoomState.OPEN, 100, None, None, await now_ms(client) + HOUR_MS
        room = await desk.configure(event, *set_up)
        stand = await desk.enter(event, user, None)
        token = place_body(event, user, stand, desk.passes, is_entering=True)["queue_token"]
        lot = Lots(seed_from(KEY, event, room.opens_ms), room.opens_ms).turn_of(user)
        assert stand.place.turn == lot
        await client.delete(*waiting_room(event))
        # Set up again as it was, by another pod: the seed is the same.
        other = desk_at(redis_url, topic)
        try:
            assert (await other.configure(event, *set_up)).commitment == room.commitment
            again = await other.enter(event, user, token)
            assert again.place.turn == lot
        finally:
            await other.close()

    run(redis_url, test)
