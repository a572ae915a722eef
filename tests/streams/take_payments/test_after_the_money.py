"""From the hold to the allocation: sections, payments, gateway, tickets and service together."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from support.carts.carting import PARTITIONS, SECTIONS, best, open_cart
from support.carts.paid_carts import PRICE, PaidCarts, id_of
from support.issuing.after_the_money import ALLOCATED_TO, CONFIRMED, CREATED, After, both_routes
from support.payments.shop import PAYMENTS, SEATS, Shop, whole_sale
from support.seats.section_commands import hold_chosen, start_payment

from state.domain.carts.statuses import OnFailure
from state.domain.keys import ALLOCATED, ISSUED, PURCHASE
from state.domain.purchases.statuses import PurchaseStatus
from state.records.payments import purchase_of
from streams.driver import PipedRecord

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CART = id_of(0)
IDS = (("correlation-id", b"c1"), ("traceparent", TRACE))


def paid_for(shop: Shop) -> list[tuple[str, int, int]]:
    """Return (reservation, row, seat) of all that payments know as done."""
    stored = shop.driver.stored(PAYMENTS, 0).items()
    purchases = [purchase_of(value) for key, value in stored if key.startswith(PURCHASE)]
    return sorted(
        (one.reservation_id.decode(), row, first + at)
        for one in purchases
        if one.status == PurchaseStatus.DONE
        for _, row, first, count in one.seats
        for at in range(count)
    )


def test_every_way_that_a_payment_goes_leads_to_tickets_for_what_is_done_and_to_no_others() -> (
    None
):
    shop, after = whole_sale(), After()
    after.hears(shop.driver.log(CONFIRMED, 0))
    assert [name for name, _, _ in after.tickets()] == ["lost-other", "paid", "reacquired"]
    assert after.tickets() == paid_for(shop)
    assert after.driver.dead_letters == []


ways = st.sampled_from(["paid", "declined", "refunded", "late", "claimed", "unclear"])


@given(st.lists(ways, max_size=5), st.randoms(use_true_random=False))
def test_s002_13_shuffled_and_repeated_words_lead_to_the_same_tickets(
    given_ways: list[str], random: Random
) -> None:
    shop = Shop()
    for seat, way in enumerate(given_ways):
        getattr(shop, way)(f"r{seat}", seat)
    told = shop.driver.log(CONFIRMED, 0)
    # A rewind of payments tells all of it again.
    shop.driver.replay(PAYMENTS, 0, shop.driver.log(PAYMENTS, 0))
    twice = shop.driver.log(CONFIRMED, 0) + told
    random.shuffle(twice)
    after, again = After(), After()
    after.hears(told)
    again.hears(twice)
    assert after.tickets() == again.tickets() == paid_for(shop)
    assert bool(after.allocations()) == bool(told)


def test_s002_19_the_correlation_id_is_the_same_from_the_payment_to_the_allocation() -> None:
    shop, after = Shop(), After()
    shop.pipe(SEATS, *hold_chosen("r1", [(0, 1)]))
    key, value = start_payment("r1", parameters=b"")
    shop.driver.pipe(SEATS, key, value, headers=IDS)
    shop.go_on()
    shop.ask("r1")
    after.hears(shop.driver.log(CONFIRMED, 0))
    records = [
        *shop.driver.log(CONFIRMED, 0),
        *[one for one in after.driver.log(CREATED, 0) if not (one.key or b"").startswith(b"\0")],
        *after.driver.log(ALLOCATED_TO, 0),
    ]
    types = [dict(one.headers)["event-type"].decode() for one in records]
    assert types == ["PURCHASE_CONFIRMED", "PURCHASE_CREATED", "SEATS_ALLOCATED"]
    for record in records:
        assert set(IDS) <= set(record.headers)
    assert len({dict(one.headers)["event-id"] for one in records}) == 3


def told_by(world: PaidCarts) -> list[PipedRecord]:
    """Return what payments have confirmed and revoked, in any order of buyers."""
    return [one for number in range(PARTITIONS) for one in world.driver.log(CONFIRMED, number)]


def test_a_cart_that_is_paid_as_one_is_issued_as_one_with_tickets_of_all_sections() -> None:
    world, after = PaidCarts(), After(PARTITIONS)
    world.send(open_cart(CART, *(best(section, 2) for section in SECTIONS)))
    world.relay_all()
    world.pay(CART)
    world.answer_all()
    after.hears(told_by(world))
    [purchase] = after.purchases()
    [order] = purchase.orders
    assert (order.order_id.decode(), order.amount) == (world.order(CART), 6 * PRICE)
    tickets = [(one.section.decode(), one.row, one.seat) for one in purchase.tickets()]
    assert tickets == [(section, 0, seat) for section in SECTIONS for seat in (0, 1)]
    assert len({one.id for one in purchase.tickets()}) == 6
    assert len(after.allocations()) == 1

    world.want_refund(CART, "ann", SECTIONS[0])
    world.answer_all()
    after.hears(told_by(world))
    assert [(one.is_active, list(one.tickets())) for one in after.purchases()] == [(False, [])]
    assert after.driver.dead_letters == []


def test_a_cart_of_which_only_a_part_could_be_had_has_the_tickets_of_that_part() -> None:
    world, after = PaidCarts(rows=("...", "..", "...")), After(PARTITIONS)
    wanted = best(SECTIONS[0], 1), best(SECTIONS[1], 3)
    world.send(open_cart(CART, *wanted, on_failure=OnFailure.KEEP))
    world.relay_all()
    world.pay(CART)
    world.answer_all()
    after.hears(told_by(world))
    [purchase] = after.purchases()
    assert [one.section.decode() for one in purchase.tickets()] == [SECTIONS[0]]


def test_two_carts_and_a_single_payment_of_a_buyer_for_one_event_are_one_purchase() -> None:
    """One is active for each buyer and event, and whoever has paid is not without tickets."""
    world, after = PaidCarts(), After(PARTITIONS)
    for cart_id in (CART, id_of(1)):
        world.send(open_cart(cart_id, best(SECTIONS[0], 1), best(SECTIONS[1], 1)))
        world.relay_all()
        world.pay(cart_id)
        world.answer_all()
    after.hears(told_by(world))
    [purchase] = after.purchases()
    assert len(purchase.orders) == 2
    assert len({one.id for one in purchase.tickets()}) == 4
    assert len(after.allocations()) == 1


def test_s002_a_replay_of_every_topic_from_its_beginning_changes_nothing() -> None:
    shop, after = whole_sale(), After()
    after.hears(shop.driver.log(CONFIRMED, 0))
    before = after.tickets(), after.allocations(), len(after.driver.log(ALLOCATED_TO, 0))
    for topic in (CONFIRMED, CREATED):
        after.driver.replay(topic, 0, after.driver.log(topic, 0))
        after.serve()
    assert before == (
        after.tickets(),
        after.allocations(),
        len(after.driver.log(ALLOCATED_TO, 0)),
    )
    assert after.driver.dead_letters == []


def test_a_store_owns_what_its_role_has_put_there_and_nothing_of_another_partition() -> None:
    shop, after = whole_sale(), After()
    after.hears(shop.driver.log(CONFIRMED, 0))
    for route in both_routes():
        assert route.may_store is not None
        keys = list(after.driver.stored(route.source, 0))
        assert keys
        assert all(route.may_store(key, 0, 20) for key in keys)
        own = [key for key in keys if key[:1] in {ISSUED, ALLOCATED}]
        assert own
        assert not any(route.may_store(key, 1, 20) for key in own)
        assert not route.may_store(b"s7-A", 0, 20)
