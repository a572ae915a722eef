import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.api_client import BUYER, client_of
from support.pods.told_seats import PRICES, ROWS, Decided, Owners, records
from support.records.status_records import EVENT, Fed, counts
from support.seats.seatmap import category_of

from state.domain.layout import Layout, Row
from state.owners.lookup import SectionRecords
from state.owners.questions import OwnerNotReady, OwnerUnreachable

SEATS = f"/v1/events/{EVENT}/sections/A/seats"
LAYOUT = f"/v1/events/{EVENT}/sections/A/layout"

Play = Callable[[httpx.AsyncClient, Owners, Fed], Awaitable[None]]


def played(play: Play, told: SectionRecords | None = None) -> None:
    """Play a scenario with a pod whose owners know section A."""

    async def run() -> None:
        owners, fed = Owners(), Fed()
        fed.heartbeat()
        if told is not None:
            owners.tell(EVENT, "A", told)
        async with client_of(owners=owners, view=fed.view, outcomes=Decided()) as client:
            client.headers.update(BUYER)
            await play(client, owners, fed)

    asyncio.run(run())


def scenario(play: Play) -> Callable[[], None]:
    def run() -> None:
        played(play, records(5, (0, 0), (0, 5), (2, 8)))

    run.__name__ = play.__name__
    return run


def free_in_bitmap(body: Any) -> set[tuple[int, int]]:
    """Read a bitmap as its documentation says."""
    data, at, free = b64decode(body["bitmap"]), 0, set()
    for row, seats in enumerate(body["row_seats"]):
        size = (seats + 7) // 8
        bits = int.from_bytes(data[at : at + size], "little")
        free |= {(row, seat) for seat in range(seats) if bits >> seat & 1}
        at += size
    assert at == len(data)
    return free


def free_in_ranges(body: Any) -> set[tuple[int, int]]:
    return {
        (row, first + seat) for row, first, seats in body["free_ranges"] for seat in range(seats)
    }


@st.composite
def sections(draw: st.DrawFn) -> SectionRecords:
    rows = []
    for index in range(draw(st.integers(1, 4))):
        seats = draw(st.integers(1, 40))
        aisles = draw(st.sets(st.integers(1, seats - 1), max_size=3)) if seats > 1 else set()
        rows.append(Row(str(index), seats, aisles=tuple(sorted(aisles))))
    layout = Layout.of(rows)
    free = tuple(draw(st.integers(0, (1 << seats) - 1)) for seats in layout.seat_counts)
    return records(3, rows=tuple(rows))._replace(free=free)


@given(sections())
def test_both_forms_tell_exactly_the_free_seats(told: SectionRecords) -> None:
    async def play(client: httpx.AsyncClient, owners: Owners, fed: Fed) -> None:
        expected = {
            (row, seat)
            for row, seats in enumerate(told.layout.seat_counts)
            for seat in range(seats)
            if told.free[row] >> seat & 1
        }
        bitmap = (await client.get(SEATS)).json()
        sparse = (await client.get(SEATS, params={"format": "sparse"})).json()
        assert free_in_bitmap(bitmap) == free_in_ranges(sparse) == expected
        assert bitmap["free"] == len(expected)
        for row, first, seats in sparse["free_ranges"]:
            # Neighbours are those between whom there is no aisle.
            assert not set(range(first + 1, first + seats)) & set(told.plan.rows[row].aisles)

    played(play, told)


@scenario
async def test_a_seat_map_by_hand(client: httpx.AsyncClient, owners: Owners, fed: Fed) -> None:
    answer = await client.get(SEATS, params={"format": "sparse"})
    assert answer.status_code == 200
    assert answer.json() == {
        "event_id": EVENT,
        "section": "A",
        "layout_version": 1,
        "version": 5,
        "as_of_ms": 1_764_000_000_005,
        "capacity": 22,
        "free": 19,
        "row_seats": [10, 3, 9],
        "currency": "EUR",
        "prices": {"gold": 4_500, "silver": 0},
        # An aisle lies before seat 4 of row 0, so neighbours end there.
        "free_ranges": [[0, 1, 3], [0, 4, 1], [0, 6, 4], [1, 0, 3], [2, 0, 8]],
    }
    bitmap = (await client.get(SEATS)).json()["bitmap"]
    assert b64decode(bitmap) == bytes([0b11011110, 0b11, 0b111, 0b11111111, 0b0])


@scenario
async def test_a_layout_says_what_tickets_say(
    client: httpx.AsyncClient, owners: Owners, fed: Fed
) -> None:
    body = (await client.get(LAYOUT)).json()
    assert (body["layout_version"], body["capacity"]) == (1, 22)
    assert (body["max_seats_per_hold"], body["hold_ms"], body["orphan_rule"]) == (
        8,
        600_000,
        "prefer",
    )
    assert (body["currency"], body["prices"]) == ("EUR", dict(PRICES.amounts))
    for row, told in zip(ROWS, body["rows"], strict=True):
        for seat in range(row.seat_count):
            by_step = str(told["first_number"] + seat * told["number_step"])
            labels = told["seat_labels"]
            assert (labels[seat] if labels else by_step) == row.seat_label(seat)
            categories = told["seat_categories"]
            category = categories[seat] if categories else told["category"]
            assert category == category_of(row, seat)
        assert told["aisles"] == list(row.aisles)


