"""Paid seats become tickets of one purchase for each buyer and event, whatever comes how often."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.issuing.orders import CODECS, EVENT, IDS, PARTITIONS, SOURCE, TO, Issuing, word

from schemas.topics import PURCHASE_CREATED
from serdes.avro.codegen import encoder
from serdes.avro.field_names import field_names
from serdes.avro.refused import Refused
from serdes.decoding import Decoded, TopicDecoder
from serdes.wire import HEADER_BYTES, VALUE_BYTES_MAX, header_of
from state.domain.issued.purchase import IssuedOrder, IssuedPurchase, purchase_id
from state.domain.keys import ISSUED, partition_of
from state.records.issued.codecs import IssuingCodecs, stored_purchase
from state.stores.partition_state import PartitionState
from streams.batch import Batch, Effects, State, UnknownSchema
from streams.driver import PipedRecord, TopologyDriver
from streams.issue_purchases import PURCHASE_FULL, route
from streams.route import Route
from streams.working.route import handler
from streams.working.task import Failed, Task
from streams.working.work import Work
from topology import ISSUING

# What the payments role may say of few orders of few buyers: each turn confirms or revokes, and
# always says the same.
buyers = st.sampled_from([("ann", 7), ("bob", 7), ("ann", 8)])
words = st.tuples(buyers, st.sampled_from(["r1", "r2", "r3"]), st.integers(1, 4))


def said(one: tuple[tuple[str, int], str, int]) -> tuple[bytes, bytes]:
    (user, event), reservation, turns = one
    return word(
        f"{user}-{event}-{reservation}", turns, is_valid=turns % 2 == 1, user=user, event=event
    )


def issued(given_words: list[Any]) -> list[IssuedPurchase]:
    issuing = Issuing()
    for one in given_words:
        issuing.hears(*said(one))
    assert issuing.driver.dead_letters == []
    return issuing.purchases()


@given(
    st.lists(words, max_size=8).flatmap(
        lambda some: st.tuples(st.just(some), st.permutations(some + some))
    )
)
def test_shuffled_and_doubled_words_give_the_same_end(
    given_words: tuple[list[Any], list[Any]],
) -> None:
    in_order, shuffled = given_words
    assert issued(in_order) == issued(shuffled)


@given(st.lists(words, max_size=10))
def test_a_buyer_has_one_purchase_of_an_event_and_every_ticket_of_a_valid_order(
    some: list[Any],
) -> None:
    found = issued(some)
    whose = [(one.user_id.decode(), one.event_id) for one in found]
    assert len(set(whose)) == len(whose) == len({buyer for buyer, _, _ in some})
    newest: dict[tuple[Any, str], int] = {}
    for buyer, reservation, turns in some:
        newest[buyer, reservation] = max(turns, newest.get((buyer, reservation), 0))
    for one in found:
        buyer = (one.user_id.decode(), one.event_id)
        valid = sum(turns % 2 for (who, _), turns in newest.items() if who == buyer)
        tickets = [ticket.id for ticket in one.tickets()]
        assert len(set(tickets)) == len(tickets) == 2 * valid
        assert one.is_active == (valid > 0)


@given(st.lists(words, max_size=8))
def test_f34_a_rewind_to_the_beginning_changes_nothing(some: list[Any]) -> None:
    issuing = Issuing()
    for one in some:
        issuing.hears(*said(one))
    before = issuing.purchases()
    issuing.told()
    for partition in range(PARTITIONS):
        if log := issuing.driver.log(SOURCE, partition):
            issuing.driver.replay(SOURCE, partition, log)
    assert (issuing.purchases(), issuing.told()) == (before, [])


def test_the_first_order_creates_a_purchase_and_its_ids_go_on() -> None:
    issuing = Issuing()
    key, value = word()
    issuing.hears(key, value, (("event-id", b"r1.1.0:3"), ("correlation-id", b"c1")))
    [record] = issuing.driver.read(TO)
    headers = dict(record.headers)
    assert (record.key, headers["correlation-id"]) == (key, b"c1")
    assert (headers["event-type"], headers["source"]) == (b"PURCHASE_CREATED", b"issue_purchases")
    name, fields = read(record)
    assert name == "PurchaseCreated"
    own_id = purchase_id(b"ann", EVENT, partition_of(key, PARTITIONS)).encode()
    assert (fields["purchaseId"], fields["userId"], fields["revision"]) == (own_id, b"ann", 3)
    purchase = issuing.purchase()
    assert (purchase.purchase_id, purchase.is_active) == (own_id, True)
    assert [ticket.id for ticket in purchase.tickets()] == ["r1.1.0.A-1.2.5", "r1.1.0.A-1.2.6"]


def read(record: PipedRecord) -> tuple[str, dict[str, Any]]:
    verdict = TopicDecoder(PURCHASE_CREATED, IDS).decode(record.value, record.headers)
    assert isinstance(verdict, Decoded), verdict
    named = zip(field_names(verdict.name), verdict.fields, strict=True)
    return verdict.name.rpartition(".")[2], dict(named)


def test_s002_11_a_second_order_makes_no_second_purchase_and_that_is_success() -> None:
    """Who has paid twice for seats of one event has all of them, in one purchase."""
    issuing = Issuing()
    issuing.hears(*word("r1"))
    issuing.hears(*word("r2", seats=((4, 1, 1),)))
    assert issuing.told() == ["PurchaseCreated", "PurchaseChanged"]
    assert len(list(issuing.purchase().tickets())) == 3
    assert issuing.driver.dead_letters == []


def test_orders_of_one_cart_are_all_issued_though_one_correlation_id_stands_on_them() -> None:
    issuing = Issuing()
    ids = (("correlation-id", b"c1"), ("event-type", b"PURCHASE_CONFIRMED"))
    for number in range(3):
        issuing.hears(*word(f"r{number}", seats=((number, 0, 1),)), ids)
    assert len(list(issuing.purchase().tickets())) == 3


def test_what_a_refund_revokes_has_no_tickets_and_the_last_of_them_ends_the_purchase() -> None:
    issuing = Issuing()
    issuing.hears(*word("r1"))
    issuing.hears(*word("r2"))
    issuing.hears(*word("r1", 4, is_valid=False))
    assert [ticket.order.order_id for ticket in issuing.purchase().tickets()] == [b"r2.1.0"] * 2
    assert issuing.purchase().is_active
    issuing.hears(*word("r2", 4, is_valid=False))
    assert not issuing.purchase().is_active
    [*_, last] = issuing.driver.read(TO)
    assert read(last)[1]["isActive"] is False
    # Whoever buys again has a purchase again, under the same id.
    issuing.hears(*word("r3"))
    assert issuing.told() == ["PurchaseCreated"]


def test_a_word_that_is_older_than_what_is_known_changes_nothing() -> None:
    issuing = Issuing()
    issuing.hears(*word("r1", 4, is_valid=False))
    issuing.hears(*word("r1", 3))
    assert not issuing.purchase().is_active
    assert issuing.told() == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"key": b"7-bob"}, "KEY_MISMATCH"),
        ({"key": None}, "KEY_MISMATCH"),
        ({"partition": 1}, "WRONG_PARTITION"),
        ({"value": b"rubbish"}, "BAD_WIRE_HEADER"),
        ({"value": b""}, "EMPTY_VALUE"),
    ],
)
def test_what_is_no_word_about_this_buyer_is_one_dead_letter(
    changed: dict[str, Any], reason: str
) -> None:
    issuing = Issuing()
    key, value = word()
    own = partition_of(key, PARTITIONS)
    assert own != 1
    place: dict[str, Any] = {"key": key, "value": value, "partition": own} | changed
    issuing.driver.pipe(SOURCE, place["key"], place["value"], partition=place["partition"])
    assert [letter.reason for letter in issuing.driver.dead_letters] == [reason]
    assert issuing.purchases() == []


def test_an_order_of_another_reservation_is_refused() -> None:
    key, value = word("r1")
    issuing = Issuing()
    issuing.hears(key, value.replace(b"r1.1.0", b"r2.1.0"))
    assert [letter.reason for letter in issuing.driver.dead_letters] == ["BAD_ORDER"]


@pytest.mark.parametrize(
    "seats",
    [
        ((0, 0, 2**31 - 1),),
        ((0, 0, 0),),
        ((0, 5, -3),),
        ((-1, 0, 1),),
        ((0, -1, 1),),
        ((0, 2**31 - 1, 1),),
        ((0, 0, 2), (0, 1, 1)),
    ],
)
def test_seats_that_no_tickets_can_be_made_of_are_one_dead_letter_and_not_stored(
    seats: tuple[tuple[int, int, int], ...],
) -> None:
    issuing = Issuing()
    issuing.hears(*word("r1", seats=seats))
    assert [letter.reason for letter in issuing.driver.dead_letters] == ["BAD_COUNT"]
    # The next order of the buyer is issued.
    issuing.hears(*word("r2"))
    assert [len(list(one.tickets())) for one in issuing.purchases()] == [2]


def test_the_role_has_the_figures_of_its_document() -> None:
    made = route(ISSUING, CODECS)
    assert (made.role, made.source) == ("issue_purchases", "purchase-confirmed")
    assert made.to == ("purchase-created",)


def many(number: int) -> tuple[bytes, bytes]:
    """Return the word of a large order of a box office, which has one user id."""
    also = tuple((b"BLOCK-NORTH-UPPER-TRIBUNE-%06d" % number, row, 0, 9) for row in range(100))
    return word(f"box-{number:04d}", also=also)


def test_an_order_that_makes_a_purchase_too_long_to_be_read_is_a_dead_letter_of_its_own() -> None:
    """Stored, it would stop all buyers of the partition: nobody could read it again."""
    issuing, told = Issuing(), 0
    for number in range(40):
        issuing.hears(*many(number))
        if issuing.driver.dead_letters:
            break
        told += 1
    [letter] = issuing.driver.dead_letters
    assert (letter.reason, letter.attempts) == (PURCHASE_FULL, 1)
    assert f"{VALUE_BYTES_MAX}" in letter.detail
    assert len(issuing.purchase().orders) == told > 1
    assert issuing.told() == ["PurchaseCreated", *["PurchaseChanged"] * (told - 1)]
    # The next word of the same buyer is read and decided: a smaller one has its tickets.
    issuing.hears(*word("small"))
    # What is revoked makes room, and the letter can be sent back.
    issuing.hears(*word("box-0000", 4, is_valid=False))
    issuing.hears(*many(told))
    valid = {order.order_id for order in issuing.purchase().orders if order.is_valid}
    names = [*(f"box-{number:04d}" for number in range(1, told + 1)), "small"]
    assert valid == {f"{name}.1.0".encode() for name in names}
    assert len(issuing.driver.dead_letters) == 1
    assert not any(map(contradictions(issuing), range(PARTITIONS)))


def test_who_pays_and_is_refunded_without_end_stops_nobody() -> None:
    issuing = Issuing()
    # As if it had happened before: of each order its name and turns are left.
    before = IssuedPurchase(own_id_of("ann"), b"ann", EVENT)
    orders = tuple(
        IssuedOrder(f"{name:022d}.1.0".encode(), f"{name:022d}".encode(), 4, *NOTHING_LEFT)
        for name in range(1_500)
    )
    of_any_length = encoder("io.seatstream.state.IssuedPurchase")
    while len(of_any_length(*before._replace(orders=orders))) > VALUE_BYTES_MAX:
        orders = orders[:-1]
    partition = partition_of(word()[0], PARTITIONS)
    key = ISSUED + before.purchase_id
    issuing.driver.state(SOURCE, partition).put(
        key, stored_purchase(before._replace(orders=orders))
    )
    for turns in (3, 4):
        issuing.hears(*word("one-more-than-fits-" + "x" * 44, turns, is_valid=turns == 3))
        issuing.hears(*word(user="bob", turns=turns))
    assert {letter.reason for letter in issuing.driver.dead_letters} == {PURCHASE_FULL}
    assert issuing.purchase("bob").is_active
    assert issuing.purchase().orders == orders
    assert contradictions(issuing)(partition) == ""


NOTHING_LEFT: Any = (False, 0, b"", b"", (), 0)


def own_id_of(user: str) -> bytes:
    partition = partition_of(word(user=user)[0], PARTITIONS)
    return purchase_id(user.encode(), EVENT, partition).encode()


def contradictions(issuing: Issuing) -> Callable[[int], str]:
    """Return what says what a partition's state cannot be."""
    made = route(ISSUING, CODECS)
    assert made.contradiction is not None
    find = made.contradiction
    return lambda part: find(issuing.driver.stored(SOURCE, part).items(), part, PARTITIONS)


