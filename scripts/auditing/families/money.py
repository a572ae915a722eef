"""I6, I9 to I12, I24: nobody is charged twice, and money is where the seats say.

The audit knows the table of purchases, but none of the product's rules. Each move of a payment
must be in the table, and a record that may lead to the move must lie before it. A payment that
still waits for something is counted, and judged once it waits for nothing.
"""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from scripts.auditing.accounts import GATEWAY, Account, Order, accounts_of, judge_account
from scripts.auditing.carts import Carts, PaidCart
from scripts.auditing.facts import Facts
from scripts.auditing.payment_moves import ELSEWHERE, STATUSES, judge_moves
from scripts.auditing.purchases import TERMS, Payment, is_of_cart
from scripts.auditing.report import Bad, Notes, Report
from scripts.auditing.schemas import Unreadable

UNSETTLED = {"PENDING", "PROCESSING"}
UNDER_WAY = {*UNSETTLED, "CAPTURED", "REFUND_DUE"}
# By the status of a payment that has ended: how its seats may stand.
SEATS_OF = {
    "DONE": {"SOLD"},
    # REFUNDED: somebody else sold the seats without money, and a person took them back.
    "FAILED": {"RELEASED", "REFUNDED"},
    "EXPIRED": {"RELEASED"},
    "REFUNDED": {"RELEASED", "REFUNDED"},
    "COMPENSATION_REQUIRED": {"PAYING", "SOLD", "RELEASED", "REFUNDED"},
}
# By gateway and its payment id: partition, offset and reservation id of each purchase that has it.
Claims = dict[tuple[str, str], list[tuple[int, int, str]]]


def check(facts: Facts, notes: Notes) -> None:
    """Judge all payments, what is stored beside purchases, and the gateway's ledger if given."""
    if not facts.purchases.is_played:
        return
    waiting = waiting_sections(facts)
    settled: dict[str, Payment] = {}
    for reservation_id, payment in facts.purchases.by_id.items():
        payment.is_waiting |= reservation_id in waiting
        judge_payment(facts, notes, reservation_id, payment)
        # The seats of a cart lie on several partitions: it is judged when all are read.
        if is_settled(payment) and not is_of_cart(reservation_id):
            settled[reservation_id] = payment
            judge_seats(facts, notes, reservation_id, payment)
    judge_sales(facts, notes)
    judge_beside(facts, notes)
    if facts.log.ledger is None:
        add_money_told(facts, notes, settled)
    else:
        accounts = accounts_of(facts.log.ledger, facts.partition, facts.log.partitions)
        judge_ledger(facts, notes, settled, accounts, waiting)


def waiting_sections(facts: Facts) -> set[str]:
    """Return the reservations about which the section has yet to decide."""
    found = set()
    for record in facts.undecided:
        try:
            _, fields = facts.log.wire.decode(record.value or b"")
        except Unreadable:
            continue
        if "request" in fields:
            found.add(fields["request"]["reservationId"])
    return found


def is_settled(payment: Payment) -> bool:
    """Say whether a payment waits for nothing, so that what is wrong now stays wrong."""
    stored = payment.stored
    if stored is None or payment.asked is None or payment.is_waiting:
        return False
    if payment.status in UNDER_WAY or stored["saying"] != "UNSPECIFIED":
        return False
    # The last look-up is still open, and will find what was captured.
    is_looked_for = payment.status in {"FAILED", "EXPIRED"} and is_asked(payment)
    return not (payment.captures and is_looked_for)


def is_asked(payment: Payment) -> bool:
    """Say whether a payment has an open question."""
    return payment.stored is not None and payment.stored["question"] != "UNSPECIFIED"


def noting(notes: Notes, reservation_id: str, payment: Payment) -> Bad:
    """Return a function that notes a violation about a payment."""

    def bad(invariant: str, anomaly: str, message: str) -> None:
        notes.bad(invariant, anomaly, payment.offset, message, reservation_id=reservation_id)

    return bad


def kept_of(payment: Payment) -> Counter[str]:
    """Return how much of the buyer's money is kept, as far as the topics tell."""
    stored = payment.stored
    if stored is None or not stored["paid"] or payment.status == "REFUNDED":
        return Counter()
    return Counter({stored["paidCurrency"]: stored["paid"]})


def is_paid_elsewhere(payment: Payment | None) -> bool:
    """Say whether a payment has ended without money for seats that a person knows to be paid."""
    ends = {"FAILED", "REFUNDED"}
    return payment is not None and payment.status in ends and ELSEWHERE in payment.heard


