"""Requests that wait: where the demand is, while the client is there, a share for each user."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pages.tokens import bearer
from support.pods.api_pods import pod_with
from support.pods.asgi_client import request, scope_of
from support.pods.asgi_stream import Stream
from support.pods.conditions import until
from support.pods.event_log import ENCODE, EventLog
from support.pods.look_ups import TOKEN, LookUpPod
from support.pods.reservation_pods import Seats, pod_over
from support.pods.told_seats import Decided, Owners, records
from support.records.event_values import event
from support.records.status_records import EVENT, PARTITIONS, Fed, counts
from support.seats.section_commands import A

from api.app import create_app
from api.availability.endpoints import lookups_of
from api.availability.stream import streams_of
from api.commands import desk as answers
from api.web.waits import USER_WAITS_MAX, ClientGone, while_here
from state.domain.keys import issued_id, stem_of

PATH = f"/v1/events/{EVENT}/availability"
SECTIONS = 800
BOB = bearer(sub="bob", roles=["buyer"])


def run(scenario: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(bounded())


@pytest.fixture
def large() -> LookUpPod:
    """Give a pod with an event of 800 sections."""
    pod = LookUpPod()
    for number in range(SECTIONS):
        pod.fed.tell(counts(1, 5), f"S{number}")
    pod.fed.heartbeat()
    return pod


class Questions:
    """Counts how often the view is asked whether a demand is met."""

    def __init__(self, pod: LookUpPod, patch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        is_met = pod.fed.view.is_met

        def counted(demand: Any) -> bool:
            self.asked += 1
            return is_met(demand)

        patch.setattr(pod.fed.view, "is_met", counted)


def test_s10_a_token_is_waited_for_at_its_section_alone(
    large: LookUpPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = Questions(large, monkeypatch)

    async def scenario() -> None:
        target = f"{PATH}?consistency_token={EVENT}-S3:2"
        asked = [Stream(large.app, target, TOKEN) for _ in range(USER_WAITS_MAX)]
        waiters = large.fed.view._waiters
        await until(lambda: len(waiters) == USER_WAITS_MAX)
        assert list(waiters._by_section) == [(EVENT, "S3")]
        questions.asked = 0
        # Neither heartbeats nor other sections have anything to do with it.
        for _ in range(10):
            large.fed.heartbeat()
        for number in range(100, 200):
            large.fed.tell(counts(2, 4), f"S{number}")
        assert questions.asked == 0
        large.fed.tell(counts(2, 4), "S3")
        await asyncio.gather(*(one.task for one in asked))
        assert {one.answer.status for one in asked} == {200}
        assert not waiters

    run(scenario())


def test_s10_an_age_of_a_large_event_costs_a_heartbeat_one_question_a_partition(
    large: LookUpPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = Questions(large, monkeypatch)
    large.fed.now_ms += 400

    async def scenario() -> None:
        target = f"{PATH}?max_staleness_ms=100"
        asked = [Stream(large.app, target, TOKEN) for _ in range(USER_WAITS_MAX)]
        await until(lambda: len(large.fed.view._waiters) == USER_WAITS_MAX)
        questions.asked = 0
        large.fed.heartbeat(large.fed.now_ms - 200)
        assert questions.asked <= PARTITIONS * USER_WAITS_MAX
        large.fed.heartbeat()
        await asyncio.gather(*(one.task for one in asked))
        assert {one.answer.status for one in asked} == {200}

    run(scenario())


@given(st.data())
def test_the_oldest_of_some_sections_are_as_old_as_all_of_them(data: st.DataObject) -> None:
    fed = Fed()
    for number in range(12):
        fed.tell(counts(1, 5), f"S{number}")
    fed.heartbeat()
    fed.now_ms += 1_000
    for partition in data.draw(st.sets(st.integers(0, PARTITIONS - 1))):
        known = fed.contents.partitions[partition]
        known.ends_at(known.position, fed.now_ms * 1_000_000)
    for number in data.draw(st.sets(st.integers(0, 11), max_size=3)):
        fed.spoil(f"S{number}")
    names = [f"S{number}" for number in data.draw(st.sets(st.integers(0, 13)))]
    few = fed.view.oldest_of(EVENT, names)
    assert set(few) <= set(names or fed.view.sections(EVENT))
    answers = fed.view.sections(EVENT)

    def oldest(some: list[str]) -> int:
        return max((answers[name].staleness_ms for name in some if name in answers), default=0)

    assert oldest(few) == oldest(names or list(answers))


def test_f6_a_wait_ends_with_its_client(large: LookUpPod) -> None:
    async def scenario() -> None:
        waits = lookups_of(large.pod).waits
        for demand in (f"consistency_token={EVENT}-S3:2", "max_staleness_ms=0"):
            large.fed.now_ms += 10
            gone = Stream(large.app, f"{PATH}?{demand}&wait_ms=10000", TOKEN)
            await until(lambda: len(waits) == 1)
            await gone.go_away()
            assert gone.answer.status == 0
            assert not waits
            assert not large.fed.view._waiters

    run(scenario())


def test_f6_a_long_poll_of_a_reservation_ends_with_its_client() -> None:
    async def scenario() -> None:
        seats = Seats().open("......")
        pod = pod_over(seats)
        app = create_app(pod.settings, pod)
        headers = {**TOKEN, "Prefer": "wait=9"}
        gone = Stream(app, f"/v1/reservations/{issued_id('a' * 26, 0)}", headers)
        feed: Any = pod.outcomes
        await until(lambda: feed.waiting_now() == 1)
        await gone.go_away()
        assert (feed.waiting_now(), len(pod.waits), gone.answer.status) == (0, 0, 0)

    run(scenario())


def test_f6_nobody_waits_for_the_outcome_of_a_client_that_went(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "APPEND_WAIT_S", 0.01)

    async def scenario() -> None:
        seats = Seats(holds_back=True).open("......")
        seats.decide()
        pod = pod_over(seats)
        app = create_app(pod.settings, pod)
        place = f"/v1/events/{EVENT}/reservations"
        gone = asyncio.Event()
        messages: list[Any] = [
            {"type": "http.request", "body": b'{"section":"%b","quantity":1}' % A.encode()}
        ]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        headers = {
            **BOB,
            "Prefer": "wait=9",
            "Idempotency-Key": "k",
            "Content-Type": "application/json",
        }
        asked = asyncio.ensure_future(app(scope_of("POST", place, headers), receive, send))
        await until(lambda: seats.sent)
        gone.set()
        await asked
        feed: Any = pod.outcomes
        assert (feed.waiting_now(), len(pod.desk.in_flight)) == (0, 0)
        # The command stays on its way.
        seats.decide()
        assert feed.get(issued_id(stem_of("bob", "k"), 0).encode()) is not None

    run(scenario())


def test_f6_a_wait_for_an_event_ends_with_its_client() -> None:
    async def scenario() -> None:
        log = EventLog()
        log.append(b"7", ENCODE(event(EVENT)))
        catalogue = log.catalogue()
        pod = pod_with(catalogue=catalogue)
        app = create_app(pod.settings, pod)
        gone = Stream(app, f"/v1/events/{EVENT}?min_revision=99&wait_ms=10000", TOKEN)
        await until(lambda: len(pod.waits) == 1)
        await gone.go_away()
        assert (len(pod.waits), len(catalogue._wakers), gone.answer.status) == (0, 0, 0)

    run(scenario())


def test_f6_a_wait_for_a_seat_map_ends_with_its_client() -> None:
    async def scenario() -> None:
        owners, fed = Owners(), Fed()
        fed.heartbeat()
        owners.tell(EVENT, "A", records(5, (0, 0)))
        whose: Any = owners
        decided: Any = Decided()
        pod = pod_with(owners=whose, view=fed.view, outcomes=decided)
        app = create_app(pod.settings, pod)
        target = f"/v1/events/{EVENT}/sections/A/seats?min_version=9&wait_ms=10000"
        gone = Stream(app, target, TOKEN)
        await until(lambda: len(pod.waits) == 1)
        await gone.go_away()
        assert (len(pod.waits), gone.answer.status) == (0, 0)

    run(scenario())


def test_s10_one_user_holds_a_share_of_the_waits_and_another_still_waits(
    large: LookUpPod,
) -> None:
    async def scenario() -> None:
        target = f"{PATH}?consistency_token={EVENT}-S3:2&wait_ms=10000"
        mine = [Stream(large.app, target, TOKEN) for _ in range(USER_WAITS_MAX)]
        await until(lambda: len(large.fed.view._waiters) == USER_WAITS_MAX)
        refused = await request(large.app, target, headers=TOKEN)
        assert (refused.status, refused.json["reason"]) == (429, "OVERLOADED")
        others = Stream(large.app, target, BOB)
        await until(lambda: len(large.fed.view._waiters) == USER_WAITS_MAX + 1)
        # Who waits for nothing is answered as ever.
        assert (await request(large.app, PATH, headers=TOKEN)).status == 200
        large.fed.tell(counts(2, 4), "S3")
        await asyncio.gather(*(one.task for one in (*mine, others)))
        assert others.answer.status == 200
        assert not lookups_of(large.pod).waits._room._by_key

    run(scenario())


def test_f6_one_user_holds_a_share_of_the_streams() -> None:
    pod = LookUpPod(streams_per_user=2)
    pod.fed.tell(counts(1, 5))
    pod.fed.heartbeat()

    async def scenario() -> None:
        target = f"{PATH}/stream"
        mine = [Stream(pod.app, target, TOKEN) for _ in range(2)]
        await until(lambda: streams_of(pod.pod).open == 2)
        refused = await request(pod.app, target, headers=TOKEN)
        assert (refused.status, refused.json["reason"]) == (429, "OVERLOADED")
        others = Stream(pod.app, target, BOB)
        await until(lambda: streams_of(pod.pod).open == 3)
        await mine[0].go_away()
        again = Stream(pod.app, target, TOKEN)
        await until(lambda: streams_of(pod.pod).open == 3)
        for stream in (mine[1], others, again):
            await stream.go_away()
        assert not streams_of(pod.pod)._room._by_key

    run(scenario())


def test_a_stream_that_waits_to_go_on_waits_by_the_heartbeats_alone(large: LookUpPod) -> None:
    async def scenario() -> None:
        first = Stream(large.app, f"{PATH}/stream", TOKEN)
        [snapshot] = await first.next_events()
        await first.go_away()
        tag, names, proof, _ = snapshot.id.split(".")
        ahead = f"{tag}.{names}.{proof}." + "-".join(
            f"{number}:99999" for number in range(PARTITIONS)
        )
        gone = Stream(large.app, f"{PATH}/stream", {**TOKEN, "Last-Event-ID": ahead})
        waiters = large.fed.view._waiters
        await until(lambda: len(waiters) == 1)
        assert not waiters._by_section
        await gone.go_away()
        assert not waiters
        assert streams_of(large.pod).open == 0

    run(scenario())


@given(st.booleans(), st.integers(0, 3))
def test_what_is_waited_for_is_returned_and_nothing_is_left_behind(goes: bool, turns: int) -> None:
    async def scenario() -> None:
        came, gone = asyncio.Event(), asyncio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def waiting() -> str:
            await came.wait()
            return "came"

        asked = asyncio.ensure_future(while_here(receive, waiting()))
        for _ in range(turns):
            await asyncio.sleep(0)
        (gone if goes else came).set()
        if goes:
            with pytest.raises(ClientGone):
                await asked
        else:
            assert await asked == "came"
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())
