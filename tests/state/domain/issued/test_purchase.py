"""Of each order the newest word counts; a purchase is active while one of its orders is valid."""

from hypothesis import given
from hypothesis import strategies as st

from state.domain.issued.purchase import IssuedOrder, IssuedPurchase, is_purchase_of, purchase_id
from state.domain.keys import IDEMPOTENCY_KEY, split_issued_id

EMPTY = IssuedPurchase(b"p", b"ann", 7)


def order(name: str, turns: int) -> IssuedOrder:
    """Return what the payments say at a turn: it follows from order and turn alone."""
    seats = ((b"A", turns, 3, 2), (b"B", 9, 0, 1))
    own_id = name.encode()
    return IssuedOrder(own_id, own_id, turns, turns % 2 == 1, 900, b"EUR", b"BK", seats, 1)


orders = st.builds(order, st.sampled_from("abc"), st.integers(1, 5))


def taken(given_orders: list[IssuedOrder]) -> IssuedPurchase:
    purchase = EMPTY
    for one in given_orders:
        purchase = purchase.taking(one)
    return purchase


@given(st.lists(orders).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some * 2))))
def test_order_and_repetition_of_words_do_not_matter(
    both: tuple[list[IssuedOrder], list[IssuedOrder]],
) -> None:
    assert taken(both[0]) == taken(both[1])


@given(st.lists(orders))
def test_each_change_raises_the_revision_and_nothing_else_does(some: list[IssuedOrder]) -> None:
    purchase = EMPTY
    for one in some:
        after = purchase.taking(one)
        assert (after.revision > purchase.revision) == (after != purchase)
        purchase = after


def test_a_ticket_is_one_seat_of_a_valid_order() -> None:
    purchase = taken([order("b", 1), order("a", 2), order("c", 3)])
    assert [one.order_id for one in purchase.orders] == [b"a", b"b", b"c"]
    assert [ticket.id for ticket in purchase.tickets()] == [
        *("b.A.1.3", "b.A.1.4", "c.A.3.3", "c.A.3.4"),
        *("b.B.9.0", "c.B.9.0"),
    ]
    assert purchase.is_active


@given(st.lists(orders).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_tickets_are_listed_by_section_row_and_seat_as_numbers_however_they_were_bought(
    both: tuple[list[IssuedOrder], list[IssuedOrder]],
) -> None:
    listed, others = (list(taken(some).tickets()) for some in both)
    assert listed == others
    places = [(one.section, one.row, one.seat) for one in listed]
    assert places == sorted(places)


def test_row_10_comes_behind_row_9() -> None:
    seats = ((b"A", 10, 2, 1), (b"A", 9, 9, 2))
    listed = list(taken([order("a", 1)._replace(seats=seats)]).tickets())
    assert [(one.row, one.seat) for one in listed] == [(9, 9), (9, 10), (10, 2)]


@given(st.lists(orders), st.lists(orders))
def test_a_shortened_purchase_has_the_same_tickets_and_takes_the_same_words(
    before: list[IssuedOrder], later: list[IssuedOrder]
) -> None:
    whole = taken(before)
    short = whole.shortened
    for one in (None, *later):
        whole, short = (whole, short) if one is None else (whole.taking(one), short.taking(one))
        assert [*short.tickets()] == [*whole.tickets()]
        assert (short.is_active, short.revision) == (whole.is_active, whole.revision)


def test_of_a_revoked_order_its_name_and_turns_are_left_when_the_purchase_is_shortened() -> None:
    purchase = taken([order("a", 2), order("b", 1)])
    revoked = IssuedOrder(b"a", b"a", 2, False, 0, b"", b"", (), 0)
    assert purchase.shortened.orders == (revoked, order("b", 1))


def test_a_purchase_without_a_valid_order_has_ended() -> None:
    ended = taken([order("a", 1), order("a", 2)])
    assert (ended.is_active, list(ended.tickets())) == (False, [])
    assert not EMPTY.is_active


def test_an_id_is_of_one_buyer_and_event_and_tells_its_partition() -> None:
    ids = {purchase_id(user, event, 3) for user in (b"ann", b"bob") for event in (7, 71)}
    assert len(ids) == 4
    for one in ids:
        parts = split_issued_id(one)
        assert parts is not None
        assert parts.partition == 3


def test_no_idempotency_key_leads_to_the_id_of_a_purchase() -> None:
    assert IDEMPOTENCY_KEY.fullmatch("\x01purchase:7") is None


@given(st.binary(max_size=40))
def test_other_bytes_are_the_id_of_no_purchase(own_id: bytes) -> None:
    assert not is_purchase_of(own_id, 3)


def test_a_purchase_lies_on_the_partition_that_its_id_names() -> None:
    own_id = purchase_id(b"ann", 7, 3).encode()
    assert is_purchase_of(own_id, 3)
    assert not is_purchase_of(own_id, 13)
    assert not is_purchase_of(own_id + b"0", 3)