def price_of(facts: Facts, reservation_id: str) -> Counter[str]:
    """Return what is to be kept: the price of the seats where they are sold here, else nothing."""
    payment = facts.purchases.by_id.get(reservation_id)
    if payment is not None and payment.is_refused and payment.status != "DONE":
        # What was sold was not sold to this money.
        return Counter()
    held = facts.oracle.reservations.get(reservation_id)
    if held is None or held.record["status"] != "SOLD" or not held.record["amount"]:
        return Counter()
    if is_paid_elsewhere(payment):
        return Counter()
    return Counter({held.record["currency"]: held.record["amount"]})


# Each payment by itself.


def judge_payment(facts: Facts, notes: Notes, reservation_id: str, payment: Payment) -> None:
    """Judge a payment's purchase, and what was told of it, by the records about it."""
    stored, asked = payment.stored, payment.asked
    report = notes.report
    bad = noting(notes, reservation_id, payment)

    if len({capture["paymentId"] for capture in payment.captures}) > 1:
        report.charged_twice += 1
        bad("I11", "charged twice", f"captures {sorted_ids(payment)}")
    if stored is None:
        if asked is not None and not payment.is_waiting and not payment.is_unclear:
            bad("I8", "lost purchase", "was to be charged, and nobody keeps a purchase for it")
        elif payment.told and not payment.is_waiting:
            bad("I8", "phantom purchase", "is told, and nobody keeps it")
        return
    if asked is None:
        if not payment.is_waiting:
            bad("I11", "phantom purchase", "a purchase that no section asked for")
        return
    report.payments += 1
    report.declined += payment.status == "FAILED"
    report.compensations += payment.status == "COMPENSATION_REQUIRED"
    report.under_way += not (payment.is_waiting or is_settled(payment))
    # Seats that a spent order was started for are given back in their own buyer's name.
    for part in TERMS if payment.is_refused else ("request", *TERMS):
        if stored[part] != asked[part]:
            anomaly = "wrong amount" if part in {"amount", "currency"} else "wrong purchase"
            bad("I10", anomaly, f"{part} is {stored[part]!r}, and was to be {asked[part]!r}")
    judge_capture(payment, bad)
    judge_waiting(facts, reservation_id, payment, bad)
    if not payment.is_waiting:
        judge_moves(payment, bad)


def sorted_ids(payment: Payment) -> list[str]:
    """Return the gateway's ids of all captures of a payment."""
    return sorted({capture["paymentId"] for capture in payment.captures})


def judge_capture(payment: Payment, bad: Bad) -> None:
    """Judge a purchase's capture: a gateway must have told it, and it must be what seats cost."""
    stored = payment.stored
    assert stored is not None
    known = {(each["paymentId"], each["amount"], each["currency"]) for each in payment.captures}
    of_purchase = stored["paymentId"], stored["paid"], stored["paidCurrency"]
    if stored["paymentId"] and of_purchase not in known:
        bad("I11", "phantom capture", f"{of_purchase}, of which no gateway has told")
    price = stored["amount"], stored["currency"]
    if payment.status in {"CAPTURED", "DONE"} and of_purchase[1:] != price:
        bad("I10", "sold without money", f"{payment.status}, and {of_purchase[1:]} for {price}")
    is_unpaid = payment.status in {"FAILED", "EXPIRED"} and is_settled(payment)
    if is_unpaid and payment.captures and not {"found FOUND_UNPAID", ELSEWHERE} & payment.heard:
        bad("I10", "stranded money", f"{payment.status}, and captured {sorted_ids(payment)}")
    is_kept = stored["method"] or stored["parameters"]
    if is_kept and payment.status not in UNSETTLED:
        bad("I24", "kept secret", "what the gateway wants to know of the buyer is kept")


def judge_waiting(facts: Facts, reservation_id: str, payment: Payment, bad: Bad) -> None:
    """Judge what a payment waits for: each question must have its intent, under its own key."""
    stored = payment.stored
    assert stored is not None
    status, question = payment.status, stored["question"]
    if status == "CAPTURED" and stored["saying"] != "SELL_SEATS":
        bad("I9", "stranded payment", "captured, and the section is not told to sell")
    if not is_asked(payment):
        if status in {*UNSETTLED, "REFUND_DUE"}:
            bad("I9", "stranded payment", f"{status}, and no gateway is asked")
        return
    order_id = f"{reservation_id}.{stored['epoch']}.{facts.partition}"
    intent = facts.purchases.intents.get(f"{order_id}:{stored['number']}")
    if intent is None:
        bad("I9", "stranded payment", f"{question} is open, and nobody performs it")
        return
    prefix = {"CHARGE": "pay", "REFUND": "refund"}.get(question, "verify")
    if intent["idempotencyKey"] != f"{prefix}:{order_id}":
        bad("I11", "wrong key", f"{question} under {intent['idempotencyKey']!r}")