@scenario
async def test_whoever_has_the_seats_gets_304_until_one_changes(
    client: httpx.AsyncClient, owners: Owners, fed: Fed
) -> None:
    first = await client.get(SEATS)
    etag = first.headers["etag"]
    assert not etag.startswith("W/")
    again = await client.get(SEATS, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await client.get(SEATS, params={"format": "sparse"}, headers={"If-None-Match": etag})
    assert other.status_code == 200
    owners.tell(EVENT, "A", records(6))
    changed = await client.get(SEATS, params={"min_version": 6}, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


@scenario
async def test_a_layout_may_be_kept_for_ever_under_its_version(
    client: httpx.AsyncClient, owners: Owners, fed: Fed
) -> None:
    free = await client.get(LAYOUT)
    assert free.headers["cache-control"] == "private, no-cache"
    named = await client.get(LAYOUT, params={"layout_version": 1})
    assert "immutable" in named.headers["cache-control"]
    assert named.content == free.content
    newer = await client.get(LAYOUT, params={"layout_version": 2})
    assert (newer.status_code, newer.json()["reason"]) == (409, "NOT_YET")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (OwnerNotReady("restores"), 503, "NOT_READY"),
        (OwnerUnreachable("gone"), 503, "OWNER_UNREACHABLE"),
        (None, 404, "UNKNOWN_SECTION"),
    ],
)
@pytest.mark.parametrize("path", [SEATS, LAYOUT])
def test_not_ready_unreachable_and_unknown_are_told_apart(
    path: str, error: Exception | None, status: int, reason: str
) -> None:
    async def play(client: httpx.AsyncClient, owners: Owners, fed: Fed) -> None:
        owners.error = error
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)
        assert ("retry-after" in answer.headers) == (status == 503)

    played(play)


@pytest.mark.parametrize("path", [SEATS, LAYOUT])
def test_s8_a_section_is_not_denied_while_the_brokers_do_not_tell(path: str) -> None:
    async def play(client: httpx.AsyncClient, owners: Owners, fed: Fed) -> None:
        decided = Decided()
        decided.is_told = False
        async with client_of(owners=owners, view=fed.view, outcomes=decided) as other:
            answer = await other.get(path, headers=BUYER)
        assert (answer.status_code, answer.json()["reason"]) == (503, "NOT_READY")

    played(play)


@scenario
async def test_a_version_from_a_reply_is_waited_for(
    client: httpx.AsyncClient, owners: Owners, fed: Fed
) -> None:
    asking = asyncio.create_task(
        client.get(SEATS, params={"consistency_token": f"{EVENT}-A:6", "wait_ms": 10_000})
    )
    await owners.was_asked.wait()
    owners.tell(EVENT, "A", records(6))
    assert (await asking).json()["version"] == 6
    late = await client.get(SEATS, params={"min_version": 7, "wait_ms": 0})
    assert (late.status_code, late.json()["reason"], late.json()["version"]) == (409, "NOT_YET", 6)


@scenario
async def test_s3_a_token_of_what_a_restore_took_away_is_told_and_not_waited_for(
    client: httpx.AsyncClient, owners: Owners, fed: Fed
) -> None:
    # The owner has version 5 as of a later time than the token's.
    asked = {"consistency_token": f"{EVENT}-A:6:1764000000004", "wait_ms": "60000"}
    answer = await client.get(SEATS, params=asked)
    assert (answer.status_code, answer.json()["reason"]) == (409, "ANOTHER_LOG")
    asked["consistency_token"] = f"{EVENT}-A:5:1764000000004"
    assert (await client.get(SEATS, params=asked)).status_code == 200


@scenario
async def test_many_buyers_of_one_section_cost_its_owner_one_look_up(
    client: httpx.AsyncClient, owners: Owners, fed: Fed
) -> None:
    fed.tell(counts(5, 19))
    fed.heartbeat()
    answers = await asyncio.gather(*(client.get(SEATS) for _ in range(30)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(owners.asked) == 1
    age_ms = {answer.headers["seatstream-staleness-ms"] for answer in answers}
    assert age_ms == {"0"}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/events/-1/sections/A/seats", {}),
        ("/v1/events/9223372036854775808/sections/A/seats", {}),
        ("/v1/events/7/sections/a/seats", {}),
        (f"/v1/events/7/sections/{'A' * 33}/layout", {}),
        (SEATS, {"format": "xml"}),
        (SEATS, {"min_version": "-1"}),
        (SEATS, {"consistency_token": "7-B:3"}),
        (SEATS, {"consistency_token": "7-A:x"}),
        (LAYOUT, {"layout_version": "0"}),
    ],
)
def test_what_fits_nothing_is_refused_and_asked_of_nobody(
    path: str, query: dict[str, str]
) -> None:
    async def play(client: httpx.AsyncClient, owners: Owners, fed: Fed) -> None:
        answer = await client.get(path, params=query)
        assert (answer.status_code, answer.json()["reason"]) == (400, "MALFORMED")
        assert not owners.asked

    played(play)


@scenario
async def test_a_token_is_demanded(client: httpx.AsyncClient, owners: Owners, fed: Fed) -> None:
    del client.headers["Authorization"]
    assert (await client.get(SEATS)).status_code == 401
