"""What a buyer was told of a reservation is never taken back, whatever lags behind whatever."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pages.tokens import bearer
from support.pods.api_pods import client_of
from support.pods.reservation_pods import Feed, Owners, Seats, pod_over
from support.seats.section_commands import EVENT, A, confirm, extend, release, tick

from api.pod import Pod
from state.domain.keys import issued_id, stem_of
from state.domain.outcome import Place, place_of
from state.owners.questions import OwnerNotReady, OwnerUnreachable

PATH = f"/v1/events/{EVENT}/reservations"
ANN = bearer(sub="ann")
AT_ONCE = {**ANN, "Prefer": "wait=0"}
KEYS = ("k0", "k1", "k2")
ID_BY_KEY = {key: issued_id(stem_of("ann", key), 0) for key in KEYS}

pods = st.integers(0, 1)
keys = st.sampled_from(KEYS)
steps = st.one_of(
    st.tuples(st.just("reserve"), pods, keys),
    st.tuples(st.just("get"), pods, keys),
    st.tuples(st.just("get"), pods, keys),
    st.tuples(st.just("release"), pods, keys),
    st.tuples(st.just("change"), st.sampled_from(["confirm", "extend", "release"]), keys),
    st.tuples(st.just("pass"), st.integers(100, 1_500)),
    st.tuples(st.just("lags"), pods, st.booleans()),
    st.tuples(st.just("catches up"), pods, st.integers(0, 3)),
    st.tuples(st.just("is cut off"), pods, st.booleans()),
    st.tuples(st.just("forgets"), pods),
    st.tuples(st.just("owner lags"), pods, st.booleans()),
    st.tuples(st.just("owner fails"), pods, st.booleans()),
)


@dataclass
class Story:
    """Two pods over the same seats, and what their clients were told.

    shown: the newest decision that each pod showed of each reservation.
    told:  reservations that anybody was told to exist.
    """

    seats: Seats
    pods: list[Pod]
    clients: list[httpx.AsyncClient]
    shown: dict[tuple[int, str], Place] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def feed(self, pod: int) -> Feed:
        feed = self.pods[pod].outcomes
        assert isinstance(feed, Feed)
        return feed

    def owners(self, pod: int) -> Owners:
        owners: Any = self.pods[pod].owners
        assert isinstance(owners, Owners)
        return owners

    async def step(self, name: str, *given: Any) -> None:
        match name, *given:
            case "reserve", pod, key:
                headers = {**AT_ONCE, "Idempotency-Key": key}
                body = {"section": A, "quantity": 1}
                answer = await self.clients[pod].post(PATH, json=body, headers=headers)
                assert answer.status_code in {201, 202, 409, 503}, answer.text
                if answer.status_code == 201:
                    self.told.add(ID_BY_KEY[key])
            case "get", pod, key:
                await self.get(pod, ID_BY_KEY[key])
            case "release", pod, key:
                place = f"/v1/reservations/{ID_BY_KEY[key]}"
                answer = await self.clients[pod].delete(place, headers=AT_ONCE)
                self.judge(pod, ID_BY_KEY[key], answer)
            case "change", what, key:
                self.seats.append(0, self.command(what, ID_BY_KEY[key]))
            case "pass", ms:
                self.seats.partitions[0].now_ms += ms
                self.seats.append(0, tick(self.seats.partitions[0].now_ms))
            case "lags", pod, does:
                self.feed(pod).lags = does
            case "catches up", pod, records:
                self.feed(pod).catch_up(0 if self.feed(pod).is_stale else records)
            case "is cut off", pod, is_so:
                # Who comes back has not read what came meanwhile.
                self.feed(pod).is_stale = self.feed(pod).lags = is_so
            case "forgets", pod:
                self.feed(pod).forget()
            case "owner lags", pod, does:
                owners = self.owners(pod)
                owners.behind = {0: owners.stored(0)} if does else {}
            case "owner fails", pod, does:
                self.owners(pod).failure = OwnerUnreachable("away") if does else None

    def command(self, what: str, reservation_id: str) -> tuple[bytes | None, bytes | None]:
        if what == "confirm":
            return confirm(reservation_id, user="ann")
        if what == "extend":
            return extend(reservation_id, user="ann")
        return release(reservation_id, user="ann")

    async def get(self, pod: int, reservation_id: str) -> httpx.Response:
        answer = await self.clients[pod].get(f"/v1/reservations/{reservation_id}", headers=AT_ONCE)
        self.judge(pod, reservation_id, answer)
        return answer

    def judge(self, pod: int, reservation_id: str, answer: httpx.Response) -> None:
        assert answer.status_code in {200, 202, 404, 409, 503}, answer.text
        if answer.status_code == 404:
            assert reservation_id not in self.told, "told, and then taken back"
        if answer.status_code != 200:
            return
        self.told.add(reservation_id)
        place = place_of(answer.json()["outcome_id"].encode())
        former = self.shown.get((pod, reservation_id))
        if answer.request.method == "GET":
            assert former is None or former <= place, "shown as it was before"
        self.shown[pod, reservation_id] = max(place, former or place)


async def told(steps_taken: list[tuple[Any, ...]]) -> None:
    async with asyncio.timeout(60):
        seats = Seats().open("." * 12, hold_ms=2_000, max_hold_ms=8_000)
        pair = [pod_over(seats, wait_ms=50) for _ in range(2)]
        async with client_of(pair[0]) as one, client_of(pair[1]) as two:
            story = Story(seats, pair, [one, two])
            for step in steps_taken:
                await story.step(*step)
            for pod in range(2):
                for step in (("is cut off", pod, False), ("owner lags", pod, False)):
                    await story.step(*step)
                await story.step("owner fails", pod, False)
                story.feed(pod).lags = False
            stored = story.owners(0).stored(0)[1]
            for reservation_id in ID_BY_KEY.values():
                for pod in range(2):
                    answer = await story.get(pod, reservation_id)
                    is_stored = b"r" + reservation_id.encode() in stored
                    assert answer.status_code == (200 if is_stored else 404)


@given(st.lists(steps, min_size=1, max_size=25))
@settings(deadline=None)
def test_s8_what_was_told_is_never_taken_back(taken: list[tuple[Any, ...]]) -> None:
    asyncio.run(told(taken))


def test_s8_a_pod_that_calls_itself_stale_does_not_forget_what_it_told() -> None:
    async def test() -> None:
        seats = Seats().open("." * 12)
        pod = pod_over(seats)
        async with client_of(pod) as client:
            story = Story(seats, [pod], [client])
            owners = story.owners(0)
            # The owner writes its store after the commit that the pod reads.
            owners.behind = {0: owners.stored(0)}
            await story.step("reserve", 0, "k0")
            assert ID_BY_KEY["k0"] in story.told
            story.feed(0).is_stale = True
            assert (await story.get(0, ID_BY_KEY["k0"])).status_code == 503
            owners.behind = {}
            assert (await story.get(0, ID_BY_KEY["k0"])).status_code == 200

    asyncio.run(test())


def test_s8_a_pod_asked_for_what_another_told_says_not_found_only_when_it_is_certain() -> None:
    async def test() -> None:
        seats = Seats().open("." * 12)
        pair = [pod_over(seats) for _ in range(2)]
        async with client_of(pair[0]) as one, client_of(pair[1]) as two:
            story = Story(seats, pair, [one, two])
            owners, feed = story.owners(1), story.feed(1)
            owners.behind = {0: owners.stored(0)}
            feed.is_stale = feed.lags = True
            await story.step("reserve", 0, "k0")
            # Neither its memory nor the owner's store has it, and the brokers do not answer.
            assert (await story.get(1, ID_BY_KEY["k0"])).status_code == 503
            await story.step("release", 1, "k0")
            feed.is_stale = False
            assert (await story.get(1, ID_BY_KEY["k0"])).status_code == 200
            assert (await story.get(1, ID_BY_KEY["k1"])).status_code == 503
            owners.behind = {}
            assert (await story.get(1, ID_BY_KEY["k1"])).status_code == 404

    asyncio.run(test())


def test_s8_what_an_owner_told_is_not_undone_by_a_memory_that_lags() -> None:
    async def test() -> None:
        seats = Seats().open("." * 12)
        pod = pod_over(seats)
        async with client_of(pod) as client:
            story = Story(seats, [pod], [client])
            await story.step("reserve", 0, "k0")
            feed = story.feed(0)
            feed.is_stale = feed.lags = True
            await story.step("change", "confirm", "k0")
            assert (await story.get(0, ID_BY_KEY["k0"])).json()["status"] == "SOLD"
            # Young enough again to be asked, and not as far as the owner was.
            feed.is_stale = False
            assert (await story.get(0, ID_BY_KEY["k0"])).json()["status"] == "SOLD"
            story.owners(0).failure = OwnerNotReady("restores")
            assert (await story.get(0, ID_BY_KEY["k0"])).status_code == 503
            feed.catch_up(9)
            assert (await story.get(0, ID_BY_KEY["k0"])).json()["status"] == "SOLD"

    asyncio.run(test())
