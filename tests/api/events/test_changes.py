import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.pods.api_client import BUYER, OPERATOR, client_of
from support.pods.conditions import until
from support.pods.event_log import EventLog
from support.records.event_values import HOUR_MS
from support.seats.worker_in_memory import IDS, WorkerInMemory
from support.waiting.keys import passes

from api.admission.desk import WaitingDesk
from api.admission.passes import Passes
from api.commands.desk import CommandDesk
from api.events.catalogue import now_ms
from api.events.sections import AT_ONCE_MAX
from api.settings import ApiSettings
from api.web.metrics import ApiMetrics
from state.domain.event import EventStatus
from state.domain.outcome import OutcomeKind
from state.domain.reasons import Reason
from state.kafka.command_log import AppendUnknown, NotAppended
from state.redis.idempotency import IdempotencyKeys, Use
from state.views.events.catalogue import Events

# Longer than a busy machine takes to answer; so much a section that is silent costs.
SOON_MS = 300
QUICK = ApiSettings(wait_ms=SOON_MS)


class KeysInMemory(IdempotencyKeys):
    """What Redis would remember."""

    def __init__(self) -> None:
        super().__init__("")
        self.digests: dict[str, str] = {}

    async def use(self, stem: str, digest: str) -> Use:
        if stem not in self.digests:
            self.digests[stem] = digest
            return Use.FIRST
        return Use.SAME if self.digests[stem] == digest else Use.OTHER

    async def give_back(self, stem: str) -> None:
        self.digests.pop(stem, None)


class Stage:
    """Pods over one log of commands and one of events."""

    def __init__(self, pod_settings: ApiSettings = QUICK) -> None:
        self.worker = WorkerInMemory(now_ms())
        self.events = EventLog()
        self.keys = KeysInMemory()
        self.settings = pod_settings
        self.catalogue: Events = self.events.catalogue()

    def client(self, keys: Passes | None = None) -> Any:
        metrics = ApiMetrics()
        worker: Any = self.worker
        desk = CommandDesk(IDS, worker, worker, metrics, in_flight_max=1_000, keys=self.keys)
        return client_of(
            self.settings,
            desk=desk,
            metrics=metrics,
            catalogue=self.events.catalogue(),
            descriptions=self.events,
            ids=IDS,
            waiting=WaitingDesk("", keys),
        )


Play = Callable[[httpx.AsyncClient, Stage], Awaitable[None]]


def played(play: Play, stage: Stage | None = None) -> None:
    stage = stage or Stage()

    async def run() -> None:
        async with stage.client() as client:
            client.headers.update(OPERATOR)
            await play(client, stage)
        assert stage.worker.waits == 0

    asyncio.run(run())


def scenario(play: Play) -> Callable[[], None]:
    def run() -> None:
        played(play)

    run.__name__ = play.__name__
    return run


def section(name: str, rows: int = 2, seats: Any = 10, **more: Any) -> dict[str, Any]:
    return {"section": name, "rows": rows, "seats": seats, **more}


