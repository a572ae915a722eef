import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.asgi_client import request
from support.pods.asgi_stream import Holder, Stream, Told, counts_of
from support.pods.conditions import until
from support.pods.look_ups import TOKEN, LookUpPod
from support.records.status_records import (
    EVENT,
    PARTITIONS,
    Fed,
    counts,
    partition_of_section,
    snapshot_of,
)

from api.availability import stream as streaming
from api.availability.stream import streams_of
from api.availability.stream_positions import Position
from api.streaming import client as streamed
from state.domain.keys import section_key
from state.domain.status import SectionStatus
from state.views.availability.contents import RECENT_MAX

PATH = f"/v1/events/{EVENT}/availability/stream"


@pytest.fixture(autouse=True)
def _at_once() -> Iterator[None]:
    """Let changes gather for one turn of the loop only, and nobody wait for another pod."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "GATHER_S", 0.0)
        patch.setattr(streaming, "GATHER_S_PER_CLIENT", 0.0)
        patch.setattr(streaming, "CATCH_UP_S", 0.0)
        patch.setattr(streamed, "TICK_S", 0.02)
        yield


@pytest.fixture
def pod() -> LookUpPod:
    """Give a pod that knows sections A and B of event 7, just read to the end."""
    pod = LookUpPod()
    pod.fed.tell(counts(3, 10, held=2, largest=4, as_of_ms=5_000))
    pod.fed.tell(counts(1, 5, as_of_ms=4_000), "B")
    pod.fed.heartbeat()
    return pod


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 30))


async def settle() -> None:
    """Let everything happen that can without time going by."""
    for _ in range(12):
        await asyncio.sleep(0)


def open_stream(pod: LookUpPod, last_id: str = "", target: str = PATH) -> Stream:
    headers = {**TOKEN, "Last-Event-ID": last_id} if last_id else TOKEN
    return Stream(pod.app, target, headers)


def remove(fed: Fed, section: str) -> None:
    fed.feed(partition_of_section(section), section_key(EVENT, section), None)


def known(pod: LookUpPod) -> dict[str, tuple[int, ...]]:
    return {
        name: (answer.version, answer.free, answer.held, answer.largest_block)
        for name, answer in pod.fed.view.sections(EVENT).items()
    }


# --- properties ------------------------------------------------------------------------------

Happening = tuple[str, str, int]
happenings = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "refuse", "remove", "read", "join", "settle"]),
        st.sampled_from("ABC"),
        st.integers(0, 4),
    ),
    max_size=40,
)


class World:
    """One log of statuses, and pods that have read it as far as they have."""

    def __init__(self, pods: int) -> None:
        self.records: list[tuple[str, SectionStatus | None]] = []
        self.pods = [LookUpPod() for _ in range(pods)]
        self.read = [0] * pods
        self._versions: dict[str, int] = {}
        self.append("Z", 3)
        for number in range(pods):
            self.catch_up(number)

    def append(self, section: str, free: int, *, decided: bool = True) -> None:
        version = self._versions[section] = self._versions.get(section, 1) + decided
        self.records.append((section, counts(version, free, as_of_ms=len(self.records))))

    def catch_up(self, pod: int, records: int | None = None) -> None:
        until = len(self.records) if records is None else self.read[pod] + records
        for section, status in self.records[self.read[pod] : until]:
            if status is None:
                remove(self.pods[pod].fed, section)
            else:
                self.pods[pod].fed.tell(status, section)
            self.read[pod] += 1
        self.pods[pod].fed.heartbeat()


@given(happenings)
def test_a_snapshot_and_its_deltas_are_the_view_whatever_happens_between(
    told: Sequence[Happening],
) -> None:
    """Any interleaving of changes, joins of other clients, and turns of the loop."""

    async def scenario() -> None:
        world = World(1)
        pod = world.pods[0]
        streams = [open_stream(pod)]
        for what, section, number in told:
            match what:
                case "append":
                    world.append(section, number)
                case "refuse":
                    world.append("Z", 3, decided=False)
                case "remove":
                    world.records.append((section, None))
                case "read":
                    world.catch_up(0, number)
                case "join":
                    streams.append(open_stream(pod))
                case _:
                    await settle()
        world.catch_up(0)
        await settle()
        for stream in streams:
            holder = Holder()
            holder.follow(stream.new_events())
            assert holder.sections == known(pod)
            assert holder.kinds[0] == "snapshot"
            assert holder.kinds.count("snapshot") == 1
            await stream.go_away()

    run(scenario())


@given(happenings)
def test_a_client_that_goes_from_pod_to_pod_holds_the_view_too(told: Sequence[Happening]) -> None:
    """Whatever each pod has read so far; versions go back only over a reset."""

    async def scenario() -> None:
        world = World(2)
        holder = Holder()
        stream = open_stream(world.pods[0])
        await settle()

        def follow() -> None:
            for one in stream.new_events():
                before = {} if holder.sections is None else dict(holder.sections)
                holder.follow([one])
                after = holder.sections or {}
                if one.event == "delta":
                    assert all(after[name] >= before[name] for name in before if name in after)

        for what, section, number in told:
            match what:
                case "append":
                    world.append(section, number)
                case "refuse":
                    world.append("Z", 3, decided=False)
                case "remove":
                    world.records.append((section, None))
                case "read":
                    world.catch_up(number % 2, number)
                case "join":
                    await settle()
                    follow()
                    await stream.go_away()
                    stream = open_stream(world.pods[number % 2], holder.last_id)
                case _:
                    await settle()
                    follow()
        for number in range(2):
            world.catch_up(number)
        await settle()
        follow()
        assert holder.sections == known(world.pods[0]) == known(world.pods[1])
        await stream.go_away()

    run(scenario())


# --- what is told ----------------------------------------------------------------------------


def one(told: list[Told]) -> Told:
    assert len(told) == 1
    return told[0]


def test_a_stream_begins_with_what_a_look_up_says(pod: LookUpPod) -> None:
    async def scenario() -> None:
        stream = open_stream(pod)
        snapshot = one(await stream.next_events())
        look_up = await request(pod.app, PATH.removesuffix("/stream"), headers=TOKEN)
        assert snapshot.event == "snapshot"
        assert snapshot.data == look_up.json
        assert stream.answer.status == 200
        assert stream.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.answer.headers["cache-control"] == "no-cache"
        assert stream.answer.headers["x-accel-buffering"] == "no"
        # A block of its own would be an event without data to some clients.
        assert stream.answer.body.startswith(b"retry: 2000\nevent: snapshot\n")
        await stream.go_away()

    run(scenario())


def test_a_delta_tells_what_changed_and_nothing_else(pod: LookUpPod) -> None:
    async def scenario() -> None:
        stream = open_stream(pod)
        first = one(await stream.next_events())
        pod.fed.tell(counts(4, 9, held=3, largest=4, as_of_ms=6_000))
        delta = one(await stream.next_events())
        assert delta.event == "delta"
        assert [counts_of(section) for section in delta.data["sections"]] == [(4, 9, 3, 4)]
        assert delta.data["removed"] == []
        assert delta.data["as_of_ms"] == 6_000
        assert (delta.data["staleness_ms"], delta.data["stale"]) == (0, False)
        assert delta.id != first.id
        remove(pod.fed, "B")
        assert one(await stream.next_events()).data["removed"] == ["B"]
        await stream.go_away()

    run(scenario())


def test_refused_commands_are_no_news(pod: LookUpPod) -> None:
    async def scenario() -> None:
        stream = open_stream(pod)
        await stream.next_events()
        pod.fed.tell(counts(3, 10, held=2, largest=4, as_of_ms=9_000))
        await settle()
        assert stream.new_events() == []
        await stream.go_away()

    run(scenario())


def test_a_stream_of_named_sections_tells_of_no_other(pod: LookUpPod) -> None:
    async def scenario() -> None:
        stream = open_stream(pod, target=f"{PATH}?sections=B")
        snapshot = one(await stream.next_events())
        assert [section["section"] for section in snapshot.data["sections"]] == ["B"]
        pod.fed.tell(counts(4, 9, largest=4))
        await settle()
        assert stream.new_events() == []
        pod.fed.tell(counts(2, 4), "B")
        assert counts_of(one(await stream.next_events()).data["sections"][0]) == (2, 4, 0, 4)
        await stream.go_away()

    run(scenario())


def test_changes_gather_while_a_frame_was_sent_a_moment_ago(
    pod: LookUpPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a busy machine takes for all that is told.
    monkeypatch.setattr(streaming, "GATHER_S", 1.0)

    async def scenario() -> None:
        stream = open_stream(pod)
        await stream.next_events()
        pod.fed.tell(counts(4, 9, largest=4))
        assert len(await stream.next_events()) == 1
        for version in range(5, 50):
            pod.fed.tell(counts(version, 9, largest=4))
            await asyncio.sleep(0)
        delta = one(await stream.next_events())
        assert delta.data["sections"][0]["version"] == 49
        await stream.go_away()

    run(scenario())


def test_one_frame_serves_all_clients(pod: LookUpPod) -> None:
    async def scenario() -> None:
        streams = [open_stream(pod) for _ in range(50)]
        await settle()
        offered: list[bytes] = []
        (channel,) = streams_of(pod.pod)._channels.values()
        clients = list(channel.clients)
        before = streams_of(pod.pod)._tell

        def tell(channel: Any, clients: Any, frame: bytes) -> None:
            offered.append(frame)
            before(channel, clients, frame)

        streams_of(pod.pod)._tell = tell  # type: ignore[method-assign]
        for stream in streams:
            assert one(stream.new_events()).event == "snapshot"
        pod.fed.tell(counts(4, 9, largest=4))
        for stream in streams:
            assert one(await stream.next_events()).event == "delta"
        assert len(offered) == 1
        assert len(clients) == 50
        for stream in streams:
            await stream.go_away()

    run(scenario())


# --- resuming --------------------------------------------------------------------------------


def test_who_comes_back_gets_what_was_missed_in_one_delta(pod: LookUpPod) -> None:
    async def scenario() -> None:
        stream = open_stream(pod)
        held = one(await stream.next_events()).id
        await stream.go_away()
        for version in range(4, 300):
            pod.fed.tell(counts(version, 9, largest=4))
        again = open_stream(pod, held)
        delta = one(await again.next_events())
        assert delta.event == "delta"
        assert [section["section"] for section in delta.data["sections"]] == ["A"]
        assert delta.data["sections"][0]["version"] == 299
        await again.go_away()

    run(scenario())


def test_who_missed_nothing_gets_an_empty_delta(pod: LookUpPod) -> None:
    async def scenario() -> None:
        stream = open_stream(pod)
        first = one(await stream.next_events())
        await stream.go_away()
        again = open_stream(pod, first.id)
        delta = one(await again.next_events())
        assert (delta.event, delta.data["sections"], delta.id) == ("delta", [], first.id)
        await again.go_away()

    run(scenario())


def change_topic(pod: LookUpPod) -> None:
    pod.fed.contents.topic_id = "another"
    pod.fed.tell(counts(9, 9))


def restore(pod: LookUpPod) -> None:
    """Have the same topic read anew after a backup was put back and written to."""
    fed = pod.fed
    fed.contents = fed.view.new_reading(PARTITIONS, fed.contents.topic_id)
    # A's third version is lost; what lies there now says something else.
    for version in range(2, 6):
        fed.tell(counts(version, 9 - version))
        fed.tell(counts(version, 1), "B")
    fed.heartbeat()


def rush(pod: LookUpPod) -> None:
    """Tell so much that nobody knows any more what lay where the client was."""
    for version in range(4, RECENT_MAX + 6):
        pod.fed.tell(counts(version, 9))


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (lambda pod: pod.fed.tell(counts(1, 2), "NEW"), "other_sections"),
        (lambda pod: remove(pod.fed, "B"), "other_sections"),
        (change_topic, "another_topic"),
        (restore, "another_log"),
        (rush, "another_log"),
    ],
)
def test_what_cannot_be_told_as_a_delta_is_a_reset_and_a_snapshot(
    pod: LookUpPod, happens: Callable[[LookUpPod], object], why: str
) -> None:
    async def scenario() -> None:
        stream = open_stream(pod)
        held = one(await stream.next_events()).id
        await stream.go_away()
        happens(pod)
        again = open_stream(pod, held)
        reset, snapshot = await again.next_events()
        assert (reset.event, reset.data, reset.id) == ("reset", {"why": why}, "")
        assert snapshot.event == "snapshot"
        assert {s["section"] for s in snapshot.data["sections"]} == set(known(pod))
        await again.go_away()

    run(scenario())


@pytest.mark.parametrize("held", ["17", "x" * 5_000, "0a1b2c3d.ffffffff.", "0:1"])
def test_an_id_that_is_none_of_ours_is_a_reset(pod: LookUpPod, held: str) -> None:
    async def scenario() -> None:
        stream = open_stream(pod, held)
        reset, snapshot = await stream.next_events()
        assert (reset.event, reset.data["why"]) == ("reset", "unreadable_id")
        assert snapshot.event == "snapshot"
        await stream.go_away()

    run(scenario())


@pytest.mark.parametrize("catches_up", [True, False])
def test_a_pod_that_has_read_less_catches_up_first_or_resets(
    pod: LookUpPod, monkeypatch: pytest.MonkeyPatch, catches_up: bool
) -> None:
    monkeypatch.setattr(streaming, "CATCH_UP_S", 20.0 if catches_up else 0.02)

    async def scenario() -> None:
        ahead = LookUpPod()
        for fed in (ahead.fed,):
            fed.tell(counts(3, 10, held=2, largest=4, as_of_ms=5_000))
            fed.tell(counts(1, 5, as_of_ms=4_000), "B")
            fed.tell(counts(4, 1))
            fed.heartbeat()
        stream = open_stream(ahead)
        held = one(await stream.next_events()).id
        await stream.go_away()
        behind = open_stream(pod, held)
        await settle()
        assert behind.new_events() == []
        if catches_up:
            pod.fed.tell(counts(4, 1))
            delta = one(await behind.next_events())
            assert (delta.event, delta.data["sections"], delta.id) == ("delta", [], held)
        else:
            reset, snapshot = await behind.next_events()
            assert (reset.event, reset.data["why"]) == ("reset", "behind")
            assert snapshot.event == "snapshot"
        await behind.go_away()
        assert len(pod.fed.view._waiters) == 0

    run(scenario())


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "headers", "status", "reason"),
    [
        (PATH, {}, 401, "UNAUTHENTICATED"),
        ("/v1/events/99/availability/stream", TOKEN, 404, "NOT_FOUND"),
        (f"{PATH}?sections=Z", TOKEN, 404, "UNKNOWN_SECTION"),
        ("/v1/events/x/availability/stream", TOKEN, 400, "MALFORMED"),
        (f"{PATH}?sections=a", TOKEN, 400, "MALFORMED"),
        (f"{PATH}?max_staleness_ms=4", TOKEN, 400, "MALFORMED"),
        (f"{PATH}?on_stale=serve", TOKEN, 400, "MALFORMED"),
    ],
)
def test_a_stream_is_refused_as_a_look_up_is(
    pod: LookUpPod, target: str, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = asyncio.run(request(pod.app, target, headers=headers))
    assert (answer.status, answer.json["reason"]) == (status, reason)
    assert streams_of(pod.pod).open == 0


def test_a_cold_pod_opens_no_stream() -> None:
    answer = asyncio.run(request(LookUpPod().app, PATH, headers=TOKEN))
    assert (answer.status, answer.json["reason"]) == (503, "NOT_READY")


def test_so_many_streams_are_open_and_the_next_one_is_turned_away(
    pod: LookUpPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "STREAMS_MAX", 2)

    async def scenario() -> None:
        streams = [open_stream(pod) for _ in range(2)]
        await settle()
        answer = await request(pod.app, PATH, headers=TOKEN)
        assert (answer.status, answer.json["reason"]) == (429, "OVERLOADED")
        for stream in streams:
            await stream.go_away()

    run(scenario())


def test_a_stream_that_waits_to_go_on_takes_its_room_already(
    pod: LookUpPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all who come back at once pass a limit that counts only whom it has let in."""
    monkeypatch.setattr(streamed, "STREAMS_MAX", 1)

    async def scenario() -> None:
        ahead = Position.of(snapshot_of(pod.fed), "")
        held = str(replace(ahead, offsets={0: 10**6}))
        waiting = open_stream(pod, held)
        await until(lambda: len(pod.fed.view._waiters))
        refused = open_stream(pod, held)
        async with asyncio.timeout(60):
            await refused.task
        assert (refused.answer.status, refused.answer.json["reason"]) == (429, "OVERLOADED")
        await waiting.go_away()

    run(scenario())