# Payments beside seats, and beside one another.


def judge_seats(facts: Facts, notes: Notes, reservation_id: str, payment: Payment) -> None:
    """Judge a payment that has ended by what became of its seats."""
    bad, stored = noting(notes, reservation_id, payment), payment.stored
    assert stored is not None
    if payment.is_refused and payment.status != "DONE":
        # Its money has gone back, if there was any: what became of the seats is another's affair.
        return
    held = facts.oracle.reservations.get(reservation_id)
    if held is None:
        bad("I11", "phantom purchase", "a payment for a reservation that there is not")
        return
    record = held.record
    fixed = record["amount"], record["currency"]
    if fixed != (stored["amount"], stored["currency"]):
        bad("I10", "wrong amount", f"{stored['amount']} {stored['currency']}, held for {fixed}")
    if record["status"] in SEATS_OF.get(payment.status, set()):
        return
    # A person may have taken seats back that somebody else had confirmed.
    is_taken_back = (payment.status, record["status"]) == ("FAILED", "REFUNDED")
    if is_taken_back and "found FOUND_UNPAID" in payment.heard:
        return
    seats = f"{payment.status}, and the seats are {record['status']}"
    if record["status"] == "SOLD" and is_paid_elsewhere(payment):
        return
    if record["status"] == "SOLD":
        money_is_back = payment.status == "REFUNDED"
        bad("I10", "seats not given back" if money_is_back else "sold without money", seats)
    elif payment.status == "DONE":
        bad("I10", "stranded money", seats)
    else:
        bad("I9", "stranded seats", seats)


def judge_sales(facts: Facts, notes: Notes) -> None:
    """Judge every sale: seats that cost something have a payment, free seats have none."""
    report = notes.report
    for reservation_id, held in facts.oracle.reservations.items():
        record, payment = held.record, facts.purchases.by_id.get(reservation_id)
        is_paid = payment is not None and payment.stored is not None and not payment.is_refused
        is_done = payment is not None and payment.status == "DONE"
        is_started = held.started is not None or is_done
        if is_paid and not record["amount"] and payment is not None:
            message = "seats that cost nothing have a payment"
            noting(notes, reservation_id, payment)("I10", "free seats charged", message)
        if record["status"] != "SOLD" or not record["amount"]:
            continue
        if is_started and not is_paid_elsewhere(payment):
            report.price_of_sold[record["currency"]] += record["amount"]
        else:
            report.sold_elsewhere += 1


def judge_beside(facts: Facts, notes: Notes) -> None:
    """Judge what is stored beside purchases: the list of compensations, intents, counts."""
    purchases = facts.purchases
    questions: set[str] = set()
    for reservation_id, payment in purchases.by_id.items():
        bad, stored = noting(notes, reservation_id, payment), payment.stored
        beside = [] if stored is None else stored["others"]
        to_find_out = sum(one["finding"] == "UNSPECIFIED" for one in beside)
        notes.report.compensations += to_find_out
        needs_person = payment.status == "COMPENSATION_REQUIRED" or to_find_out > 0
        if payment.is_listed != needs_person:
            listed = "listed" if payment.is_listed else "not listed"
            status = payment.status or "unknown"
            bad("I14", "wrong list", f"{status}, and {listed} among those that need a person")
        if stored is None:
            continue
        if is_asked(payment):
            questions.add(
                f"{reservation_id}.{stored['epoch']}.{facts.partition}:{stored['number']}"
            )
    notes.report.open_intents += len(purchases.intents)
    for intent in sorted(purchases.intents.keys() - questions):
        notes.bad("I9", "phantom intent", -1, f"nobody asks for {intent}")
    kept = Counter(payment.status for payment in purchases.by_id.values() if payment.stored)
    counts = purchases.counts or []
    counted = {name: count for name, count in zip(STATUSES, counts, strict=False) if count}
    if counted != kept:
        notes.bad("I14", "wrong count", -1, f"purchases are {dict(kept)}, counted as {counted}")


def add_carts(facts: Facts, carts: Carts) -> None:
    """Add the payments of carts, each with the money that is kept of it."""
    accounts: Mapping[Order, Account] = {}
    if facts.log.ledger is not None:
        accounts = accounts_of(facts.log.ledger, facts.partition, facts.log.partitions)
    for payment_id, payment in facts.purchases.by_id.items():
        if not is_of_cart(payment_id):
            continue
        stored, kept = payment.stored, kept_of(payment)
        if facts.log.ledger is not None and stored is not None and stored["gateway"] == GATEWAY:
            kept = accounts.get((payment_id, stored["epoch"]), Account("")).kept
        # What was told of it on the way has been judged.
        judged = replace(payment, told=[], captures=[])
        paid = PaidCart(judged, kept, is_settled=is_settled(payment), is_asked=is_asked(payment))
        carts.payments[payment_id.removesuffix("_c")] = paid


