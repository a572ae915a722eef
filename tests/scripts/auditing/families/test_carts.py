"""The auditor passes what carts and sections leave behind, and flags every mutant of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carts.cart_logs import (
    HELD,
    KEPT,
    SPLIT,
    A,
    B,
    C,
    log_of,
    log_with_payments,
    paid,
    sold_out,
)
from support.carts.carting import (
    CODECS,
    Carting,
    best,
    cart_id_of,
    open_cart,
    party,
    release_cart,
)
from support.carts.paid_carts import id_of
from support.examples import of_whole
from support.seats.section_commands import EVENT, extend, hold, refund_seats, start_payment

from scripts.auditing.checks import audit
from scripts.auditing.log import Log
from scripts.auditing.report import Report
from state.domain.carts.limits import Limits
from state.domain.carts.statuses import CartStatus, OnFailure
from state.domain.carts.values import Cart
from state.domain.keys import BUYER, CART, PURCHASE, cart_payment_id, section_key
from state.domain.reservation import Status
from state.records.carts import cart_of
from state.stores import envelope


def test_a_sound_log_passes_and_its_carts_are_counted() -> None:
    report = audit(log_of(sold_out()))
    assert report.violations == []
    assert (report.verdict, report.carts, report.carts_half_held) == ("exact", 6, 0)


def test_i8_an_extension_that_went_astray_is_answered_and_no_more() -> None:
    world = sold_out()
    _, value = extend(f"{HELD}_0", section=A)
    world.ask((section_key(EVENT, "OTHER"), value))
    report = audit(log_of(world))
    assert (report.violations, report.verdict) == ([], "exact")


def found(log: Log) -> set[tuple[str, str]]:
    report = audit(log)
    return {(one.invariant, one.anomaly) for one in report.violations}


def told_at(log: Log) -> tuple[int, int]:
    """Return partition and index of the first record in which a section told a cart."""
    return next(
        (number, at)
        for number, listed in log.carts.items()
        for at, record in enumerate(listed)
        if log.wire.name_of(record.value or b"") == "PartDecided"
    )


def test_i8_a_part_that_is_not_told_of_is_missed() -> None:
    log = log_of(sold_out())
    number, at = told_at(log)
    # As if the section had never written it; the offsets stay.
    del log.carts[number][at]
    assert found(log) == {("I8", "lost write")}


def test_i8_a_part_that_is_told_of_twice_or_by_nobody_is_flagged() -> None:
    log = log_of(sold_out())
    number, at = told_at(log)
    record = log.carts[number][at]
    log.carts[number].insert(at, record)
    assert found(log) == {("I8", "duplicate effect")}
    value = record.value or b""
    fields = log.wire.decode(value)[1]
    other = fields | {"outcomeId": fields["outcomeId"].rpartition(":")[0] + ":7"}
    body = log.wire.avro.encode("PartDecided", other)
    log.carts[number][at] = replace(record, value=value[:5] + body)
    assert ("I8", "phantom effect") in found(log)


def test_i8_a_part_that_is_told_of_otherwise_or_elsewhere_is_flagged() -> None:
    log = log_of(sold_out())
    number, at = told_at(log)
    record = log.carts[number][at]
    value = record.value or b""
    fields = log.wire.decode(value)[1]
    fields["standing"]["deadlineMs"] += 1
    body = log.wire.avro.encode("PartDecided", fields)
    log.carts[number][at] = replace(record, value=value[:5] + body)
    assert found(log) == {("I8", "wrong effect")}
    log.carts[number][at] = replace(record, key=b"7-eve")
    assert found(log) == {("I8", "wrong effect")}


def with_cart(log: Log, cart_id: str, change: Callable[[Cart], Cart]) -> Log:
    """Change a cart as it is kept."""
    key = CART + cart_id.encode()
    for number, listed in log.carts_state.items():
        for at, record in enumerate(listed):
            if record.key == key:
                seed = envelope.seed_of("carts-changelog", number)
                payload, due_ms = envelope.unpack(record.value or b"", seed)
                order = envelope.order_of(record.value or b"")
                changed = CODECS.stored(change(cart_of(payload)))
                value = envelope.pack(changed, due_ms, seed=seed, order=order)
                listed[at] = replace(record, value=value)
                return log
    raise AssertionError(f"no cart {cart_id}")


def believing(number: int, status: Status) -> Callable[[Cart], Cart]:
    def change(cart: Cart) -> Cart:
        parts = list(cart.parts)
        standing = parts[number].standing._replace(status=status)
        parts[number] = parts[number]._replace(standing=standing)
        return cart._replace(parts=tuple(parts))

    return change


def test_i25_a_cart_that_believes_otherwise_than_its_parts_stand_is_flagged() -> None:
    log = with_cart(log_of(sold_out()), HELD, believing(1, Status.RELEASED))
    assert found(log) == {("I25", "cart unlike parts")}
    log = with_cart(log_of(sold_out()), SPLIT, lambda cart: cart._replace(status=CartStatus.HELD))
    assert found(log) == {("I25", "cart unlike parts")}


def test_i25_a_half_held_cart_is_flagged_though_cart_and_sections_agree() -> None:
    log = with_cart(
        log_of(sold_out()), KEPT, lambda cart: cart._replace(on_failure=OnFailure.RELEASE)
    )
    report = audit(log)
    assert report.carts_half_held == 1
    assert {(one.invariant, one.anomaly) for one in report.violations} == {("I25", "half held")}


def test_i25_a_hold_whose_cart_is_not_there_is_flagged() -> None:
    log = log_of(sold_out())
    for listed in log.carts_state.values():
        listed[:] = [record for record in listed if record.key != CART + HELD.encode()]
    assert found(log) == {("I25", "hold without cart")}


def test_i25_a_part_that_is_paid_for_and_whose_cart_is_not_there_is_flagged() -> None:
    world = sold_out()
    world.send(open_cart(cart_id_of(6), best(A, 1)))
    world.ask(start_payment(f"{cart_id_of(6)}_0", section=A))
    log = log_of(world)
    for listed in log.carts_state.values():
        listed[:] = [record for record in listed if record.key != CART + cart_id_of(6).encode()]
    assert ("I25", "hold without cart") in found(log)


@pytest.mark.parametrize("section", [A, C])
def test_i25_anothers_hold_with_the_id_of_a_part_is_no_part_wherever_it_lies(
    section: str,
) -> None:
    world = Carting(("....",) * 3, relays=False)
    world.ask(hold(f"{HELD}_0", 1, user="eve", section=section))
    world.send(open_cart(HELD, best(A, 1), best(B, 1)))
    stray = log_of(world)
    assert audit(stray).verdict == "not at rest"
    world.relay_all()
    # It was given back, and the cart stands or falls by its own parts alone.
    assert found(log_of(world)) == set()


def test_a_cart_that_waits_is_not_at_rest() -> None:
    world = Carting(relays=False)
    world.relay_all()
    world.send(open_cart(HELD, best(A, 2)))
    world.driver.relay("cart-commands", 0)
    report: Report = audit(log_of(world))
    assert report.verdict == "not at rest"
    assert report.violations == []


WISHES = st.tuples(
    st.sampled_from(["open", "release", "hold", "pass"]), st.integers(1, 4), st.booleans()
)


@settings(max_examples=of_whole(25))
@given(st.lists(WISHES, max_size=20))
def test_whatever_buyers_want_the_oracle_tells_carts_what_sections_do(
    wishes: list[tuple[str, int, bool]],
) -> None:
    world = Carting(("....", "...", "....."))
    for number, (what, count, is_whole) in enumerate(wishes):
        cart_id = f"{'b' * 24}{'abcdefgh'[number % 8]}a-{HELD.rpartition('-')[2]}"
        policy = OnFailure.RELEASE if is_whole else OnFailure.KEEP
        match what:
            case "open":
                items = [best(f"BLOCK-{at % 3}", count) for at in range(count)]
                world.send(open_cart(cart_id, *items, on_failure=policy))
            case "release":
                world.send(release_cart(cart_id))
            case "hold":
                world.ask(hold(f"{cart_id}_1", count, section=A))
            case "pass":
                world.driver.advance(count * 150_000, step_ms=50_000)
    assert audit(log_of(world)).violations == []


# Carts that were paid for.


def test_i10_carts_that_were_paid_for_are_sound_and_their_money_is_that_of_their_seats() -> None:
    report = audit(log_with_payments(paid()))
    assert report.violations == []
    assert report.money_mismatch == 0
    kept = report.captured - report.refunded
    assert kept == report.price_of_sold == {"EUR": 4_000}
    assert (report.payments, report.declined) == (4, 1)


SALE = id_of(0)


def paid_as(change: Callable[[Cart], Cart]) -> Log:
    """Return the topics of those carts, where the one that was sold is kept otherwise."""
    return with_cart(log_with_payments(paid()), SALE, change)


def test_i10_a_cart_whose_parts_cost_another_sum_is_flagged() -> None:
    log = paid_as(lambda cart: cart._replace(payment=cart.payment._replace(amount=1)))
    assert found(log) == {("I10", "wrong amount")}


def test_i24_what_a_gateway_wants_to_know_of_a_buyer_is_not_kept_with_the_cart() -> None:
    log = paid_as(lambda cart: cart._replace(payment=cart.payment._replace(parameters=b"tok")))
    assert found(log) == {("I24", "kept secret")}


def test_i10_a_cart_that_is_sold_and_has_no_purchase_is_flagged() -> None:
    log = log_with_payments(paid())
    key = PURCHASE + cart_payment_id(SALE.encode())
    for listed in log.purchases.values():
        listed[:] = [record for record in listed if record.key != key]
    assert {("I8", "lost purchase"), ("I10", "sold without money")} <= found(log)


def test_i10_money_of_a_cart_of_which_a_part_is_not_sold_is_flagged() -> None:
    world = paid()
    world.ask(refund_seats(f"{SALE}_0", section=A))
    world.relay_all()
    assert ("I10", "stranded money") in found(log_with_payments(world))


# Parties.


def seated() -> Carting:
    """Return a world in which a party sits in two sections, and another found no room."""
    world = Carting(("...", "...\n.", "..."))
    three = Limits(max_seats=8, max_open_holds=3)
    world.send(open_cart(HELD, party(A, 5, B), best(C, 1), limits=three))
    world.send(open_cart(SPLIT, party(A, 9, B, C), limits=three))
    return world


def test_d12_a_party_that_sits_in_two_sections_passes_and_its_seats_count_once() -> None:
    report = audit(log_of(seated()))
    assert (report.violations, report.verdict, report.held_over_limit) == ([], "exact", 0)


def test_i25_a_party_that_is_short_of_a_seat_is_half_held() -> None:
    def wanting_more(cart: Cart) -> Cart:
        first, *others = cart.parts
        return cart._replace(parts=(first._replace(seat_count=6), *others))

    report = audit(with_cart(log_of(seated()), HELD, wanting_more))
    assert [(one.invariant, one.anomaly) for one in report.violations] == [("I25", "half held")]
    assert report.carts_half_held == 1


def test_i25_a_refused_part_of_no_party_is_missed() -> None:
    log = with_cart(log_of(seated()), HELD, lambda cart: cart._replace(parties=()))
    assert found(log) == {("I25", "half held")}


# What a buyer may have.


def limited() -> Carting:
    """Return a world in which a buyer has all that one may have of the event, and was refused."""
    world = Carting(("....",) * 3)
    three = Limits(max_seats=3, max_open_holds=2)
    for number, count in enumerate((2, 3, 1)):
        world.send(open_cart(cart_id_of(number), best(A, count), limits=three))
    return world


def test_i14_carts_that_count_for_a_buyer_are_those_that_are_listed() -> None:
    report = audit(log_of(limited()))
    assert (report.violations, report.held_over_limit) == ([], 0)
    log = log_of(limited())
    for listed in log.carts_state.values():
        listed[:] = [record for record in listed if not (record.key or b"").startswith(BUYER)]
    assert found(log) == {("I14", "wrong list")}


def test_a_buyer_who_has_more_than_he_was_ever_allowed_is_counted() -> None:
    log = log_of(limited())

    def many(cart: Cart) -> Cart:
        [part] = cart.parts
        return cart._replace(parts=(part._replace(seat_count=9),))

    assert audit(with_cart(log, cart_id_of(0), many)).held_over_limit == 1