# --- clients come and go ---------------------------------------------------------------------


def test_a_client_that_does_not_read_is_dropped_and_the_others_are_not_kept_waiting(
    pod: LookUpPod,
) -> None:
    async def scenario() -> None:
        slow, quick = open_stream(pod), open_stream(pod)
        await settle()
        slow.stop_reading()
        for version in range(4, 4 + 2 * streamed.QUEUED_FRAMES_MAX):
            pod.fed.tell(counts(version, 9, largest=4))
            await settle()
        async with asyncio.timeout(60):
            await slow.task
        assert not slow.is_over, "an orderly end would look complete"
        assert streams_of(pod.pod).open == 1
        assert pod.pod.metrics.streams_dropped._value.get() == 1
        assert len(quick.new_events()) == 1 + 2 * streamed.QUEUED_FRAMES_MAX
        await quick.go_away()

    run(scenario())


def test_a_client_that_takes_nothing_is_dropped_though_nothing_happens(
    pod: LookUpPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "STUCK_S", 0.0)

    async def scenario() -> None:
        stream = open_stream(pod)
        stream.stop_reading()
        async with asyncio.timeout(60):
            await stream.task
        assert streams_of(pod.pod).open == 0

    run(scenario())


def test_a_client_that_went_away_leaves_nothing_behind(pod: LookUpPod) -> None:
    async def scenario() -> None:
        tasks = asyncio.all_tasks()
        streams = [open_stream(pod, target=t) for t in (PATH, PATH, f"{PATH}?sections=A")]
        await settle()
        assert streams_of(pod.pod).open == 3
        for stream in streams:
            await stream.go_away()
        hub = streams_of(pod.pod)
        assert (hub.open, hub._channels, hub._channels_by_event) == (0, {}, {})
        await until(lambda: hub._keeper is None)
        assert pod.fed.view._listeners == ()
        assert asyncio.all_tasks() == tasks
        # The next one finds everything as the first one did.
        stream = open_stream(pod)
        assert one(await stream.next_events()).event == "snapshot"
        pod.fed.tell(counts(4, 9, largest=4))
        assert one(await stream.next_events()).event == "delta"
        await stream.go_away()

    run(scenario())
    gc.collect()


