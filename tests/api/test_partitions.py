"""A pod sells nothing over topics that have other partitions than they were made with."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pages.tokens import bearer
from support.pods.api_pods import client_of
from support.pods.reservation_pods import Feed, Seats, pod_over
from support.records.status_records import Fed, counts, value_of
from support.seats.section_commands import EVENT, PARTITIONS, A

from api.pod import Pod
from state.domain.keys import partition_of, section_key
from state.views.availability.statuses import SectionStatuses

ANN = {**bearer(sub="ann"), "Idempotency-Key": "k"}
BODY = {"section": A, "quantity": 1}


def view_of(made_with: int, found: int, sections: int) -> SectionStatuses:
    """Return a view over a topic whose records were written for fewer partitions than it has."""
    fed = Fed()
    fed.contents = fed.view.new_reading(found)
    for number in range(sections):
        key = section_key(EVENT, f"S{number}")
        value = value_of(counts(1, 5), f"S{number}")
        fed.feed(partition_of(key, made_with), key, value)
    fed.heartbeat()
    return fed.view


@given(st.integers(1, 40), st.integers(1, 40), st.integers(20, 400))
def test_c1_added_partitions_are_seen_by_where_the_records_lie(
    made_with: int, added: int, sections: int
) -> None:
    assert "partitions were added" in view_of(made_with, made_with + added, sections).misplaced()
    assert not view_of(made_with, made_with, sections).misplaced()


def test_c1_one_record_of_a_stranger_says_nothing_of_the_topic() -> None:
    fed = Fed()
    for number in range(8):
        fed.tell(counts(1, 5), f"S{number}")
    key = section_key(EVENT, "X")
    fed.feed((partition_of(key, 4) + 1) % 4, key, value_of(counts(1, 5), "X"))
    fed.heartbeat()
    assert not fed.view.misplaced()


def asked(
    view: SectionStatuses | None,
    happens: Callable[[Pod], None],
    judge: Callable[[httpx.AsyncClient, Seats], Awaitable[None]],
) -> None:
    async def go() -> None:
        seats = Seats().open("......")
        pod = pod_over(seats, view=view)
        happens(pod)
        async with client_of(pod) as client:
            await judge(client, seats)

    asyncio.run(go())


def grown(pod: Pod) -> None:
    """Have the outcomes read anew, with twice the partitions."""
    feed = pod.outcomes
    assert isinstance(feed, Feed)
    feed.publish(feed.new_reading(2 * PARTITIONS, "same"))


@pytest.mark.parametrize("what", ["at start", "while it runs"])
def test_c1_a_pod_over_topics_that_grew_is_not_ready_and_takes_no_command(what: str) -> None:
    async def judge(client: httpx.AsyncClient, seats: Seats) -> None:
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["parts"]["partitions"]) == (503, False)
        assert '"Partitions were added" in docs/operations.md' in ready.json()["partitions"]
        path = f"/v1/events/{EVENT}/reservations"
        refused = await client.post(path, json=BODY, headers=ANN)
        assert (refused.status_code, refused.json()["reason"]) == (503, "NOT_READY")
        assert not seats.sent

    if what == "at start":
        asked(view_of(4, 8, 40), lambda _: None, judge)
    else:
        asked(None, grown, judge)


def test_a_pod_over_topics_as_they_were_made_is_not_held_up() -> None:
    async def judge(client: httpx.AsyncClient, seats: Seats) -> None:
        assert (await client.get("/health/ready")).json()["parts"]["partitions"] is True
        path = f"/v1/events/{EVENT}/reservations"
        assert (await client.post(path, json=BODY, headers=ANN)).status_code == 201

    asked(view_of(4, 4, 40), lambda _: None, judge)