def add_claims(facts: Facts, claims: Claims) -> None:
    """Add which purchase has each capture, by the gateway's id of it."""
    for reservation_id, payment in facts.purchases.by_id.items():
        stored = payment.stored
        if stored is not None and stored["paymentId"]:
            claim = facts.partition, payment.offset, reservation_id
            claims[stored["gateway"], stored["paymentId"]].append(claim)


def judge_claims(claims: Claims, report: Report) -> None:
    """Note captures that two purchases have. No worker sees that across partitions."""
    for (gateway, payment_id), claimed in claims.items():
        first, *others = claimed
        for partition, offset, reservation_id in others:
            message = f"{payment_id} of {gateway} is {first[2]}'s too, of partition {first[0]}"
            Notes(partition, report).bad(
                "I11", "payment for two", offset, message, reservation_id=reservation_id
            )


# Money.


def add_money_told(facts: Facts, notes: Notes, settled: Mapping[str, Payment]) -> None:
    """Add up the money that the topics tell of; count payments where it is not the price."""
    report = notes.report
    for payment in facts.purchases.by_id.values():
        stored = payment.stored
        if stored is None or not stored["paid"]:
            continue
        report.captured[stored["paidCurrency"]] += stored["paid"]
        if payment.status == "REFUNDED":
            report.refunded[stored["paidCurrency"]] += stored["paid"]
    for reservation_id, payment in settled.items():
        # A person has yet to find out where this money is.
        if payment.status != "COMPENSATION_REQUIRED":
            report.money_mismatch += kept_of(payment) != price_of(facts, reservation_id)


def judge_ledger(
    facts: Facts,
    notes: Notes,
    settled: Mapping[str, Payment],
    accounts: Mapping[Order, Account],
    waiting: AbstractSet[str],
) -> None:
    """Judge the gateway's ledger by what payments asked for, and by the seats.

    waiting: reservations about which the section has yet to decide.
    """
    purchases, report = facts.purchases.by_id, notes.report
    for (reservation_id, epoch), account in accounts.items():
        payment = purchases.get(reservation_id, Payment())
        for entry in account.captures:
            report.captured[entry.currency] += entry.amount
        for entry in account.refunds:
            report.refunded[entry.currency] += entry.amount
        bad = noting(notes, reservation_id, payment)
        is_waiting = payment.is_waiting or reservation_id in waiting
        # Another shop charges under a key of its own, before it says so.
        is_ours = not (payment.is_claimed or is_waiting)
        judge_account(account, payment, report_twice(notes, bad), is_ours=is_ours)
        asked = payment.asked
        is_known = asked is not None and (asked["epoch"], asked["gateway"]) == (epoch, GATEWAY)
        if not is_known and not is_waiting and (account.captures or account.refunds):
            bad("I11", "capture of nobody", f"order {account.order_id} belongs to no payment")
    for reservation_id, payment in settled.items():
        stored = payment.stored
        if stored is None or stored["gateway"] != GATEWAY:
            continue
        order = reservation_id, stored["epoch"]
        judge_balance(facts, notes, reservation_id, payment, accounts.get(order, Account("")))


def report_twice(notes: Notes, bad: Bad) -> Bad:
    """Return a function that notes a violation, and counts each double charge."""

    def noted(invariant: str, anomaly: str, message: str) -> None:
        notes.report.charged_twice += anomaly == "charged twice"
        bad(invariant, anomaly, message)

    return noted


def judge_balance(
    facts: Facts, notes: Notes, reservation_id: str, payment: Payment, account: Account
) -> None:
    """Compare the money that the gateway has kept with the price of what is sold, to the unit."""
    if payment.status == "COMPENSATION_REQUIRED":
        return
    bad, kept = noting(notes, reservation_id, payment), account.kept
    price = price_of(facts, reservation_id)
    if kept == price:
        return
    if is_asked(payment):
        # The last look-up will find it.
        notes.report.under_way += 1
        return
    notes.report.money_mismatch += 1
    anomaly = "wrong amount" if kept and price else "stranded money" if kept else "sold unpaid"
    bad("I10", anomaly, f"the gateway keeps {dict(kept)}, and sold is {dict(price)}")
