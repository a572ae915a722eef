"""Each active purchase has one allocation, whatever the service and the log do."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from hypothesis import given
from hypothesis import strategies as st
from support.issuing.orders import CODECS, PARTITIONS

from infra.allocation.books import Books
from infra.allocation.server import application
from schemas.topics import PURCHASE_CREATED, SEATS_ALLOCATED
from serdes.avro.codegen import decoder
from serdes.wire import HEADER_BYTES
from state.domain.issued.purchase import IssuedOrder, purchase_id
from state.domain.keys import ALLOCATED, buyer_key, partition_of
from state.records.issued.codecs import PURCHASES, Allocation, allocation_of
from streams.allocate_purchases import CALL_MS, AllocationService, ServiceTrouble, Setup, route
from streams.driver import Pending, TopologyDriver
from streams.intents import Answer, Intent, NotDone, Result
from topology import ALLOCATING

SOURCE, TO = PURCHASE_CREATED.name, SEATS_ALLOCATED.name
ORDER = IssuedOrder(b"r1.1.0", b"r1", 3, True, 900, b"EUR", b"BK", ((b"A", 0, 0, 1),), 1_000)


async def nobody(_: Intent) -> bytes:
    raise NotImplementedError


def word(user: str, revision: int, kind: str) -> tuple[bytes, bytes]:
    """Return key and value of a word about a purchase; kind: created, changed or ended."""
    key = buyer_key(7, user.encode())
    own_id = purchase_id(user.encode(), 7, partition_of(key, PARTITIONS)).encode()
    head = own_id, user.encode(), 7, revision
    if kind == "created":
        return key, CODECS.created(*head, ORDER)
    return key, CODECS.changed(*head, kind == "changed", ORDER)


class Allocating:
    """A driver of the role, and a service that keeps the rule; it is asked by `answer_all`."""

    def __init__(self) -> None:
        self.driver = TopologyDriver(
            [route(ALLOCATING, Setup(CODECS, nobody))], partitions=PARTITIONS
        )
        self.active: dict[tuple[str, int], str] = {}
        self.asked: list[str] = []
        self.buyers: dict[str, tuple[str, int]] = {}
        self.made = 0

    def hears(self, user: str, revision: int, kind: str) -> None:
        self.driver.pipe(SOURCE, *word(user, revision, kind))

    def serve(self, pending: Pending) -> bytes:
        """Allocate, as the service does whether or not its answer is heard."""
        said = json.loads(pending.intent.payload)
        self.asked.append(pending.intent.idempotency_key)
        if "end" in said:
            self.active = {who: one for who, one in self.active.items() if one != said["end"]}
            return b"{}"
        if "end_of" in said:
            self.active.pop(self.buyers.get(said["end_of"], ("", 0)), None)
            return b"{}"
        whose = said["user_id"], said["event_id"]
        self.buyers[said["purchase_id"]] = whose
        if whose not in self.active:
            self.active[whose] = f"al-{self.made}-{said['user_id']}"
            self.made += 1
        own_id = self.active[whose]
        return json.dumps({"allocation_id": own_id, "status": "approved"}).encode()

    def answer_all(self) -> None:
        for pending in self.driver.intents(SOURCE, due=True):
            said = Answer(result=Result.ANSWERED, payload=self.serve(pending))
            self.driver.answer(pending, said)

    def allocations(self) -> dict[bytes, Allocation]:
        return {
            key: allocation_of(stored)
            for partition in range(PARTITIONS)
            for key, stored in self.driver.stored(SOURCE, partition).items()
            if key.startswith(ALLOCATED)
        }

    def statuses(self) -> list[tuple[int, bytes]]:
        """Return revision and status of all that was told since the last look."""
        read = decoder(PURCHASES + "SeatsAllocated")
        found = [read(one.value or b"", HEADER_BYTES) for one in self.driver.read(TO)]
        return [(fields[3], fields[5]) for fields in found]

    def told(self) -> list[tuple[bytes, bytes]]:
        """Return (user, allocation id) of what was told since the last look."""
        read = decoder(PURCHASES + "SeatsAllocated")
        found = [read(one.value or b"", HEADER_BYTES) for one in self.driver.read(TO)]
        return [(fields[1], fields[4]) for fields in found]


# What one purchase may be told of: revisions and what they say always agree.
KINDS = {1: "created", 2: "changed", 3: "ended", 4: "created", 5: "changed", 6: "ended"}
words = st.tuples(st.sampled_from(["ann", "bob"]), st.integers(1, 6))


def ended_as(some: list[tuple[str, int]]) -> list[tuple[bytes, int, bool]]:
    """Return what is stored once all of it was told and answered: whether, not under which id."""
    allocating = Allocating()
    for user, revision in some:
        allocating.hears(user, revision, KINDS[revision])
        allocating.answer_all()
    assert allocating.driver.dead_letters == []
    return [
        (key, kept.revision, kept.status == b"approved")
        for key, kept in sorted(allocating.allocations().items())
    ]


@given(
    st.lists(words, max_size=8).flatmap(
        lambda some: st.tuples(st.just(some), st.permutations(some * 2))
    )
)
def test_shuffled_and_doubled_words_give_the_same_end(
    both: tuple[list[tuple[str, int]], list[tuple[str, int]]],
) -> None:
    assert ended_as(both[0]) == ended_as(both[1])


@given(st.lists(words, max_size=8))
def test_f34_a_rewind_to_the_beginning_changes_nothing_and_asks_nobody(
    some: list[tuple[str, int]],
) -> None:
    allocating = Allocating()
    for user, revision in some:
        allocating.hears(user, revision, KINDS[revision])
        allocating.answer_all()
    before, asked = allocating.allocations(), len(allocating.asked)
    allocating.told()
    for partition in range(PARTITIONS):
        if log := allocating.driver.log(SOURCE, partition):
            allocating.driver.replay(SOURCE, partition, log)
    allocating.answer_all()
    assert (allocating.allocations(), len(allocating.asked)) == (before, asked)
    assert allocating.told() == []


def test_a_new_purchase_is_allocated_once_and_told() -> None:
    allocating = Allocating()
    allocating.hears("ann", 1, "created")
    [pending] = allocating.driver.intents(SOURCE)
    assert (pending.intent.destination, pending.intent.call_ms) == ("allocation", CALL_MS)
    allocating.answer_all()
    assert allocating.told() == [(b"ann", b"al-0-ann")]
    allocating.hears("ann", 2, "changed")
    assert allocating.driver.intents(SOURCE) == []


def test_a_call_that_timed_out_and_in_truth_succeeded_makes_no_second_allocation() -> None:
    allocating = Allocating()
    allocating.hears("ann", 1, "created")
    [first] = allocating.driver.intents(SOURCE)
    allocating.serve(first)
    allocating.driver.answer(first, Answer(result=Result.TIMED_OUT, may_have_run=True))
    allocating.driver.advance(2_000)
    allocating.answer_all()
    assert len(set(allocating.asked)) == 1 < len(allocating.asked)
    assert allocating.told() == [(b"ann", b"al-0-ann")]
    assert len(allocating.active) == 1


def test_a_purchase_of_before_turns_were_counted_is_allocated_too() -> None:
    """Its only order was done when nobody counted: it has the revision 0."""
    allocating = Allocating()
    allocating.hears("ann", 0, "created")
    allocating.answer_all()
    assert allocating.told() == [(b"ann", b"al-0-ann")]


def test_the_allocation_of_a_purchase_that_ends_is_told_as_ended_once() -> None:
    allocating = Allocating()
    for revision, kind in ((1, "created"), (3, "ended"), (3, "ended"), (6, "ended")):
        allocating.hears("ann", revision, kind)
        allocating.answer_all()
    [kept] = allocating.allocations().values()
    assert kept == Allocation(6, b"al-0-ann", b"ended")
    read = decoder(PURCHASES + "SeatsAllocated")
    told = [read(one.value or b"", HEADER_BYTES)[3:] for one in allocating.driver.read(TO)]
    assert told == [(1, b"al-0-ann", b"approved"), (3, b"al-0-ann", b"ended")]
    assert allocating.active == {}
    assert allocating.driver.intents(SOURCE) == []


def test_an_end_that_the_service_does_not_hear_is_one_dead_letter_and_told_when_sent_again() -> (
    None
):
    allocating = Allocating()
    allocating.hears("ann", 1, "created")
    allocating.answer_all()
    allocating.hears("ann", 3, "ended")
    for _ in range(5):
        for pending in allocating.driver.intents(SOURCE):
            allocating.driver.answer(pending, Answer(result=Result.FAILED))
        allocating.driver.advance(60_000)
    [letter] = allocating.driver.dead_letters
    assert letter.reason == "ATTEMPTS_EXHAUSTED"
    assert allocating.active != {}
    allocating.hears("ann", 3, "ended")
    allocating.answer_all()
    assert allocating.active == {}
    assert [status for _, status in allocating.statuses()] == [b"approved", b"ended"]


def test_a_purchase_whose_allocation_was_never_heard_of_leaves_none_behind_when_it_ends() -> None:
    allocating = Allocating()
    allocating.hears("ann", 1, "created")
    for _ in range(5):
        for pending in allocating.driver.intents(SOURCE, due=True):
            allocating.serve(pending)
            lost = Answer(result=Result.TIMED_OUT, may_have_run=True)
            allocating.driver.answer(pending, lost)
        allocating.driver.advance(60_000)
    [_] = allocating.driver.dead_letters
    assert [*allocating.active] == [("ann", 7)]
    allocating.hears("ann", 3, "ended")
    allocating.answer_all()
    assert allocating.active == {}
    assert allocating.told() == []
    # Whoever buys again gets one of his own.
    allocating.hears("ann", 4, "created")
    allocating.answer_all()
    assert allocating.told() == [(b"ann", b"al-1-ann")]


def test_the_end_of_a_purchase_that_had_no_allocation_is_told_by_the_purchase_alone() -> None:
    allocating = Allocating()
    allocating.hears("ann", 3, "ended")
    [pending] = allocating.driver.intents(SOURCE)
    assert [*json.loads(pending.intent.payload)] == ["end_of"]
    allocating.answer_all()
    assert allocating.told() == []
    assert list(allocating.allocations().values()) == [Allocation(3)]


def test_whoever_buys_again_after_a_refund_is_allocated_again() -> None:
    allocating = Allocating()
    for revision in (1, 3, 4):
        allocating.hears("ann", revision, KINDS[revision])
        allocating.answer_all()
    # Allocated, ended, and allocated anew.
    assert len(set(allocating.asked)) == 3
    [kept] = allocating.allocations().values()
    assert (kept.revision, kept.status) == (4, b"approved")


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"[]",
        b"rubbish",
        b'{"allocation_id": "a", "status": "rejected"}',
        b'{"allocation_id": "", "status": "approved"}',
        b'{"allocation_id": 5, "status": "approved"}',
    ],
)
def test_s002_14_an_answer_that_allocates_nothing_is_tried_five_times_and_is_one_dead_letter(
    payload: bytes,
) -> None:
    allocating = Allocating()
    allocating.hears("ann", 1, "created")
    allocating.hears("bob", 1, "created")
    for pause_ms in (2_000, 4_000, 8_000, 16_000, 0):
        for pending in allocating.driver.intents(SOURCE, due=True):
            is_ann = b'"ann"' in pending.intent.payload
            said = payload if is_ann else allocating.serve(pending)
            allocating.driver.answer(pending, Answer(result=Result.ANSWERED, payload=said))
        allocating.driver.advance(pause_ms)
    [letter] = allocating.driver.dead_letters
    assert (letter.reason, letter.attempts) == ("ATTEMPTS_EXHAUSTED", 5)
    assert allocating.told() == [(b"bob", b"al-0-bob")]
    assert allocating.driver.intents(SOURCE) == []


def test_what_lies_under_another_key_is_one_dead_letter() -> None:
    allocating = Allocating()
    allocating.driver.pipe(SOURCE, b"7-bob", word("ann", 1, "created")[1])
    allocating.driver.pipe(SOURCE, b"7-bob", b"rubbish")
    reasons = [letter.reason for letter in allocating.driver.dead_letters]
    assert reasons == ["KEY_MISMATCH", "BAD_WIRE_HEADER"]


def test_under_an_id_that_is_not_the_buyers_purchase_nothing_is_stored_or_asked() -> None:
    """It would lie where no store may have it, or hide the purchase of another buyer."""
    key, _ = word("ann", 1, "created")
    own = partition_of(key, PARTITIONS)
    other = (own + 1) % PARTITIONS
    right, elsewhere = (purchase_id(b"ann", 7, part).encode() for part in (own, other))
    bobs, later = purchase_id(b"bob", 7, own).encode(), purchase_id(b"ann", 8, own).encode()
    allocating = Allocating()
    for own_id in (bobs, elsewhere, later):
        for value in (
            CODECS.created(own_id, b"ann", 7, 3, ORDER),
            CODECS.changed(own_id, b"ann", 7, 2**30, False, ORDER),
        ):
            allocating.driver.pipe(SOURCE, key, value)
    elsewhere_too = CODECS.created(elsewhere, b"ann", 7, 3, ORDER)
    allocating.driver.pipe(SOURCE, key, elsewhere_too, partition=other)
    reasons = [letter.reason for letter in allocating.driver.dead_letters]
    assert reasons == ["BAD_PURCHASE"] * 6 + ["WRONG_PARTITION"]
    assert (allocating.allocations(), allocating.driver.intents(SOURCE)) == ({}, [])
    allocating.driver.pipe(SOURCE, key, CODECS.created(right, b"ann", 7, 3, ORDER))
    allocating.answer_all()
    assert [*allocating.allocations()] == [ALLOCATED + right]


# --- over HTTP -----------------------------------------------------------------------------


def intent(key: str = "k1", user: str = "ann", call_ms: int = CALL_MS) -> Intent:
    asked = {"purchase_id": "p-0", "user_id": user, "event_id": 7}
    return Intent(
        id="i",
        destination="allocation",
        idempotency_key=key,
        payload=json.dumps(asked).encode(),
        due_ms=0,
        opened_ms=0,
        call_ms=call_ms,
    )


def serving(
    service: web.Application, test: Callable[[AllocationService], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), TestServer(service) as server:
            asked = AllocationService(str(server.make_url("/")))
            try:
                await test(asked)
            finally:
                await asked.close()

    asyncio.run(run())


def test_the_real_service_allocates_once_for_a_buyer_and_event(tmp_path: Path) -> None:
    async def test(service: AllocationService) -> None:
        said = [json.loads(await service.perform(intent(key))) for key in ("k1", "k1", "k2")]
        assert len({one["allocation_id"] for one in said}) == 1
        assert said[0]["status"] == "approved"
        other = json.loads(await service.perform(intent("k3", "bob")))
        assert other["allocation_id"] != said[0]["allocation_id"]

    with Books(tmp_path / "books") as books:
        serving(application(books), test)


def test_the_real_service_hears_of_an_end_as_often_as_it_is_told(tmp_path: Path) -> None:
    async def test(service: AllocationService) -> None:
        made = json.loads(await service.perform(intent()))
        for end in (made["allocation_id"], made["allocation_id"], "another/../one"):
            payload = json.dumps({"end": end}).encode()
            await service.perform(replace(intent("k2"), payload=payload))
        for purchase in ("p-0", "p-0", "another"):
            payload = json.dumps({"end_of": purchase}).encode()
            await service.perform(replace(intent("k2"), payload=payload))
        again = json.loads(await service.perform(intent("k3")))
        assert again["allocation_id"] != made["allocation_id"]

    with Books(tmp_path / "books") as books:
        serving(application(books), test)


def test_an_answer_that_comes_too_late_is_trouble_and_its_repeat_hears_what_was_done(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        with Books(tmp_path / "books") as books:
            may_answer = asyncio.Event()

            async def late() -> None:
                await may_answer.wait()

            async with asyncio.timeout(60), TestServer(application(books, late)) as server:
                service = AllocationService(str(server.make_url("/")))
                with pytest.raises(ServiceTrouble, match="in time"):
                    await service.perform(intent(call_ms=300))
                may_answer.set()
                said: Any = json.loads(await service.perform(intent()))
                await service.close()
            assert [one["allocation_id"] for one in books.all()] == [said["allocation_id"]]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "error"), [(500, ServiceTrouble), (422, ServiceTrouble), (429, NotDone)]
)
def test_a_refusal_is_no_answer(status: int, error: type[Exception]) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({}, status=status, headers={"Retry-After": "7"})

    service = web.Application()
    service.router.add_post("/v1/allocations", refuse)

    async def test(asked: AllocationService) -> None:
        with pytest.raises(error) as refused:
            await asked.perform(intent())
        if isinstance(refused.value, NotDone):
            assert refused.value.wait_ms == 7_000

    serving(service, test)


def test_a_service_that_is_not_there_did_nothing() -> None:
    async def run() -> None:
        for url in ("", f"http://127.0.0.1:{unused_port()}"):
            service = AllocationService(url)
            with pytest.raises(NotDone):
                await service.perform(intent())
            await service.close()

    asyncio.run(run())


def test_the_role_has_the_figures_of_its_document() -> None:
    made = route(ALLOCATING, Setup(CODECS, nobody))
    assert (made.role, made.source, made.to) == (
        "allocate_purchases",
        "purchase-created",
        ("seats-allocated",),
    )