@pytest.mark.parametrize("rotten", [b"", b"\xff" * 30, None])
def test_a_purchase_that_cannot_be_read_is_the_stores_fault_and_no_dead_letter(
    rotten: bytes | None,
) -> None:
    """A dead letter would take the tickets of who has paid, though nothing is wrong with it."""
    issuing, made = Issuing(), route(ISSUING, CODECS)
    key, value = word("r1")
    issuing.hears(key, value)
    partition = partition_of(key, PARTITIONS)
    state = issuing.driver.state(SOURCE, partition)
    [stored] = list(state.keys(ISSUED))
    whole = state.get(stored)
    assert whole is not None
    state.put(stored, whole[:-3] if rotten is None else rotten)
    with pytest.raises(Refused):
        issuing.hears(*word("r2"))
    assert issuing.driver.dead_letters == []
    assert made.contradiction is not None
    found = made.contradiction([(stored, state.get(stored) or b"")], partition, PARTITIONS)
    assert "cannot be read" in found


def test_a_store_of_the_role_contradicts_itself_nowhere_and_foreign_keys_have_no_place() -> None:
    issuing, made = Issuing(), route(ISSUING, CODECS)
    issuing.hears(*word("r1"))
    assert made.contradiction is not None
    for number in range(PARTITIONS):
        items = issuing.driver.stored(SOURCE, number).items()
        assert made.contradiction(items, number, PARTITIONS) == ""
    assert "no place" in made.contradiction([(b"s7-A", b"")], 0, PARTITIONS)


