"""Every way that a payment may go passes the audit; every mutant is flagged by what names it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.logs.audit_logs import AVRO, sealed
from support.payments.shop import ID_BY_NAME, PAYMENTS, PRICE, SEATS, WIRE, Shop, whole_sale
from support.seats.section_commands import confirm, start_payment

from infra.gateway.books import Entry, Outcome
from scripts.auditing.checks import audit
from scripts.auditing.families.money import judge_claims
from scripts.auditing.log import Log
from scripts.auditing.purchases import STATE_BY_TAG
from scripts.auditing.report import Report, as_text
from scripts.auditing.stored import opened
from scripts.auditing.topics import Records
from state.domain.purchases.values import Finding

Fields = dict[str, Any]
Mutation = Callable[[Log], None]


def claimed_and_nothing_paid(shop: Shop) -> None:
    shop.hold("r1", 0)
    shop.claim("r1")


def claimed_beside_our_own(shop: Shop) -> None:
    shop.start("r1", 0)
    shop.charge("r1", key="a shop's")
    shop.claim("r1")
    shop.ask("r1")


def claimed_for_nothing_and_started(shop: Shop) -> None:
    shop.claimed_for_nothing("r1")
    shop.start("r1", 0)


def claimed_falsely_and_paid(shop: Shop) -> None:
    shop.claim("r1")
    shop.ask("r1")
    shop.paid("r1", 0)


TRACKS: dict[str, Callable[[Shop], None]] = {
    "nothing": lambda _: None,
    "paid": lambda shop: shop.paid("r1", 0),
    "declined": lambda shop: shop.declined("r1", 0),
    "expired": lambda shop: shop.expired("r1", 0),
    "free": lambda shop: shop.start("r1", 0, row=1),
    "late, and sold all the same": lambda shop: shop.late("r1", 0),
    "late, and given back": lambda shop: shop.late("r1", 0, is_taken=True),
    "refunded": lambda shop: shop.refunded("r1", 0),
    "needs a person": lambda shop: shop.unclear("r1", 0),
    "claimed by another shop": lambda shop: shop.claimed("r1", 0),
    "claimed, and another amount was captured": lambda shop: shop.claimed("r1", 0, "errs"),
    "claimed after the hold": lambda shop: shop.claimed_late("r1", 0),
    "claimed, and nothing held": lambda shop: shop.claimed_for_nothing("r1"),
    "claimed, and nothing paid": claimed_and_nothing_paid,
    "claimed beside our own payment": claimed_beside_our_own,
    "claimed for nothing, and then held and started": claimed_for_nothing_and_started,
    "claimed falsely, and then held and paid": claimed_falsely_and_paid,
}


@pytest.fixture(scope="module")
def whole() -> Log:
    return whole_sale().log()


@pytest.mark.parametrize("track", TRACKS)
def test_i10_i11_each_way_of_a_payment_passes(track: str) -> None:
    shop = Shop()
    TRACKS[track](shop)
    log = shop.log()
    for ledger in (log.ledger, None):
        log.ledger = ledger
        assert audit(log).first_by_invariant() == {}


def test_i10_every_way_together_passes_and_the_money_is_the_price_of_what_is_sold(
    whole: Log,
) -> None:
    of_unclear = PRICE + 1
    reports = [audit(replace(whole, ledger=ledger)) for ledger in (whole.ledger, None)]
    for report in reports:
        assert report.is_exact
        assert (report.payments, report.declined, report.compensations) == (10, 1, 1)
        assert report.price_of_sold == {"EUR": 3 * PRICE}
        balance = report.captured["EUR"] - report.refunded["EUR"]
        assert balance == report.price_of_sold["EUR"] + of_unclear
        figures = report.money_mismatch, report.charged_twice, report.open_intents
        assert figures == (0, 0, 0)
        told = "EUR: captured 32003, refunded 16002, price of what is sold 12000"
        assert told in as_text(report)


def test_payments_beside_one_are_counted_until_a_person_has_found_out() -> None:
    shop = Shop()
    shop.claimed("r1", 0)
    shop.claim("r1", gateway="toss")
    shop.claim("r1", payment_id="ch_other")
    report = audit(shop.log())
    assert (report.violations, report.payments, report.compensations) == ([], 1, 2)
    shop.resolve("r1", Finding.REFUNDED, "toss", "ch_r1")
    report = audit(shop.log())
    assert (report.violations, report.compensations) == ([], 1)
    # Nothing of that was said of the payment itself.
    shop.resolve("r1", Finding.FOUND_UNPAID, "mock", "ch_other")
    report = audit(shop.log())
    assert (report.is_exact, report.compensations) == (True, 0)
    assert report.price_of_sold == {"EUR": PRICE}


# What is not over yet.


def under_way(shop: Shop) -> None:
    shop.start("r1", 0)


def charged_and_not_heard(shop: Shop) -> None:
    shop.start("r1", 0)
    shop.charge("r1")


def waits_for_its_refund(shop: Shop) -> None:
    shop.paid("r1", 0)
    shop.want_refund("r1")


def money_before_the_last_look(shop: Shop) -> None:
    shop.released("r1", 0)
    shop.charge("r1")


@pytest.mark.parametrize(
    "track", [under_way, charged_and_not_heard, waits_for_its_refund, money_before_the_last_look]
)
def test_a_payment_that_is_under_way_is_no_loss(track: Callable[[Shop], None]) -> None:
    shop = Shop()
    track(shop)
    report = audit(shop.log())
    assert (report.verdict, report.under_way, report.open_intents) == ("not at rest", 1, 1)


@pytest.mark.parametrize("is_told", [True, False])
def test_what_nobody_has_decided_yet_is_no_loss(*, is_told: bool) -> None:
    shop, before = Shop(), Shop()
    shop.refunded("r1", 0)
    before.paid("r1", 0)
    # The purchases are read first: what was read after them is newer.
    log = replace(shop.log(), purchases=before.log().purchases)
    if not is_told:
        log.told = before.log().told
    report = audit(log)
    assert report.violations == []
    assert report.verdict == "not at rest"


def test_what_nobody_can_read_is_a_dead_letter_and_says_nothing_of_money() -> None:
    shop = Shop()
    shop.paid("r1", 0)
    shop.pipe(PAYMENTS, b"r1", b"rubbish")
    requested = next(one.value for one in shop.log().payments[0] if one.key == b"r1")
    shop.pipe(PAYMENTS, b"another", requested)
    shop.pipe(PAYMENTS, b"r1", None)
    report = audit(shop.log())
    assert report.first_by_invariant().keys() == {"I8 duplicate effect"}
    assert (report.dead_letters, report.payments) == (2, 1)
    assert report.foreign.keys() == {"payment-commands"}


def test_money_is_not_judged_where_nobody_plays_payments(whole: Log) -> None:
    report = audit(replace(whole, purchases={}, told={}, ledger=None))
    assert (report.is_exact, report.payments) == (True, 0)


def test_sales_whose_payment_was_never_started_are_counted() -> None:
    shop = Shop()
    shop.hold("r1", 0)
    shop.pipe(SEATS, *confirm("r1"))
    report = audit(shop.log())
    assert (report.is_exact, report.sold_elsewhere, dict(report.price_of_sold)) == (True, 1, {})


BUYERS = ("r1", "r2", "r3", "r4")
STEPS = (
    *("hold", "start", "start", "ask", "ask", "ask", "is away", "declines", "errs", "refuses"),
    *("charge", "hint", "want_refund", "pass", "seats", "payments", "both", "both"),
    *("claim", "paid elsewhere", "paid elsewhere", "wrong claim"),
)


def step(shop: Shop, name: str, buyer: str) -> None:
    """Let one thing happen, if it may."""
    seat = BUYERS.index(buyer) // 2
    match name:
        case "hold" | "start":
            getattr(shop, name)(buyer, seat)
        case "hint" | "want_refund":
            getattr(shop, name)(buyer)
        case "claim":
            shop.claim(buyer)
        case "wrong claim":
            shop.claim(buyer, PRICE + 1)
        case "paid elsewhere":
            # By another shop, whose word comes in any case: it repeats it.
            shop.charge(buyer, key=f"shop-{buyer}")
            shop.claim(buyer)
        case "seats":
            shop.driver.relay(SEATS, 0)
        case "payments":
            shop.driver.relay(PAYMENTS, 0)
        case "both":
            shop.relay()
        case "pass":
            shop.driver.advance(45_000)
        case _ if not shop.is_asked(buyer):
            pass
        case "charge":
            # A call that nobody waits for any more reaches the gateway.
            shop.charge(buyer)
        case "ask" | "is away" | "declines" | "errs" | "refuses":
            shop.ask(buyer, name)


@settings(max_examples=of_whole(40), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(BUYERS)), max_size=40))
def test_i6_i10_i11_in_any_order_nothing_is_wrong_before_the_end_nor_at_it(
    steps: list[tuple[str, str]],
) -> None:
    shop = Shop(is_slow=True)
    for name, buyer in steps:
        step(shop, name, buyer)
    assert audit(shop.log()).first_by_invariant() == {}
    shop.settle(BUYERS)
    log = shop.log()
    for ledger in (log.ledger, None):
        report = audit(replace(log, ledger=ledger))
        assert report.first_by_invariant() == {}
        assert report.is_exact
        assert (report.open_intents, report.compensations, report.money_mismatch) == (0, 0, 0)
        assert report.captured - report.refunded == report.price_of_sold


def test_seats_that_somebody_sold_without_money_are_taken_back_by_a_person() -> None:
    shop = Shop(is_slow=True)
    shop.start("r1", 0)
    shop.relay()
    shop.pipe(SEATS, *confirm("r1"))
    shop.relay()
    shop.ask("r1", "declines")
    shop.relay()
    assert shop.needs_person("r1")
    assert audit(shop.log()).is_exact
    shop.settle(["r1"])
    report = audit(shop.log())
    assert (report.first_by_invariant(), report.is_exact, report.sold) == ({}, True, 0)


def test_seats_that_a_person_knows_to_be_paid_for_elsewhere_are_no_sale_of_ours() -> None:
    shop = Shop(is_slow=True)
    shop.start("r1", 0)
    shop.relay()
    shop.pipe(SEATS, *confirm("r1"))
    shop.relay()
    shop.ask("r1", "declines")
    shop.relay()
    shop.resolve("r1", Finding.PAID_ELSEWHERE)
    log = shop.log()
    report = audit(log)
    assert (report.first_by_invariant(), report.is_exact) == ({}, True)
    assert (report.sold, report.sold_elsewhere, report.compensations) == (1, 1, 0)
    assert report.price_of_sold == report.captured == {}
    # Without his word it is a sale that nobody has paid for.
    alter("payments", "CompensationResolved", "r1")(log)
    assert "I10 sold unpaid" in audit(log).first_by_invariant()


def test_f17_a_request_that_no_worker_survived_is_a_payment_that_has_failed() -> None:
    shop = Shop(is_slow=True)
    shop.start("r1", 0)
    shop.deadly.names = {"PaymentRequested"}
    shop.relay()
    shop.deadly.names = set()
    # Nor does a repeat charge anybody.
    shop.pipe(SEATS, *start_payment("r1", parameters=b""))
    shop.relay()
    assert not shop.is_asked("r1")
    report = audit(shop.log())
    assert (report.first_by_invariant(), report.is_exact) == ({}, True)
    assert (report.payments, report.declined, report.sold) == (1, 1, 0)


# Mutants.


def id_in(fields: Fields) -> str:
    return str(fields.get("reservationId") or fields["request"]["reservationId"])


def alter(topic: str, name: str, payment: str, at: int = 0, **changes: Any) -> Mutation:
    """Change fields of one record about a payment; without changes, remove it."""

    def mutate(log: Log) -> None:
        records: Records = getattr(log, topic)
        found = []
        for index, record in enumerate(records[0]):
            called, fields = WIRE.decode(record.value or b"")
            if called == name and id_in(fields) == payment:
                found.append((index, record, fields))
        index, record, fields = found[at]
        if not changes:
            del records[0][index]
            return
        value = b"\0" + ID_BY_NAME[name].to_bytes(4, "big") + AVRO.encode(name, fields | changes)
        records[0][index] = replace(record, value=value)

    return mutate


def alter_state(key: bytes, **changes: Any) -> Mutation:
    """Change fields of a kept record; without changes, remove it."""

    def mutate(log: Log) -> None:
        name = STATE_BY_TAG[key[:1]]
        for index, record in enumerate(log.purchases[0]):
            if record.key == key and not changes:
                del log.purchases[0][index]
                return
            if record.key == key:
                fields = AVRO.decode(name, opened(record.value or b"")[0])
                value = sealed(AVRO.encode(name, fields | changes))
                log.purchases[0][index] = replace(record, value=value)
                return
        raise AssertionError("no such state")

    return mutate


def add_state(key: bytes, like: bytes) -> Mutation:
    def mutate(log: Log) -> None:
        [known] = [record for record in log.purchases[0] if record.key == like]
        log.purchases[0].append(replace(known, key=key, offset=len(log.purchases[0])))

    return mutate


def of_ledger(outcome: Outcome, payment: str, *, again: bool = False, **changes: Any) -> Mutation:
    """Change an entry of the ledger, or add it again changed; without changes, remove it."""

    def mutate(log: Log) -> None:
        assert log.ledger is not None
        entries: list[Entry] = list(log.ledger)
        [at] = [
            index
            for index, entry in enumerate(entries)
            if (entry.outcome, entry.order_id) == (outcome, f"{payment}.1.0")
        ]
        entry = replace(entries[at], **changes)
        entries[at : at + (not again)] = [entry] if changes else []
        log.ledger = tuple(entries)

    return mutate


def all_of(*mutations: Mutation) -> Mutation:
    def mutate(log: Log) -> None:
        for each in mutations:
            each(log)

    return mutate


CAPTURED, REFUNDED = Outcome.CAPTURED, Outcome.REFUNDED
MUTANTS: dict[str, tuple[Mutation, str]] = {
    "an order is captured twice": (
        of_ledger(CAPTURED, "paid", again=True, number=99, payment_id="pay_99"),
        "I11 charged twice",
    ),
    "two captures of one order were heard of": (
        alter("payments", "GatewayAnswered", "differing", -1, word="CAPTURED", paymentId="x"),
        "I11 charged twice",
    ),
    "a sale whose capture the gateway does not have": (
        of_ledger(CAPTURED, "paid"),
        "I10 sold unpaid",
    ),
    "one unit less was captured than the seat costs": (
        of_ledger(CAPTURED, "paid", amount=PRICE - 1),
        "I10 wrong amount",
    ),
    "another currency was captured": (
        of_ledger(CAPTURED, "paid", currency="USD"),
        "I10 wrong amount",
    ),
    "a refund that the gateway does not have": (
        of_ledger(REFUNDED, "refunded"),
        "I10 stranded money",
    ),
    "a refund of a part": (
        of_ledger(REFUNDED, "refunded", amount=PRICE - 1),
        "I10 partial refund",
    ),
    "a refund of more than was captured": (
        of_ledger(REFUNDED, "lost", amount=PRICE + 1),
        "I10 partial refund",
    ),
    "money is given back twice": (
        of_ledger(REFUNDED, "lost", again=True, number=99),
        "I10 refunded twice",
    ),
    "a sale's money is given back behind its back": (
        of_ledger(REFUNDED, "refunded", again=True, order_id="paid.1.0", key="refund:paid.1.0"),
        "I10 sold unpaid",
    ),
    "a capture of an order that nobody knows": (
        of_ledger(CAPTURED, "paid", again=True, order_id="nobody.1.0"),
        "I11 capture of nobody",
    ),
    "a capture of an order that is none of ours": (
        of_ledger(CAPTURED, "paid", again=True, order_id="shoes"),
        "I11 capture of nobody",
    ),
    "a capture of another epoch": (
        of_ledger(CAPTURED, "paid", again=True, order_id="paid.2.0"),
        "I11 capture of nobody",
    ),
    "a declined order that was captured": (
        of_ledger(CAPTURED, "paid", again=True, order_id="declined.1.0", key="pay:declined.1.0"),
        "I10 stranded money",
    ),
    "a charge under another key": (
        of_ledger(CAPTURED, "paid", key="pay:paid"),
        "I11 wrong key",
    ),
    "a refund under another key": (
        of_ledger(REFUNDED, "refunded", key="pay:refunded.1.0"),
        "I11 wrong key",
    ),
    "a capture before the payment was started": (
        of_ledger(CAPTURED, "paid", at_ms=1),
        "I12 early capture",
    ),
    "nobody keeps the purchase": (alter_state(b"upaid"), "I8 lost purchase"),
    "a purchase that no section asked for": (
        alter("payments", "PaymentRequested", "paid"),
        "I11 phantom purchase",
    ),
    "seats that cost nothing were charged": (
        add_state(b"ufree", b"upaid"),
        "I10 free seats charged",
    ),
    "a purchase costs another amount": (
        alter_state(b"upaid", amount=PRICE + 1),
        "I10 wrong amount",
    ),
    "a purchase is in another currency": (
        alter_state(b"upaid", currency="USD"),
        "I10 wrong amount",
    ),
    "another amount is asked for than was held for": (
        all_of(
            alter("payments", "PaymentRequested", "paid", amount=PRICE + 1),
            alter_state(b"upaid", amount=PRICE + 1),
        ),
        "I10 wrong amount",
    ),
    "a sale on another amount than its price": (
        alter_state(b"upaid", paid=PRICE - 1),
        "I10 sold without money",
    ),
    "a capture that no gateway told of": (
        alter("payments", "GatewayAnswered", "paid"),
        "I11 phantom capture",
    ),
    "one payment of the gateway for two purchases": (
        alter_state(b"ureacquired", paymentId="pay_1"),
        "I11 payment for two",
    ),
    "a purchase that has failed and was paid": (
        alter_state(b"upaid", status="FAILED"),
        "I10 stranded money",
    ),
    "a sale without money": (
        alter_state(b"upaid", status="EXPIRED", paid=0, paymentId=""),
        "I10 sold without money",
    ),
    "money that went back, and the seats did not": (
        alter_state(b"upaid", status="REFUNDED"),
        "I10 seats not given back",
    ),
    "a payment that never ends": (
        alter_state(b"udeclined", status="PENDING"),
        "I9 stranded payment",
    ),
    "a capture that the section never hears of": (
        alter_state(b"upaid", status="CAPTURED"),
        "I9 stranded payment",
    ),
    "a refund that nobody asks for": (
        alter_state(b"urefunded", status="REFUND_DUE"),
        "I9 stranded payment",
    ),
    "a question that nobody performs": (
        alter_state(b"uexpired", question="VERIFY", number=9),
        "I9 stranded payment",
    ),
    "a compensation is not listed": (alter_state(b"cunclear"), "I14 wrong list"),
    "a compensation is listed that is none": (add_state(b"cpaid", b"cunclear"), "I14 wrong list"),
    "purchases are counted wrongly": (alter_state(b"n", counts=[0, 1]), "I14 wrong count"),
    "a sale that was never told": (
        alter("told", "PaymentChanged", "paid", -1),
        "I14 wrong state",
    ),
    "a move that the table does not have": (
        alter("told", "PaymentChanged", "refunded", 2, status="EXPIRED"),
        "I7 illegal transition",
    ),
    "a decline that no gateway told of": (
        alter("payments", "GatewayAnswered", "declined", word="OPEN"),
        "I7 groundless transition",
    ),
    "a refund that nobody wanted": (
        alter("payments", "RefundRequested", "refunded"),
        "I7 groundless transition",
    ),
    "a resolution that no operator found": (
        alter("payments", "CompensationResolved", "resolved"),
        "I7 groundless transition",
    ),
    "a payment is told that nobody keeps": (
        all_of(alter_state(b"upaid"), alter("payments", "PaymentRequested", "paid")),
        "I8 phantom purchase",
    ),
    "what a gateway has to know of a buyer is kept": (
        alter_state(b"upaid", parameters=b"{}"),
        "I24 kept secret",
    ),
    "the number of a card in an answer": (
        alter("payments", "GatewayAnswered", "declined", detail="card 4111 1111 1111 1111"),
        "I24 card number",
    ),
    "a payment expired whose seats were sold and given back": (
        alter_state(b"urefunded", status="EXPIRED"),
        "I9 stranded seats",
    ),
    "a purchase has another deadline than was asked for": (
        alter_state(b"upaid", deadlineMs=1),
        "I10 wrong purchase",
    ),
    "nobody was told of a payment": (
        all_of(*[alter("told", "PaymentChanged", "declined")] * 2),
        "I8 lost write",
    ),
    "a value that cannot be read": (
        lambda log: log.purchases.update(
            {0: [replace(one, value=b"\2" + (one.value or b"")[1:-1]) for one in log.purchases[0]]}
        ),
        "I14 corrupt value",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_flagged_by_what_names_it(whole: Log, name: str) -> None:
    mutate, finding = MUTANTS[name]
    log = replace(
        whole,
        payments={0: list(whole.payments[0])},
        told={0: list(whole.told[0])},
        purchases={0: list(whole.purchases[0])},
    )
    mutate(log)
    assert finding in audit(log).first_by_invariant()


@pytest.fixture(scope="module")
def claims() -> Log:
    """Return a log in which other shops say that they were paid, in every way there is."""
    shop = Shop()
    shop.claimed("claimed", 0)
    shop.claimed("errs", 1, "errs")
    shop.ask("errs")
    shop.claimed_late("late", 2)
    shop.claimed_for_nothing("nothing")
    return shop.log()


MUTANTS_OF_CLAIMS: dict[str, tuple[Mutation, str]] = {
    "a claimed sale whose capture the gateway does not have": (
        of_ledger(CAPTURED, "claimed"),
        "I10 sold unpaid",
    ),
    "a claimed sale at another amount": (
        of_ledger(CAPTURED, "claimed", amount=PRICE - 1),
        "I10 wrong amount",
    ),
    "late money of a claim that the gateway does not have": (
        of_ledger(CAPTURED, "late"),
        "I10 sold unpaid",
    ),
    "a claimed order is captured twice": (
        of_ledger(CAPTURED, "claimed", again=True, number=99, payment_id="pay_99"),
        "I11 charged twice",
    ),
    "money that came for nothing and stays": (
        of_ledger(REFUNDED, "nothing"),
        "I10 stranded money",
    ),
    "a claim sold on the shop's word alone": (
        alter("payments", "GatewayAnswered", "claimed"),
        "I11 phantom capture",
    ),
    "a claim that no section has decided": (
        alter("payments", "PaymentRequested", "claimed"),
        "I11 phantom purchase",
    ),
    "payments are told another price of a claim than its seats have": (
        alter("payments", "PaymentRequested", "claimed", amount=PRICE + 1),
        "I8 wrong effect",
    ),
    "seats are said to be kept for a claim that was refused": (
        alter("payments", "PaymentRequested", "nothing", deadlineMs=1 << 41),
        "I8 wrong effect",
    ),
}


def test_i10_claims_of_every_kind_together_pass_to_the_unit(claims: Log) -> None:
    for ledger in (claims.ledger, None):
        report = audit(replace(claims, ledger=ledger))
        assert report.first_by_invariant() == {}
        assert report.price_of_sold == {"EUR": 2 * PRICE}
        assert report.captured - report.refunded == report.price_of_sold
        assert (report.sold_elsewhere, report.money_mismatch, report.payments) == (0, 0, 4)


@pytest.mark.parametrize("name", MUTANTS_OF_CLAIMS)
def test_each_mutant_of_a_claim_is_flagged_by_what_names_it(claims: Log, name: str) -> None:
    mutate, finding = MUTANTS_OF_CLAIMS[name]
    log = replace(claims, payments={0: list(claims.payments[0])})
    mutate(log)
    assert finding in audit(log).first_by_invariant()


def test_one_payment_of_the_gateway_for_purchases_of_two_partitions_is_flagged() -> None:
    report = Report()
    judge_claims(
        {("mock", "p1"): [(0, 7, "r1"), (3, 9, "r2")], ("toss", "p1"): [(1, 8, "x")]}, report
    )
    [found] = report.violations
    assert (found.anomaly, found.partition, found.offset) == ("payment for two", 3, 9)
    assert found.reservation_id == "r2"


def test_an_intent_that_nobody_asks_for_and_one_under_another_key_are_flagged() -> None:
    shop = Shop()
    shop.start("r1", 0)
    log = shop.log()
    shop.ask("r1")
    later = shop.log()
    [intent] = [one for one in log.purchases[0] if (one.key or b"")[:1] == b"\xfe"]
    later.purchases[0].append(intent)
    assert audit(later).first_by_invariant().keys() == {"I9 phantom intent"}
    wrong = AVRO.decode("OpenIntent", opened(intent.value or b"")[0])
    at = log.purchases[0].index(intent)
    value = sealed(AVRO.encode("OpenIntent", wrong | {"idempotencyKey": "pay:r1"}))
    log.purchases[0][at] = replace(intent, value=value)
    assert audit(log).first_by_invariant().keys() == {"I11 wrong key"}