def opening(event_id: int = 7, *sections: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plan = {"event": "Plan", "sections": list(sections) or [section("A"), section("B")]}
    return {
        "event_id": event_id,
        "name": "Concert",
        "venue": "Arena",
        "starts_at_ms": now_ms() // HOUR_MS * HOUR_MS + 24 * HOUR_MS,
        "plan": plan,
        **changes,
    }


async def post(
    client: httpx.AsyncClient, body: Any, key: str = "key-1", **headers: str
) -> httpx.Response:
    return await client.post("/v1/events", json=body, headers={"Idempotency-Key": key, **headers})


async def close(
    client: httpx.AsyncClient, event_id: int = 7, key: str = "end-1"
) -> httpx.Response:
    return await client.post(f"/v1/events/{event_id}:close", headers={"Idempotency-Key": key})


def reason_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["reason"]


# --- opening ---------------------------------------------------------------------------------

section_names = st.lists(
    st.text("ABC123-", min_size=1, max_size=6), min_size=1, max_size=5, unique=True
)


@settings(max_examples=of_whole(10))
@given(section_names, st.integers(1, 5), st.integers(1, 40), st.sampled_from(["", "gold"]))
def test_an_event_opened_is_on_sale_in_every_section_and_in_every_pod(
    names: list[str], rows: int, seats: int, category: str
) -> None:
    async def play(client: httpx.AsyncClient, stage: Stage) -> None:
        plan = [section(name, rows, seats, category=category) for name in names]
        body = opening(7, *plan)
        answer = await post(client, body)
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == "/v1/events/7"
        told = answer.json()
        assert (told["sale_state"], told["revision"]) == ("on_sale", 1)
        assert told["capacity"] == len(names) * rows * seats
        assert told["pending_sections"] == []
        for name in names:
            assert stage.worker.hold(7, name).kind is OutcomeKind.HELD
        async with stage.client() as other:
            other.headers.update(BUYER)
            listed = (await other.get("/v1/events/7/sections")).json()["sections"]
            assert [one["section"] for one in listed] == names
            expected = [category] if category else []
            assert all(one["categories"] == expected for one in listed)

        # The same again asks no section, at whatever pod and under whatever key.
        asked = len(stage.worker.commands)
        async with stage.client() as other:
            other.headers.update(OPERATOR)
            for key in ("key-1", "key-2"):
                again = await post(other, body, key)
                assert (again.status_code, again.json()) == (201, told)
        assert len(stage.worker.commands) == asked

    played(play)


@scenario
async def test_rules_and_sale_window_reach_the_sections(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    starts_ms = now_ms() + HOUR_MS
    body = opening(sale_starts_ms=starts_ms, max_seats_per_hold=2)
    answer = await post(client, body)
    assert answer.json()["sale_state"] == "upcoming"
    assert stage.worker.hold(7, "A").reason == Reason.NOT_OPEN
    stage.worker.now_ms = starts_ms
    assert stage.worker.hold(7, "A", 3).reason == Reason.BAD_COUNT
    assert stage.worker.hold(7, "A", 2).kind is OutcomeKind.HELD
    stage.worker.now_ms = body["starts_at_ms"]
    assert stage.worker.hold(7, "A").reason == Reason.SALE_CLOSED


@scenario
async def test_prices_are_opened_with_the_sections_and_shown(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    sections = [section("A", category="front"), section("B", category="side")]
    prices = {"side": 0, "front": 4_500}
    plan = {"event": "Plan", "sections": sections, "currency": "EUR", "prices": prices}
    body = opening(plan=plan)
    answer = await post(client, body)
    assert (answer.status_code, answer.json()["currency"]) == (201, "EUR")
    listed = (await client.get("/v1/events/7/sections")).json()
    assert listed["currency"] == "EUR"
    assert [one["prices"] for one in listed["sections"]] == [{"front": 4_500}, {"side": 0}]
    assert (await post(client, body, "key-2")).status_code == 201
    # Nobody changes a price: not under the event's id, and not under another key.
    dearer = opening(plan=plan | {"prices": prices | {"front": 4_501}})
    assert reason_of(await post(client, dearer, "key-3")) == (409, "CONFLICT")


@scenario
async def test_a_pretix_plan_is_taken_as_it_is(client: httpx.AsyncClient, stage: Stage) -> None:
    seats = [
        {
            "seat_guid": f"g-{number}",
            "seat_number": str(number),
            "position": {"x": 20 * number, "y": 0},
            "category": "Stalls" if number < 3 else "Side",
        }
        for number in range(1, 6)
    ]
    zone = {
        "name": "Rang Süd",
        "zone_id": "sued",
        "position": {"x": 0, "y": 0},
        "rows": [{"row_number": "1", "position": {"x": 0, "y": 0}, "seats": seats}],
    }
    categories = [{"name": "Stalls", "color": "red"}, {"name": "Side", "color": "blue"}]
    plan = {"name": "Hall", "categories": categories, "zones": [zone]}
    answer = await post(client, opening(plan=plan))
    assert answer.status_code == 201, answer.text
    [listed] = (await client.get("/v1/events/7/sections")).json()["sections"]
    assert listed == {
        "section": "SUED",
        "name": "Rang Süd",
        "capacity": 5,
        "layout_version": 1,
        "categories": ["Stalls", "Side"],
        "prices": {},
    }


@scenario
async def test_sections_that_do_not_answer_are_pending_and_a_repeat_completes_the_event(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    stage.worker.silent = {"B"}
    body = opening()
    first = await post(client, body)
    assert first.status_code == 202
    assert first.headers["retry-after"]
    assert first.json()["pending_sections"] == ["B"]
    shown = (await client.get("/v1/events/7")).json()
    assert (shown["sale_state"], shown["revision"]) == ("opening", 1)
    again = await post(client, body)
    assert (again.status_code, again.json()["revision"]) == (202, 1)

    stage.worker.silent = set()
    async with stage.client() as other:
        other.headers.update(OPERATOR)
        done = await post(other, body)
    assert (done.status_code, done.json()["sale_state"]) == (201, "on_sale")
    assert done.json()["revision"] == 2
    assert stage.worker.hold(7, "B").kind is OutcomeKind.HELD


@scenario
async def test_a_section_that_the_brokers_do_not_take_is_pending_too(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    stage.worker.errors = {"A": NotAppended("too few replicas")}
    answer = await post(client, opening())
    assert (answer.status_code, answer.json()["pending_sections"]) == (202, ["A"])


@scenario
async def test_f06_where_the_brokers_take_nothing_nothing_is_said_to_be_opened(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    down = NotAppended("too few replicas")
    stage.worker.errors = {"A": down, "B": down}
    answer = await post(client, opening())
    assert reason_of(answer) == (503, "BROKER_UNAVAILABLE")
    assert answer.headers["retry-after"]
    assert not stage.events.records
    # The key stands for nothing yet.
    stage.worker.errors = {}
    assert (await post(client, opening(8))).status_code == 201


@scenario
async def test_brokers_that_acknowledge_nothing_hold_up_no_answer_for_long(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    stage.worker.hangs = True
    names = [f"S{number:02}" for number in range(100)]
    answer = await post(client, opening(7, *map(section, names)))
    assert (answer.status_code, answer.json()["pending_sections"]) == (202, names)
    assert len(stage.worker.commands) <= 2 * AT_ONCE_MAX


@scenario
async def test_f02_a_record_of_unknown_fate_is_pending_and_never_failed(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    stage.events.error = AppendUnknown("lost")
    body = opening()
    answer = await post(client, body)
    assert (answer.status_code, answer.json()["sale_state"]) == (202, "on_sale")
    stage.events.error = NotAppended("down")
    assert reason_of(await post(client, body)) == (503, "BROKER_UNAVAILABLE")
    stage.events.error = None
    assert (await post(client, body)).status_code == 201


@scenario
async def test_what_admits_is_told_before_any_section_is_open(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    """A pod that sees a section on sale finds that buyers have to be let in."""
    body = opening(admission_required=True)
    # Nobody could be let in by a pod without keys.
    assert reason_of(await post(client, body)) == (404, "NO_WAITING_ROOM")
    asked_at: list[int] = []
    stage.events.before = lambda: asked_at.append(len(stage.worker.commands))
    async with stage.client(passes()) as with_keys:
        with_keys.headers.update(OPERATOR)
        opened = await post(with_keys, body)
        assert (opened.status_code, opened.json()["admission_required"]) == (201, True)
        assert asked_at == [0, 2]
        other = await post(with_keys, opening(), "key-2")
        assert reason_of(other) == (409, "CONFLICT")


@scenario
async def test_limits_are_told_before_any_section_is_open(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    """A pod that sees a section on sale finds what a buyer may have of it."""
    asked_at: list[int] = []
    stage.events.before = lambda: asked_at.append(len(stage.worker.commands))
    body = opening(max_seats_per_user=4)
    stage.events.error = AppendUnknown("lost")
    unsure = await post(client, body)
    assert (unsure.status_code, unsure.json()["pending_sections"]) == (202, ["A", "B"])
    assert not stage.worker.commands
    stage.events.error = None
    opened = await post(client, body)
    assert (opened.status_code, opened.json()["sale_state"]) == (201, "on_sale")
    assert asked_at == [0, 0, 2]
    other = await post(client, opening(max_seats_per_user=5), "key-2")
    assert reason_of(other) == (409, "CONFLICT")


@scenario
async def test_an_id_that_is_another_events_is_refused_and_no_section_asked(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    await post(client, opening())
    asked = len(stage.worker.commands)
    others: list[dict[str, Any]] = [{"name": "Other"}, {"hold_ms": 1_000}, {"sale_starts_ms": 1}]
    for number, changes in enumerate(others, start=2):
        answer = await post(client, opening(**changes), f"key-{number}")
        assert reason_of(answer) == (409, "CONFLICT")
    answer = await post(client, opening(7, section("A"), section("C")), "key-9")
    assert reason_of(answer) == (409, "CONFLICT")
    assert len(stage.worker.commands) == asked


@scenario
async def test_sections_that_are_open_with_another_plan_are_named(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    """Opened by a script, say: the catalogue knows nothing of it."""
    await post(client, opening(7, section("A", seats=11)), "key-0")
    forgetful = Stage()
    forgetful.worker = stage.worker
    async with forgetful.client() as other:
        other.headers.update(OPERATOR)
        answer = await post(other, opening())
        assert reason_of(answer) == (409, "CONFLICT")
        assert answer.json()["sections"] == [{"section": "A", "reason": "CONFLICT"}]
        assert answer.json()["done"] == 1
        assert (await other.get("/v1/events/7")).status_code == 404


@scenario
async def test_another_body_under_a_key_is_refused(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    assert (await post(client, opening(7))).status_code == 201
    assert reason_of(await post(client, opening(8))) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert reason_of(await close(client, key="key-1")) == (422, "IDEMPOTENCY_KEY_REUSED")
    async with stage.client() as other:
        other.headers["Authorization"] = "Bearer operator-2:operator"
        assert (await post(other, opening(8))).status_code == 201


@scenario
async def test_pods_that_open_an_event_at_one_moment_agree(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    body = opening()
    async with stage.client() as other:
        other.headers.update(OPERATOR)
        answers = await asyncio.gather(
            *(post(pod, body, key) for pod in (client, other) for key in ("k1", "k1", "k2"))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["revision"] for answer in answers} == {1}
    stands = stage.catalogue.get(7)
    assert stands is not None
    assert stands.status is EventStatus.ON_SALE


NOT_A_SEAT = {"event": "x", "sections": [{"section": "A", "rows": 1, "seats": [True]}]}


@pytest.mark.parametrize(
    ("plan", "where"),
    [
        ({}, "body.plan"),
        ({"zones": []}, "body.plan"),
        ({"event": "x", "sections": []}, "body.plan.sections"),
        (NOT_A_SEAT, "body.plan.sections[0].seats[0]"),
        (
            {"event": "x", "sections": [section("A"), section("a")]},
            "body.plan.sections[1].section",
        ),
        (
            {"event": "x", "sections": [section("A"), section("A")]},
            "body.plan.sections[1].section",
        ),
        ({"event": "x", "sections": [section("A", seats=0)]}, "body.plan.sections[0].seats"),
        ({"event": "x", "sections": [section("A", aisle=[1])]}, "body.plan.sections[0].aisle"),
        (
            {"name": "x", "categories": [], "zones": [{"name": "A", "position": {"x": 0}}]},
            "body.plan.zones[0].position",
        ),
    ],
)
def test_the_first_fault_of_a_plan_is_named_and_nothing_opened(
    plan: dict[str, Any], where: str
) -> None:
    async def play(client: httpx.AsyncClient, stage: Stage) -> None:
        answer = await post(client, opening(plan=plan))
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["where"] == where
        assert not stage.worker.commands
        assert not stage.keys.digests

    played(play)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"starts_at_ms": 1}, "body.starts_at_ms"),
        ({"sale_ends_ms": 1}, "body.sale_ends_ms"),
        ({"sale_ends_ms": now_ms() + 48 * HOUR_MS}, "body.sale_ends_ms"),
        ({"sale_starts_ms": now_ms() + 48 * HOUR_MS}, "body.sale_starts_ms"),
        ({"max_hold_ms": 1}, "body.max_hold_ms"),
        ({"max_seats_per_hold": 17}, "body.max_seats_per_hold"),
        ({"name": ""}, "body.name"),
        ({"name": "a\nb"}, "body.name"),
        ({"name": "ü" * 101}, "body.name"),
        ({"venue": "\u202eabc"}, "body.venue"),
        ({"event_id": -1}, "body.event_id"),
        ({"event_id": 2**63}, "body.event_id"),
        ({"event_id": "7"}, "body.event_id"),
        ({"event_id": 7.0}, "body.event_id"),
        ({"orphan_rule": "sometimes"}, "body.orphan_rule"),
        # A name that no document has is repeated by no answer.
        ({"price": 1}, "body"),
        ({"prices": {"front": 1}}, "body.prices"),
        ({"currency": "EUR"}, "body.currency"),
        ({"plan": []}, "body.plan"),
    ],
)
def test_what_no_event_can_be_is_refused_by_name(changes: dict[str, Any], where: str) -> None:
    async def play(client: httpx.AsyncClient, stage: Stage) -> None:
        answer = await post(client, opening(**changes))
        assert reason_of(answer) == (400, "MALFORMED")
        assert answer.json()["errors"][0]["where"] == where
        assert not stage.worker.commands

    played(play)


def test_an_event_that_was_opened_may_be_repeated_after_it_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play(client: httpx.AsyncClient, stage: Stage) -> None:
        body = opening(starts_at_ms=now_ms() + HOUR_MS)
        assert (await post(client, body)).status_code == 201
        monkeypatch.setattr("api.events.changes.now_ms", lambda: body["starts_at_ms"])
        again = await post(client, body)
        assert (again.status_code, again.json()["sale_state"]) == (201, "past")

    played(play)


def test_an_event_with_too_many_sections_is_refused_before_any_is_opened() -> None:
    async def play(client: httpx.AsyncClient, stage: Stage) -> None:
        sections = [section(f"S-{number:030}", category="c" * 60) for number in range(500)]
        answer = await post(client, opening(7, *sections))
        assert reason_of(answer) == (413, "STATE_TOO_LARGE")
        assert not stage.worker.commands

    played(play)


@scenario
async def test_operators_alone_open_and_close(client: httpx.AsyncClient, stage: Stage) -> None:
    await post(client, opening())
    client.headers.update(BUYER)
    assert reason_of(await post(client, opening(8), "key-2")) == (403, "NOT_ALLOWED")
    assert reason_of(await close(client)) == (403, "NOT_ALLOWED")
    del client.headers["Authorization"]
    assert (await post(client, opening(8), "key-2")).status_code == 401
    assert (await close(client)).status_code == 401


@scenario
async def test_a_key_is_demanded(client: httpx.AsyncClient, stage: Stage) -> None:
    answer = await client.post("/v1/events", json=opening())
    assert reason_of(answer) == (400, "IDEMPOTENCY_KEY_MISSING")
    assert reason_of(await post(client, opening(), "x" * 256))[0] == 400
    assert reason_of(await client.post("/v1/events/7:close")) == (400, "IDEMPOTENCY_KEY_MISSING")
    key, said = {"Idempotency-Key": "k"}, {"sale_ends_ms": 1}
    wrong = await client.post("/v1/events/7:close", headers=key, json=said)
    assert reason_of(wrong) == (400, "MALFORMED")


def test_b24_operators_alone_send_large_plans_and_none_over_the_limit() -> None:
    def padded(size: int) -> bytes:
        # Space around a JSON text means nothing, but is sent.
        return orjson.dumps(opening()).ljust(size)

    async def play(client: httpx.AsyncClient, stage: Stage) -> None:
        async def send(size: int, who: dict[str, str], key: str) -> httpx.Response:
            headers = {"Idempotency-Key": key, "Content-Type": "application/json", **who}
            return await client.post("/v1/events", content=padded(size), headers=headers)

        for who in (BUYER, {"Authorization": "Bearer :"}):
            assert reason_of(await send(65_537, who, "key-1")) == (413, "BODY_TOO_LARGE")
        assert (await send(100_000, OPERATOR, "key-2")).status_code == 201
        assert reason_of(await send(100_001, OPERATOR, "key-3")) == (413, "BODY_TOO_LARGE")

    played(play, Stage(ApiSettings(wait_ms=SOON_MS, event_body_bytes_max=100_000)))


# --- closing ---------------------------------------------------------------------------------


@scenario
async def test_a_closed_sale_takes_no_hold_in_any_section_and_keeps_what_is_held(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    await post(client, opening())
    assert stage.worker.hold(7, "A").kind is OutcomeKind.HELD
    answer = await close(client)
    assert answer.status_code == 200, answer.text
    assert answer.json()["sale_state"] == "closed"
    stage.worker.now_ms = now_ms()
    assert {stage.worker.hold(7, name).reason for name in "AB"} == {Reason.SALE_CLOSED}
    assert not any(one.kind is OutcomeKind.RELEASED for one in stage.worker.outcomes)
    stands = stage.catalogue.get(7)
    assert stands is not None
    assert stands.status is EventStatus.CLOSED

    # To close again says the same, and is of the same window in every section.
    for key in ("end-1", "end-2"):
        again = await close(client, key=key)
        assert (again.status_code, again.json()) == (200, answer.json())
    windows = {
        (one.sale_starts_ms, one.sale_ends_ms)
        for one in stage.worker.outcomes
        if one.kind is OutcomeKind.WINDOW_CHANGED
    }
    assert len(windows) == 1


@scenario
async def test_a_sale_that_has_not_begun_can_be_closed(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    starts_ms = now_ms() + HOUR_MS
    await post(client, opening(sale_starts_ms=starts_ms))
    assert (await close(client)).json()["sale_state"] == "closed"
    stage.worker.now_ms = starts_ms + 1
    assert stage.worker.hold(7, "A").reason == Reason.SALE_CLOSED


@scenario
async def test_a_section_that_does_not_answer_leaves_the_close_pending_until_a_repeat(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    await post(client, opening())
    stage.worker.silent = {"B"}
    first = await close(client)
    assert (first.status_code, first.json()["pending_sections"]) == (202, ["B"])
    # The record comes first: nobody is told any more that it is on sale.
    assert first.json()["sale_state"] == "closed"
    stage.worker.now_ms = now_ms()
    assert stage.worker.hold(7, "A").reason == Reason.SALE_CLOSED
    stage.worker.silent = set()
    done = await close(client)
    assert done.status_code == 200
    assert done.json()["sale_ends_ms"] == first.json()["sale_ends_ms"]
    assert stage.worker.hold(7, "B").reason == Reason.SALE_CLOSED


@pytest.mark.parametrize("error_ms", [-24 * HOUR_MS, 24 * HOUR_MS], ids=["slow", "fast"])
def test_f05_a_pod_whose_clock_is_a_day_off_closes_a_sale_now(
    error_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(client: httpx.AsyncClient, stage: Stage) -> None:
        await post(client, opening(starts_at_ms=now_ms() + 48 * HOUR_MS))
        right_ms = now_ms()
        monkeypatch.setattr("api.events.changes.now_ms", lambda: right_ms + error_ms)
        first = await close(client)
        assert first.status_code == 200, first.text
        stage.worker.now_ms = now_ms()
        for name in "AB":
            assert stage.worker.hold(7, name).reason == Reason.SALE_CLOSED
        stands = stage.catalogue.get(7)
        assert stands is not None
        assert 0 < stands.sale_ends_ms <= stage.worker.now_ms
        # A repeat, by a pod whose clock is right, finds it closed.
        monkeypatch.setattr("api.events.changes.now_ms", now_ms)
        again = await close(client)
        assert again.json()["sale_ends_ms"] == first.json()["sale_ends_ms"]

    played(run)


@scenario
async def test_an_event_that_never_opened_whole_can_be_closed(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    stage.worker.silent = {"B"}
    await post(client, opening())
    stage.worker.silent = set()
    answer = await close(client)
    assert (answer.status_code, answer.json()["sale_state"]) == (200, "closed")
    # And stays so, whoever repeats the opening.
    again = await post(client, opening())
    assert (again.status_code, again.json()["sale_state"]) == (201, "closed")


@scenario
async def test_an_unknown_event_is_not_closed(client: httpx.AsyncClient, stage: Stage) -> None:
    assert reason_of(await close(client, 9)) == (404, "NOT_FOUND")
    assert not stage.worker.commands


@scenario
async def test_s8_a_pod_behind_another_pods_201_closes_the_event_as_soon_as_it_reads_of_it(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    async with stage.client() as other:
        other.headers.update(OPERATOR)
        stage.events.holds = True
        opening_it = asyncio.create_task(post(client, opening()))
        await until(lambda: stage.events.records)
        closing = asyncio.create_task(close(other))
        await until(lambda: stage.events.is_asked)
        stage.events.release()
        assert (await opening_it).status_code == 201
        answer = await closing
        assert (answer.status_code, answer.json()["sale_state"]) == (200, "closed")


@scenario
async def test_an_open_and_a_close_at_one_moment_end_closed(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    stage.worker.silent = {"B"}
    await post(client, opening())
    stage.worker.silent = set()
    async with stage.client() as other:
        other.headers.update(OPERATOR)
        await asyncio.gather(post(client, opening()), close(other))
        await close(other)
    stands = stage.catalogue.get(7)
    assert stands is not None
    assert stands.status is EventStatus.CLOSED