def test_what_waits_over_a_restart_is_read_before_anything_is_decided() -> None:
    """The new process has not met its schema: it is asked for, and the event is not to blame."""
    key, value = word("r1")
    of_old, of_new = IssuingCodecs.of(IDS), IssuingCodecs.of(IDS)
    header = value[:HEADER_BYTES]
    foreign = header_of(900)
    of_old.confirmed.by_header[foreign] = of_old.confirmed.by_header[header]
    old = TopologyDriver([failing(route(ISSUING, of_old))])
    old.pipe(SOURCE, key, foreign + value[HEADER_BYTES:])
    waiting = old.state(SOURCE, 0).store
    new = TopologyDriver([route(ISSUING, of_new)])
    new._states[SOURCE, 0] = PartitionState(waiting)
    # This tick lies where the old one has read already.
    new.advance(1)
    with pytest.raises(UnknownSchema) as asked:
        new.advance(1_000)
    assert asked.value.schema_ids == {900}
    of_new.confirmed.by_header[foreign] = of_new.confirmed.by_header[header]
    new.advance(1_000)
    assert [one.key for one in new.read(TO)] == [key]
    assert new.dead_letters == []


def failing(sound: Route) -> Route:
    """Return a route each of whose first attempts fails."""

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        def fails(_: Task) -> None:
            raise Failed("not now")

        work = Work("issue_purchases", SOURCE, fails)
        return handler(work)(batch, state, log_time_ms)

    return replace(sound, handler=handle)
