"""How a pod begins and ends, and when it sells nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from support.pages.tokens import bearer
from support.pods.api_pods import client_of, pod_with
from support.pods.event_log import EventLog
from support.pods.reservation_pods import Feed, Seats, pod_over
from support.records.status_records import view_of
from support.redis.nodes import servers
from support.seats.section_commands import EVENT, PARTITIONS, A

from api.access.identity import TokenVerifier
from api.access.tokens import KeySet, KeysUnavailable
from api.parts.part import Part
from api.pod import Pod
from api.settings import ApiSettings
from api.web.metrics import ApiMetrics
from serdes.registry.known_ids import ContradictoryIdsError
from state.redis.policy import Evicts
from state.views.availability.statuses import SectionStatuses

ANN = {**bearer(sub="ann"), "Idempotency-Key": "k"}
BODY = {"section": A, "quantity": 1}


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


class Noted(Part):
    """A part that notes when it begins and ends.

    fails: its end is a mistake of ours.
    """

    def __init__(self, happened: list[str], name: str, *, fails: bool = False) -> None:
        self._happened = happened
        self.name = name
        self._fails = fails

    async def start(self) -> None:
        self._happened.append(f"{self.name} began")

    async def close(self) -> None:
        self._happened.append(f"{self.name} ended")
        if self._fails:
            raise ZeroDivisionError(self.name)


def pod_of_noted(happened: list[str], *first: Part, fails: str = "") -> Pod:
    names = ("commands", "descriptions", "owners")
    parts = (Noted(happened, name, fails=name == fails) for name in names)
    return Pod(ApiSettings(), ApiMetrics(), *first, *parts)


def test_every_part_begins_in_order_and_ends_once_however_often_the_pod_is_stopped() -> None:
    happened: list[str] = []
    pod = pod_of_noted(happened)

    async def scenario() -> None:
        await pod.start()
        assert pod.has_started
        assert happened == ["commands began", "descriptions began", "owners began"]
        await pod.stop()
        await pod.stop()

    asyncio.run(scenario())
    assert sorted(happened[3:]) == ["commands ended", "descriptions ended", "owners ended"]


@pytest.mark.parametrize("fails", ["commands", "owners"])
def test_a_part_that_does_not_end_well_keeps_no_other_from_its_end(
    fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    happened: list[str] = []
    pod = pod_of_noted(happened, fails=fails)

    async def scenario() -> None:
        await pod.start()
        await pod.stop()

    asyncio.run(scenario())
    assert len(happened) == 6
    [record] = [one for one in caplog.records if one.exc_info]
    assert record.getMessage() == f"{fails} did not close"


def test_a_pod_without_keys_that_it_needs_does_not_begin(tmp_path: Path) -> None:
    happened: list[str] = []
    verifier = TokenVerifier(KeySet(str(tmp_path / "none.json")), "seatstream")
    pod = pod_of_noted(happened, verifier)
    with pytest.raises(KeysUnavailable):
        asyncio.run(pod.start())
    assert happened == []
    assert not pod.has_started


def test_trouble_is_told_by_the_part_that_has_it() -> None:
    view = view_of(4, 4, 1)
    pod = pod_with(view=view, catalogue=EventLog().catalogue())
    assert pod.troubles() == {}
    view.troubled("brokers are down")
    assert pod.troubles() == {"view": "brokers are down"}
    # Answers grow old, and are answers: the pod stays ready.
    assert all(pod.readiness().values())


def test_a_pod_that_drains_is_not_ready() -> None:
    pod = pod_with()
    assert all(pod.readiness().values())
    pod.drain()
    assert pod.readiness()["not draining"] is False


def test_any_thread_may_say_that_the_pod_must_end() -> None:
    pod = pod_with()

    async def scenario() -> None:
        await pod.start()
        assert not pod.failed.is_set()
        await asyncio.to_thread(pod.fail, ContradictoryIdsError("id 4 is two schemas"))
        async with asyncio.timeout(60):
            await pod.failed.wait()
        await pod.stop()

    asyncio.run(scenario())


def test_what_handlers_make_of_a_pod_is_made_once() -> None:
    made: list[Pod] = []

    class OfHandlers:
        def __init__(self, pod: Pod) -> None:
            made.append(pod)

    pod, other = pod_with(), pod_with()
    assert pod.made(OfHandlers) is pod.made(OfHandlers)
    assert pod.made(OfHandlers) is not other.made(OfHandlers)
    assert made == [pod, other]


@pytest.mark.redis
def test_l26_a_pod_does_not_start_with_a_redis_that_drops_keys_for_room(tmp_path: Path) -> None:
    async def go(url: str) -> None:
        pod = pod_with(ApiSettings(redis_url=url))
        with pytest.raises(Evicts, match="volatile-lru"):
            await pod.start()
        await pod.stop()

    with servers(tmp_path, 1, "--maxmemory-policy", "volatile-lru") as [server]:
        asyncio.run(go(server.url))
