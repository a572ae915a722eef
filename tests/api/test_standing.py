"""How reservations stand, by a pod's memory and by their owners."""

import asyncio

import httpx
from support.pods.conditions import until
from support.pods.reservation_pods import Seats
from support.pods.reservations_asked import (
    ANN,
    asking,
    create,
    feed_of,
    owners_of,
    problem,
    waiting,
)
from support.seats.section_commands import confirm, tick

from api.pod import Pod
from state.owners.questions import OwnerNotReady, OwnerUnreachable


def test_an_old_reservation_is_read_from_its_owner_and_reads_the_same() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        created = await create(client)
        place = created.headers["location"]
        feed_of(pod).forget()
        assert (await client.get(place, headers=ANN)).content == created.content
        seats.partitions[0].now_ms += 10_000
        seats.append(0, tick(seats.partitions[0].now_ms))
        lapsed = await client.get(place, headers=ANN)
        assert (lapsed.json()["status"], lapsed.json()["cause"]) == ("RELEASED", "LAPSED")
        feed_of(pod).forget()
        assert (await client.get(place, headers=ANN)).content == lapsed.content
        # The one who would give it back finds the same there.
        assert (await client.delete(place, headers=ANN)).content == lapsed.content

    asking(test, hold_ms=2_000, max_hold_ms=2_000)


def test_not_found_not_ready_and_unreachable_are_told_apart() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        place = (await create(client)).headers["location"]
        quick = {**ANN, "Prefer": "wait=0"}
        owners = owners_of(pod)
        feed_of(pod).forget()
        owners.failure = OwnerNotReady("restores")
        problem(await client.get(place, headers=quick), 503, "NOT_READY")
        owners.failure = OwnerUnreachable("10.0.0.1")
        told = problem(await client.get(place, headers=quick), 503, "OWNER_UNREACHABLE")
        assert "10.0.0.1" not in str(told)
        owners.failure = None
        asked = owners.asked
        for unknown in (f"{'a' * 26}-0", f"{'a' * 26}-{99}", "made-elsewhere"):
            problem(
                await client.get(f"/v1/reservations/{unknown}", headers=quick),
                404,
                "UNKNOWN_RESERVATION",
            )
        assert owners.asked == asked + 1

    asking(test)


def test_f81_a_pod_that_is_cut_off_asks_the_owner_instead_of_its_memory() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        created = await create(client)
        feed = feed_of(pod)
        seats.feeds.remove(feed)
        feed.is_stale = True
        seats.append(0, confirm(created.json()["reservation_id"], user="ann"))
        shown = await client.get(created.headers["location"], headers=ANN)
        assert shown.json()["status"] == "SOLD"

    asking(test)


def test_a_long_poll_ends_when_the_reservation_has_changed_or_time_is_over() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        created = await create(client)
        place, body = created.headers["location"], created.json()
        changed = f"{place}?changed_from={body['outcome_id']}"
        same = await client.get(changed, headers={**ANN, "Prefer": "wait=0"})
        assert same.content == created.content
        poll = asyncio.create_task(client.get(changed, headers={**ANN, "Prefer": "wait=9"}))
        await until(lambda: waiting(pod) > 0)
        # A repeat of the first outcome is no change.
        await create(client)
        assert not poll.done()
        seats.append(0, confirm(body["reservation_id"], user="ann"))
        assert (await poll).json()["status"] == "SOLD"
        version = (await poll).json()["version"]
        later = await client.get(
            f"{place}?min_version={version + 1}", headers={**ANN, "Prefer": "wait=0"}
        )
        assert problem(later, 409, "NOT_YET")["version"] == version

    asking(test)
