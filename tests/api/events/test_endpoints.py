import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.pods.api_client import BUYER, client_of
from support.pods.conditions import until
from support.pods.event_log import ENCODE, EventLog, FollowedEvents
from support.records import event_values
from support.records.event_values import HOUR_MS, event, events

import api.standing
from api.events.catalogue import now_ms
from state.domain.event import Event, EventStatus, SaleState, SectionDescription, sale_state
from state.records.event import event_key

NOW_MS = now_ms()

Play = Callable[[httpx.AsyncClient, "Told"], Awaitable[None]]


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pod's clock stand: minutes may lie between a test's times and its turn."""
    monkeypatch.setattr("api.events.endpoints.now_ms", lambda: NOW_MS)


class Told:
    """A catalogue that is told by hand."""

    def __init__(self) -> None:
        self.log = EventLog()
        self.catalogue = FollowedEvents(self.log)
        self.reading = self.catalogue.reading

    def tell(self, *told: Event) -> None:
        for one in told:
            self.reading.apply(event_key(one.event_id), ENCODE(one))
        self.catalogue.changed(self.reading, [True])

    def publish(self) -> None:
        self.catalogue.publish(self.reading)


def on_sale(event_id: int, **changes: Any) -> Event:
    """Return an event that is on sale now and begins in two hours."""
    times = {
        "starts_at_ms": NOW_MS + 2 * HOUR_MS,
        "sale_starts_ms": NOW_MS - HOUR_MS,
        "sale_ends_ms": NOW_MS + HOUR_MS,
    }
    return event(event_id, **(times | changes))


def played(play: Play, *told: Event, ready: bool = True) -> None:
    async def run() -> None:
        known = Told()
        known.tell(*told)
        if ready:
            known.publish()
        async with client_of(catalogue=known.catalogue) as client:
            client.headers.update(BUYER)
            await play(client, known)

    asyncio.run(run())


def ids_of(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [one["event_id"] for one in answer.json()["events"]]


def of_today(one: Event) -> Event:
    """Move times to this day, at least half a minute away from this moment."""

    def moved(ms: int) -> int:
        return ms and NOW_MS + (ms - event_values.NOW_MS) // 60_000 * 60_000 + 30_000

    return replace(
        one,
        starts_at_ms=moved(one.starts_at_ms),
        sale_starts_ms=moved(one.sale_starts_ms),
        sale_ends_ms=moved(one.sale_ends_ms),
    )


@settings(max_examples=of_whole(30))
@given(
    st.lists(events.map(of_today), max_size=12, unique_by=lambda one: one.event_id),
    st.integers(1, 5),
    st.sampled_from([None, *SaleState]),
)
def test_pages_together_are_all_that_was_asked_for_and_in_order(
    told: list[Event], limit: int, state: SaleState | None
) -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        query: dict[str, Any] = {"limit": limit} | ({"sale_state": state} if state else {})
        found: list[int] = []
        while True:
            answer = await client.get("/v1/events", params=query)
            page = ids_of(answer)
            found += page
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                break
            assert len(page) == limit
            query["cursor"] = cursor
        expected = sorted(told, key=lambda one: (one.starts_at_ms, one.event_id))
        assert found == [
            one.event_id for one in expected if state is None or sale_state(one, NOW_MS) is state
        ]

    played(play, *told)


def test_events_are_searched_by_words_of_name_and_venue() -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        for words, expected in [
            ("beyonce", [1]),
            ("ARENA", [1, 2]),
            ("arena beyonce", [1]),
            ("opera arena", []),
            ("", [1, 2, 3]),
        ]:
            assert ids_of(await client.get("/v1/events", params={"search": words})) == expected

    played(
        play,
        on_sale(1, name="Beyoncé", venue="Arena North"),
        on_sale(2, name="Finals", venue="Arena South"),
        on_sale(3, name="Opera", venue=""),
    )


def test_an_event_is_shown_with_its_sale_at_this_moment() -> None:
    sections = (
        SectionDescription("A", "Block A", 100, 1, ("gold", "silver"), (4_500, 0)),
        SectionDescription("B", "Block B", 50, 1, ()),
    )

    async def play(client: httpx.AsyncClient, known: Told) -> None:
        answer = await client.get("/v1/events/7")
        assert answer.json() == {
            "event_id": 7,
            "name": "Concert",
            "venue": "Arena",
            "starts_at_ms": NOW_MS + 2 * HOUR_MS,
            "sale_starts_ms": NOW_MS - HOUR_MS,
            "sale_ends_ms": NOW_MS + HOUR_MS,
            "sale_state": "on_sale",
            "revision": 1,
            "capacity": 150,
            "sections": 2,
            "currency": "EUR",
            "max_seats_per_user": 0,
            "max_open_holds_per_user": 0,
            "admission_required": False,
        }
        listed = await client.get("/v1/events/7/sections")
        assert listed.json()["sections"] == [
            {
                "section": "A",
                "name": "Block A",
                "capacity": 100,
                "layout_version": 1,
                "categories": ["gold", "silver"],
                "prices": {"gold": 4_500, "silver": 0},
            },
            {
                "section": "B",
                "name": "Block B",
                "capacity": 50,
                "layout_version": 1,
                "categories": [],
                "prices": {},
            },
        ]

    played(play, on_sale(7, sections=sections, currency="EUR"))


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/7", "/v1/events/7/sections"])
def test_whoever_has_the_answer_gets_304_until_it_changes(path: str) -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        first = await client.get(path)
        etag = {"If-None-Match": first.headers["etag"]}
        assert (await client.get(path, headers=etag)).status_code == 304
        known.tell(on_sale(7, revision=2, name="Another", sections=()))
        changed = await client.get(path, headers=etag)
        assert changed.status_code == 200
        assert changed.headers["etag"] != first.headers["etag"]

    played(play, on_sale(7))


def test_an_etag_changes_with_the_sale_though_nothing_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        before = await client.get("/v1/events/7")
        monkeypatch.setattr("api.events.endpoints.now_ms", lambda: NOW_MS + HOUR_MS)
        headers = {"If-None-Match": before.headers["etag"]}
        after = await client.get("/v1/events/7", headers=headers)
        assert after.json()["sale_state"] == "closed"

    assert api.events.catalogue.now_ms() >= NOW_MS
    played(play, on_sale(7))


def test_a_revision_from_a_reply_is_waited_for() -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        query = {"min_revision": 2, "wait_ms": 10_000}
        asking = asyncio.create_task(client.get("/v1/events/7", params=query))
        await until(lambda: known.catalogue._wakers)
        known.tell(replace(on_sale(7), revision=2, status=EventStatus.CLOSED))
        assert (await asking).json()["sale_state"] == "closed"
        late = await client.get("/v1/events/7", params={"min_revision": 3, "wait_ms": 0})
        assert late.status_code == 409
        assert (late.json()["reason"], late.json()["revision"]) == ("NOT_YET", 2)
        assert not known.catalogue._wakers

    played(play, on_sale(7))


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/7", "/v1/events/7/sections"])
def test_before_the_topic_was_read_nothing_is_unknown(path: str) -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["reason"]) == (503, "NOT_READY")
        assert "retry-after" in answer.headers

    played(play, ready=False)


@pytest.mark.parametrize("path", ["/v1/events/8", "/v1/events/8/sections"])
def test_an_unknown_event_is_404(path: str) -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["reason"]) == (404, "NOT_FOUND")

    played(play, on_sale(7))


@pytest.mark.parametrize("path", ["/v1/events/8", "/v1/events/8/sections"])
def test_s8_a_pod_behind_another_pods_201_waits_for_the_event_and_does_not_deny_it(
    path: str,
) -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        known.log.append(event_key(8), ENCODE(on_sale(8)))
        asking = asyncio.create_task(client.get(path))
        await until(lambda: known.catalogue._wakers)
        known.tell(on_sale(8))
        known.reading.partitions[0].reached(1)
        known.catalogue.changed(known.reading, [True])
        answer = await asking
        assert (answer.status_code, answer.json()["event_id"]) == (200, 8)
        assert not known.catalogue._wakers

    played(play, on_sale(7))


@pytest.mark.parametrize("path", ["/v1/events/8", "/v1/events/8/sections"])
def test_s8_an_event_is_not_denied_while_the_brokers_do_not_answer(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.standing, "CERTAIN_S", 0.001)

    async def play(client: httpx.AsyncClient, known: Told) -> None:
        known.catalogue.is_cut_off = True
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["reason"]) == (503, "NOT_READY")
        assert "retry-after" in answer.headers
        # What is known is answered all the same.
        assert (await client.get("/v1/events/7")).status_code == 200

    played(play, on_sale(7))


def test_an_event_of_which_nobody_can_read_the_only_record_is_not_denied() -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        known.reading.apply(event_key(8), b"noise")
        known.reading.apply(event_key(7), b"noise")
        answer = await client.get("/v1/events/8")
        assert (answer.status_code, answer.json()["reason"]) == (503, "NOT_READY")
        # What was readable before stands.
        assert (await client.get("/v1/events/7")).status_code == 200
        assert (await client.get("/v1/events/9")).status_code == 404
        known.reading.apply(event_key(8), None)
        assert (await client.get("/v1/events/8")).status_code == 404
        known.reading.apply(event_key(8), b"noise")
        known.tell(on_sale(8))
        assert (await client.get("/v1/events/8")).status_code == 200

    played(play, on_sale(7))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/events?limit=0",
        "/v1/events?limit=101",
        "/v1/events?sale_state=sold",
        "/v1/events?cursor=x",
        "/v1/events?cursor=!!!!",
        f"/v1/events?search={'x' * 101}",
        "/v1/events/x",
        "/v1/events/9223372036854775808",
        "/v1/events/7?min_revision=-1",
    ],
)
def test_what_fits_nothing_is_refused(path: str) -> None:
    async def play(client: httpx.AsyncClient, known: Told) -> None:
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["reason"]) == (400, "MALFORMED")
        del client.headers["Authorization"]
        assert (await client.get(path)).status_code == 401

    played(play, on_sale(7))