def test_a_pod_that_ends_ends_its_streams_in_order(pod: LookUpPod) -> None:
    async def scenario() -> None:
        stream = open_stream(pod)
        await settle()
        pod.pod.drain()
        async with asyncio.timeout(60):
            await stream.task
        assert stream.is_over
        answer = await request(pod.app, PATH, headers=TOKEN)
        assert answer.status == 503

    run(scenario())


def test_a_stream_ends_after_its_life(pod: LookUpPod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "LIFE_S", -1)

    async def scenario() -> None:
        stream = open_stream(pod)
        async with asyncio.timeout(60):
            await stream.task
        assert stream.is_over
        assert one(stream.new_events()).event == "snapshot"

    run(scenario())


# --- ages and comments -----------------------------------------------------------------------


def test_f81_a_stream_says_when_it_becomes_stale_and_fresh_again(pod: LookUpPod) -> None:
    async def scenario() -> None:
        stream = open_stream(pod)
        await stream.next_events()
        pod.fed.now_ms += 5_001
        stale = one(await stream.next_events())
        assert (stale.event, stale.id) == ("age", "")
        assert stale.data == {"staleness_ms": 5_001, "bound_ms": 5_000, "stale": True}
        pod.fed.heartbeat()
        fresh = one(await stream.next_events())
        assert fresh.data == {"staleness_ms": 0, "bound_ms": 5_000, "stale": False}
        await stream.go_away()

    run(scenario())


def test_an_idle_stream_gets_a_comment_when_it_is_its_turn(
    pod: LookUpPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "COMMENT_TICKS", 1)

    async def scenario() -> None:
        stream = open_stream(pod)
        await until(lambda: b"\n\n: stale" in stream.answer.body)
        await stream.go_away()

    run(scenario())
