"""Places as they are pushed: what is new and nothing else, resumed, and at most one behind.

Rooms are models in memory; the ticks are quick, and nothing depends on how quick.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from redis.exceptions import ResponseError
from support.pods.api_client import TrustingVerifier
from support.pods.asgi_client import request
from support.pods.asgi_stream import Stream, Told
from support.waiting.rooms_in_memory import DeskInMemory

from api.app import ASGIApp, create_app
from api.building import pod_of
from api.pod import Pod
from api.settings import ApiSettings
from api.streaming import client as streamed
from api.waiting_room.stream import streams_of
from state.domain.waiting.admission import RoomState
from state.redis.line import TooManyAsk

EVENT = 7
PATH = f"/v1/events/{EVENT}/waiting-room/stream"

Test = Callable[["Room"], Awaitable[None]]


class Room:
    """A pod over one room in memory, and who follows it."""

    def __init__(self, app: ASGIApp, pod: Pod, desk: DeskInMemory) -> None:
        self.app = app
        self.pod = pod
        self.desk = desk
        self.streams: list[Stream] = []

    async def open(self, cap: int = 5) -> None:
        await self.desk.configure(EVENT, RoomState.OPEN, cap, None, "hello")

    async def enter(self, *users: str) -> None:
        for user in users:
            await self.desk.enter(EVENT, user, None)

    def promote(self, name: str, slots: int) -> None:
        self.desk.rooms.models[EVENT].promote(name, slots, -1)

    def follow(self, user: str, **headers: str) -> Stream:
        stream = Stream(self.app, PATH, headers_of(user) | headers)
        self.streams.append(stream)
        return stream


def headers_of(user: str, role: str = "buyer") -> dict[str, str]:
    return {"authorization": f"Bearer {user}:{role}"}


def run(monkeypatch: pytest.MonkeyPatch, test: Test, **settings: Any) -> None:
    monkeypatch.setattr(streamed, "TICK_S", 0.005)

    async def go() -> None:
        desk = DeskInMemory()
        pod = pod_of(ApiSettings(**settings), verifier=TrustingVerifier(), waiting=desk)
        room = Room(create_app(pod.settings, pod), pod, desk)
        try:
            await test(room)
        finally:
            for stream in room.streams:
                stream.go_on_reading()
                await stream.go_away()

    asyncio.run(go())


async def until(stream: Stream, is_met: Callable[[Told], bool]) -> Told:
    """Read events until one is as wanted, and return it."""
    while True:
        for told in await stream.next_events():
            if is_met(told):
                return told


def at(position: int) -> Callable[[Told], bool]:
    return lambda told: told.event == "place" and told.data["position"] == position


async def first(stream: Stream) -> Told:
    return (await stream.next_events())[0]


async def comments(stream: Stream, count: int) -> None:
    """Wait for so many comments."""
    async with asyncio.timeout(60):
        while stream.answer.body.count(b": still there") < count:
            stream._grown.clear()
            await stream._grown.wait()


def test_s000_16_a_user_is_told_every_place_until_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann", "ben", "cy")
        stream = room.follow("cy")
        told = await first(stream)
        assert stream.answer.status == 200
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert (told.event, told.data["position"], told.data["message"]) == ("place", 3, "hello")
        room.promote("p-1", 1)
        assert (await until(stream, at(2))).data["waiting"] == 2
        await room.desk.leave(EVENT, "ben")
        await until(stream, at(1))
        room.promote("p-2", 1)
        entered = await until(stream, lambda told: told.data["state"] == "ADMITTED")
        assert entered.data["entry_token"]
        await room.desk.leave(EVENT, "cy")
        await until(stream, lambda told: told.data["state"] == "NONE")

    run(monkeypatch, test)


def test_everybody_who_waits_is_told_once_that_all_is_sold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann", "ben", "cy")
        streams = {user: room.follow(user) for user in ("ann", "ben", "cy")}
        for stream in streams.values():
            assert (await first(stream)).data["sold_out"] is False
        room.desk.rooms.limits[EVENT] = 0
        last = {}
        for user, stream in streams.items():
            told = await first(stream)
            assert (told.data["state"], told.data["sold_out"]) == ("WAITING", True)
            last[user] = told.id
        # Neither again while they stay, nor when they come back and know it.
        back = room.follow("ann", **{"last-event-id": last["ann"]})
        for stream in (*streams.values(), back):
            await comments(stream, 3)
            assert stream.new_events() == []
        # Who waits and comes without a word of it hears it at once, and once.
        late = room.follow("ben")
        assert (await first(late)).data["sold_out"] is True
        await comments(late, 2)
        assert late.new_events() == []
        # Seats that came back let somebody in, and so everybody is told that, too.
        room.desk.rooms.limits[EVENT] = 1
        assert (await first(streams["cy"])).data["sold_out"] is False

    run(monkeypatch, test)


def test_what_has_not_changed_is_not_told_again_and_the_connection_is_kept_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann")
        stream = room.follow("ann")
        await first(stream)
        await comments(stream, 3)
        assert stream.new_events() == []

    run(monkeypatch, test)


def test_who_comes_back_with_the_last_id_is_told_only_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann", "ben")
        stream = room.follow("ben")
        last = (await first(stream)).id
        await stream.go_away()
        resumed = room.follow("ben", **{"last-event-id": last})
        await comments(resumed, 2)
        assert resumed.new_events() == []
        room.promote("p-1", 1)
        await until(resumed, at(1))
        # What was told to another stream, or is no id, is told anew.
        for old in (last, "x", "\xff" * 300):
            assert (await first(room.follow("ben", **{"last-event-id": old}))).data[
                "position"
            ] == 1

    run(monkeypatch, test)


def test_two_tabs_of_a_user_are_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann", "ben")
        tabs = [room.follow("ben") for _ in range(2)]
        await asyncio.gather(*map(first, tabs))
        room.promote("p-1", 1)
        told = await asyncio.gather(*(until(tab, at(1)) for tab in tabs))
        assert told[0].id == told[1].id

    run(monkeypatch, test)


def test_f64_a_room_that_cannot_be_reached_is_told_once_and_then_the_place_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann")
        stream = room.follow("ann")
        place = await first(stream)
        look = room.desk.rooms.look

        async def fail(*_: Any, **__: Any) -> Any:
            raise ResponseError("LOADING")

        monkeypatch.setattr(room.desk.rooms, "look", fail)
        await until(stream, lambda told: told.event == "hold")
        seen = stream.answer.body.count(b": still there")
        await comments(stream, seen + 2)
        assert stream.answer.body.count(b"event: hold") == 1
        monkeypatch.setattr(room.desk.rooms, "look", look)
        assert (await first(stream)).id == place.id

    run(monkeypatch, test)


def test_who_follows_a_stream_waits_for_no_other_event_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann", "ben")
        kept: list[str] = []

        async def keep(users: Iterable[str]) -> None:
            kept.extend(users)

        monkeypatch.setattr(room.desk, "keep_waiting", keep)
        stream = room.follow("ann")
        await first(stream)
        async with asyncio.timeout(60):
            while len(kept) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert set(kept) == {"ann"}

    run(monkeypatch, test)


def test_where_too_many_ask_nobody_is_told_to_hold_and_no_stream_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann", "ben")
        stream = room.follow("ben")
        await first(stream)
        look = room.desk.rooms.look

        async def fail(*_: Any, **__: Any) -> Any:
            raise TooManyAsk

        monkeypatch.setattr(room.desk.rooms, "look", fail)
        refused = await request(room.app, PATH, headers=headers_of("ann"))
        assert (refused.status, refused.json["reason"]) == (429, "OVERLOADED")
        await comments(stream, stream.answer.body.count(b": still there") + 2)
        monkeypatch.setattr(room.desk.rooms, "look", look)
        room.promote("p-1", 1)
        await until(stream, at(1))
        assert b"event: hold" not in stream.answer.body

    run(monkeypatch, test)


def test_who_reads_slowly_is_told_the_newest_place_and_not_those_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(room: Room) -> None:
        await room.open()
        names = [f"user-{number}" for number in range(30)]
        await room.enter(*names)
        slow, quick = room.follow(names[-1]), room.follow(names[-2])
        await first(slow)
        slow.stop_reading()
        for number in range(25):
            await room.desk.leave(EVENT, names[number])
            await until(quick, at(28 - number))
        slow.go_on_reading()
        told: list[Told] = []
        async with asyncio.timeout(60):
            while not told or told[-1].data["position"] != 5:
                told += await slow.next_events()
        # One that was on its way, one that waited behind it, and the newest.
        assert len(told) <= 3

    run(monkeypatch, test)


def test_who_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "STUCK_S", 0.0)

    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann", "ben")
        stream = room.follow("ben")
        await first(stream)
        stream.stop_reading()
        room.promote("p-1", 1)
        async with asyncio.timeout(60):
            await asyncio.wait({stream.task})

    run(monkeypatch, test)


def test_a_stream_ends_with_its_life_and_with_the_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann", "ben")
        stream = room.follow("ann")
        await first(stream)
        room.pod.drain()
        async with asyncio.timeout(60):
            await stream.task
        assert stream.is_over
        refused = await request(room.app, PATH, headers=headers_of("ann"))
        assert (refused.status, refused.json["reason"]) == (503, "NOT_READY")

    run(monkeypatch, test)


def test_a_stream_is_refused_as_a_question_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(room: Room) -> None:
        async def refused(status: int, reason: str, path: str = PATH, **headers: str) -> None:
            answer = await request(room.app, path, headers=headers)
            assert (answer.status, answer.json["reason"]) == (status, reason)

        buyer = headers_of("ann")
        await refused(404, "NO_WAITING_ROOM", **buyer)
        await refused(401, "UNAUTHENTICATED")
        await refused(403, "NOT_ALLOWED", **headers_of("ann", "operator"))
        await refused(400, "MALFORMED", PATH + "?a=1", **buyer)
        await refused(400, "MALFORMED", PATH.replace("7", "07"), **buyer)

    run(monkeypatch, test)


def test_no_user_has_more_streams_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann", "ben")
        await first(room.follow("ann"))
        refused = await request(room.app, PATH, headers=headers_of("ann"))
        assert (refused.status, refused.json["reason"]) == (429, "OVERLOADED")
        await first(room.follow("ben"))

    run(monkeypatch, test, streams_per_user=1)


def test_nothing_is_left_of_streams_that_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(room: Room) -> None:
        await room.open()
        await room.enter("ann")
        stream = room.follow("ann")
        await first(stream)
        await stream.go_away()
        streams = streams_of(room.pod)
        assert not streams._followers
        keeper = streams._keeper
        if keeper is not None:
            await keeper
        assert streams._keeper is None
        await first(room.follow("ann"))

    run(monkeypatch, test)
