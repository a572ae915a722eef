"""Records of payment-commands in; what they change about purchases, written into the fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from state.domain.keys import PURCHASE, partition_of
from state.domain.purchases.life import (
    after_answer,
    after_finding,
    after_hint,
    after_no_decision,
    after_refund_asked,
    after_sale_without_money,
    after_seats_lost,
    after_seats_sold,
    begin,
    begin_claimed,
    begin_refused,
    without_charge,
)
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Answer, Finding, Followed, Heard, Purchase, Say
from state.domain.reasons import Reason
from state.domain.reservation import SaleDecision
from state.records.names import PaymentRequested, SaleDecided, identity_of
from state.records.payment_codecs import (
    CompensationResolved,
    GatewayAnswered,
    PaymentHint,
    RefundRequested,
)
from state.records.payments import PAYMENTS, PurchaseRecord, purchase_of
from streams.batch import Record
from streams.folding.commands import Kinds, by_full_name, each_command
from streams.folding.fold import Fields
from streams.folding.reading import read
from streams.patience import UNDECIDED_MS
from streams.take_payments.claims import (
    gives_way,
    has_payment_id,
    ids_of,
    is_claim,
    is_empty,
    is_of_other_money,
    is_same_order,
    list_other,
    tell_spent,
)
from streams.take_payments.fold import PaymentFold
from streams.take_payments.questions import home_of, refusal_to_charge

# Decision of a record that is not about the present purchase, or about none; it changes nothing.
STALE: Final = "STALE"
UNKNOWN: Final = "UNKNOWN_PAYMENT"

HINTS_MS: Final = 600_000
"""So long a webhook's id is remembered: what comes again under it is no hint. Longer would be
wrong: a gateway that tells of money before it can be asked for it is believed the second time."""

HINTS_MAX: Final = 16
"""Of more webhooks in that time the oldest are forgotten; each has one look made at most."""

_ENDS_OTHERS: Final = frozenset({Finding.REFUNDED, Finding.FOUND_UNPAID})

HINT_BYTES: Final = 255
"""So much of the payment id in a claim tells it from other claims."""


def key_of(fields: Fields) -> bytes:
    key: bytes = PURCHASE + fields[0]
    return key


def decide_all(fold: PaymentFold, records: Sequence[Record]) -> None:
    """Decide each record by the stored purchase that its key names, in the order of the batch."""
    for record, name, fields, stored in each_command(
        fold, records, key_of=key_of, end_due=PaymentFold.tell_again
    ):
        if record.key != fields[0]:
            fold.bury(record, Reason.KEY_MISMATCH.name, f"under the key {record.key!r:.100}")
            continue
        known = None if stored is None else purchase_of(stored)
        if name == REQUESTED:
            _requested(fold, record, PaymentRequested._make(fields), known)
        elif known is None:
            fold.count(UNKNOWN)
        else:
            kind, decide = _KINDS[name]
            decide(fold, kind(fields), known)


def _requested(
    fold: PaymentFold,
    record: Record,
    asked: PaymentRequested,
    known: PurchaseRecord | None,
) -> None:
    """Begin a purchase."""
    if (misplaced := _misplaced(fold, asked)) is not None:
        fold.bury(record, *misplaced)
    elif known is None or gives_way(known, asked):
        begin_anew(fold, asked, known)
    elif not known.deadline_ms and asked.deadline_ms:
        if is_claim(asked) and not is_same_order(known, asked):
            known = _listed(fold, record, asked, known)
        tell_spent(fold, asked, known)
    elif is_claim(asked) and is_of_other_money(known, asked):
        list_other(fold, record, asked, known)
    elif known.epoch != asked.epoch:
        detail = f"paid for under epoch {known.epoch} already"
        fold.bury(record, "OTHER_EPOCH", detail, is_strangers=is_claim(asked))
    elif (differ := _differing(asked, known)) is not None:
        detail = f"begun with another {differ}"
        fold.bury(record, "OTHER_PAYMENT", detail, is_strangers=is_claim(asked))
    elif is_claim(asked):
        if not known.claimed_id:
            # The claim is known when it comes again, also if the gateway has another id for the
            # money.
            claimed = known._replace(claimed_id=asked.parameters)
            known = fold.change(known, claimed, Followed(known.purchase))
        # Whoever may write can copy a claim, so copies count as rarely as repeated webhooks.
        _follow_hint(fold, known, b"claim:" + asked.parameters[:HINT_BYTES])
        fold.tell(known, "REPEATED")
    else:
        fold.tell(known, "REPEATED")


def _listed(
    fold: PaymentFold, record: Record, asked: PaymentRequested, known: PurchaseRecord
) -> PurchaseRecord:
    """Store a claim about another order beside the purchase, for a person to look at."""
    if is_of_other_money(known, asked):
        return list_other(fold, record, asked, known)
    fold.bury(record, "OTHER_PAYMENT", "after a claim of another order", is_strangers=True)
    return known


def _misplaced(fold: PaymentFold, asked: PaymentRequested) -> tuple[str, str] | None:
    """Return reason and detail of a request that is no section's of this partition; else None."""
    home = home_of(asked)
    if partition_of(home, fold.batch.partitions) != fold.partition:
        # Another partition's worker sells these seats, and could not be told.
        return Reason.WRONG_PARTITION.name, f"seats of {home!r}"
    if asked.epoch < 1:
        # An answer could not be assigned: the order id of such an epoch has another form.
        return "BAD_EPOCH", f"epoch {asked.epoch}: they begin with 1"
    if is_claim(asked) and not has_payment_id(asked):
        # Bytes that are no text could be stored, and never be read again.
        return "BAD_PAYMENT_ID", f"no gateway's id of a payment: {asked.parameters!r:.100}"
    return None


def _differing(asked: PaymentRequested, known: PurchaseRecord) -> str | None:
    """Name the first field in which a request differs from the one that began a purchase.

    `method` and `parameters` are not compared: the purchase forgets them, and a repeated request
    may have others. A claim of another capture does not come here.
    """
    compared = ["user_id", "gateway"]
    if asked.currency or not is_claim(asked):
        # Otherwise the request has no amount: only the purchase knows what the hold costs.
        compared += ["amount", "currency"]
    return next((name for name in compared if getattr(asked, name) != getattr(known, name)), None)


def begun(
    fold: PaymentFold, asked: PaymentRequested, number: int = 0
) -> tuple[PurchaseRecord, Followed]:
    """Return a new purchase, and what follows. A purchase that cannot be charged has failed.

    number: last question of the purchase that this one replaces; 0 where it replaces none.
    """
    now_ms = fold.log_time_ms
    terms = asked.amount, asked.currency, asked.deadline_ms, now_ms, number
    is_claimed = is_claim(asked)
    followed = begin_claimed(*terms) if is_claimed else Followed(begin(*terms))
    purchase = followed.purchase
    record = _record_of(fold, asked, purchase)
    if is_claimed:
        record = record._replace(claimed_id=asked.parameters)
    if is_claimed:
        is_open = purchase.status == PurchaseStatus.PENDING
        return record if is_open else record._replace(method=b"", parameters=b""), followed
    if purchase.asking is None:
        return record._replace(detail=b"begun too late"), Followed(purchase, Say.RELEASE_SEATS)
    refusal = refusal_to_charge(record, fold.partition)
    if not refusal:
        return record, Followed(purchase)
    fold.count("PAYMENT_REFUSED")
    return record._replace(detail=refusal.encode()), without_charge(purchase)


def never_begun(
    fold: PaymentFold, record: Record, asked: PaymentRequested, known: PurchaseRecord | None
) -> None:
    """Store a failed purchase for a request that kills workers, so that no repeat charges anybody.

    The parameters for the gateway are not read: they may be what kills the workers. The gateway is
    still asked for money that another shop claims to have taken.
    """
    if record.key != asked.reservation_id or _misplaced(fold, asked) is not None:
        return
    if known is not None and not is_empty(known):
        return
    number = 0 if known is None else known.asked
    look_ms = fold.log_time_ms if is_claim(asked) else 0
    terms = asked.amount, asked.currency, asked.deadline_ms, look_ms, number
    failed = begin_refused(*terms)
    fold.count("PAYMENT_REFUSED")
    begun_as = _record_of(fold, asked._replace(method=b"", parameters=b""), failed.purchase)
    others = () if known is None else known.others
    why = b"no worker survived its request"
    fold.change(known, begun_as._replace(detail=why, others=others), failed)


def _record_of(fold: PaymentFold, asked: PaymentRequested, purchase: Purchase) -> PurchaseRecord:
    return PurchaseRecord(
        *identity_of(asked),
        asked.epoch,
        asked.amount,
        asked.currency,
        asked.gateway,
        asked.method,
        asked.parameters,
        deadline_ms=asked.deadline_ms,
        changed_at_ms=fold.log_time_ms,
    ).with_purchase(purchase)


def begin_anew(fold: PaymentFold, asked: PaymentRequested, known: PurchaseRecord | None) -> None:
    """Begin a purchase; it may replace a refused claim."""
    number = 0 if known is None else known.asked
    record, followed = begun(fold, asked, number)
    others = () if known is None else known.others
    after = fold.change(known, record._replace(others=others), followed)
    if known is not None and known.status == after.status:
        # The status is the same, but amount, epoch or gateway may be new: they are told.
        fold.tell(after, "REPEATED")


def gateway_answered(fold: PaymentFold, said: GatewayAnswered, known: PurchaseRecord) -> None:
    """Take in what a gateway answered; an answer to any question but the open one is counted."""
    if (said.epoch, said.number) != (known.epoch, known.number):
        fold.count(STALE)
        return
    # An answer that this code does not know settles nothing.
    heard = Heard(said.word or Heard.OPEN)
    if heard == Heard.CAPTURED and not said.payment_id:
        # Without its id, nobody could tell this capture from another.
        heard = Heard.OPEN
    if heard == Heard.CAPTURED and fold.is_anothers(known, said.payment_id):
        fold.count("PAYMENT_OF_ANOTHER")
        heard = Heard.ANOTHERS
    answer = Answer(said.number, heard, said.amount, said.currency, said.payment_id, said.wait_ms)
    followed = after_answer(known.purchase, answer, fold.log_time_ms)
    if heard == Heard.CAPTURED and ids_of(known) and said.payment_id not in ids_of(known):
        # The gateway has the money under another id than the claim; the gateway is believed.
        fold.count("CLAIM_DIFFERED")
    if heard == Heard.CAPTURED and followed.purchase.status == PurchaseStatus.REFUND_DUE:
        fold.count("PAYMENT_DIFFERED")
    # A claim that is stored beside the purchase may turn out to be about its own money.
    own = (known.gateway, followed.purchase.payment_id)
    others = tuple(one for one in known.others if one[:2] != own)
    fold.change(known, known._replace(detail=said.detail, others=others), followed)


def _sale_decided(fold: PaymentFold, told: SaleDecided, known: PurchaseRecord) -> None:
    # Somebody else's command led to this decision, not one of this purchase.
    if (told.request, told.epoch) != (known.request, known.epoch):
        fold.count(STALE)
        return
    if told.reason == Reason.INTERNAL:
        _sale_undecided(fold, told, known)
        return
    purchase = known.purchase
    followed = Followed(purchase)
    if told.asked == Say.SELL_SEATS and told.decision == SaleDecision.SOLD:
        followed = after_seats_sold(purchase)
    elif told.asked == Say.SELL_SEATS:
        followed = after_seats_lost(purchase, fold.log_time_ms)
    elif told.asked == Say.RELEASE_SEATS and told.reason == Reason.ALREADY_SOLD:
        if purchase.status == PurchaseStatus.REFUND_DUE:
            # Its money goes back first. The section is told again later, and answers so again.
            fold.count(STALE)
            return
        followed = after_sale_without_money(purchase)
        if followed.purchase != purchase:
            fold.count("SOLD_UNPAID")
    heard = known.unsaid() if told.asked == known.saying else known
    if heard == known and followed == Followed(purchase):
        fold.count(STALE)
        return
    if told.decision == SaleDecision.SOLD:
        heard = heard._replace(seats=told.seats)
    fold.change(known, heard, followed)


def _sale_undecided(fold: PaymentFold, told: SaleDecided, known: PurchaseRecord) -> None:
    """Give up a purchase whose commands have killed the section's workers for too long.

    Until then the fold tells the section again.
    """
    fold.count(Reason.INTERNAL.name)
    if told.asked != known.saying:
        return
    if not known.undecided_since_ms:
        fold.store(known._replace(undecided_since_ms=fold.log_time_ms))
        return
    if fold.log_time_ms - known.undecided_since_ms < UNDECIDED_MS:
        return
    purchase = after_no_decision(known.purchase)
    if purchase.status == PurchaseStatus.COMPENSATION_REQUIRED:
        fold.change(known, known.unsaid(), Followed(purchase))


def _payment_hint(fold: PaymentFold, hint: PaymentHint, known: PurchaseRecord) -> None:
    if (hint.epoch, hint.gateway) != (known.epoch, known.gateway):
        fold.count(STALE)
        return
    _follow_hint(fold, known, hint.event_id)


def _follow_hint(fold: PaymentFold, known: PurchaseRecord, event_id: bytes) -> None:
    """Ask the gateway once for each event of it, however often the event is sent."""
    followed = after_hint(known.purchase, fold.log_time_ms)
    if followed.purchase == known.purchase:
        # There is no money to look for, or the gateway is about to be asked anyway.
        fold.count("HINT")
        return
    is_over = fold.log_time_ms - known.hints_since_ms >= HINTS_MS
    heard = () if is_over else known.hints
    if event_id in heard:
        fold.count("HINT_REPEATED")
        return
    fold.count("HINT")
    since_ms = fold.log_time_ms if is_over else known.hints_since_ms
    hints = (*heard, event_id)[-HINTS_MAX:]
    fold.change(known, known._replace(hints=hints, hints_since_ms=since_ms), followed)


def _refund_requested(fold: PaymentFold, asked: RefundRequested, known: PurchaseRecord) -> None:
    if (asked.user_id, asked.section, asked.event_id) != (
        known.user_id,
        known.section,
        known.event_id,
    ):
        fold.count(Reason.FORBIDDEN.name)
        return
    _follow_wish(fold, known, after_refund_asked(known.purchase, fold.log_time_ms))


def _compensation_resolved(
    fold: PaymentFold, found: CompensationResolved, known: PurchaseRecord
) -> None:
    if (found.section, found.event_id) != (known.section, known.event_id):
        fold.count(Reason.CONFLICT.name)
        return
    if found.gateway:
        _other_payment_resolved(fold, found, known)
        return
    followed = Followed(known.purchase)
    if found.finding:
        followed = after_finding(known.purchase, Finding(found.finding), fold.log_time_ms)
    _follow_wish(fold, known, followed)


def _other_payment_resolved(
    fold: PaymentFold, found: CompensationResolved, known: PurchaseRecord
) -> None:
    """Store what a person has found about a payment beside this one; nothing follows from it."""
    about, is_end = (found.gateway, found.payment_id), found.finding in _ENDS_OTHERS
    others = tuple(
        one._replace(finding=one.finding or found.finding) if is_end and one[:2] == about else one
        for one in known.others
    )
    fold.change(known, known._replace(others=others), Followed(known.purchase))
    fold.tell(known, "REPEATED")


def _follow_wish(fold: PaymentFold, known: PurchaseRecord, followed: Followed) -> None:
    """Apply a person's request; tell how the purchase stands, also if nothing changes."""
    if followed == Followed(known.purchase):
        fold.tell(known, "REPEATED")
    else:
        fold.change(known, known, followed)


REQUESTED: Final = PAYMENTS + PaymentRequested.__name__

Decide = Callable[[PaymentFold, Any, PurchaseRecord], None]

_KINDS: Final[Kinds[Decide]] = by_full_name(
    PAYMENTS,
    (GatewayAnswered, gateway_answered),
    (SaleDecided, _sale_decided),
    (PaymentHint, _payment_hint),
    (RefundRequested, _refund_requested),
    (CompensationResolved, _compensation_resolved),
)


def emit_again(fold: PaymentFold, records: Sequence[Record]) -> None:
    """Tell again how the purchases of records stand that are read again, and resend commands."""
    _, decoded = read(fold, records)
    keys = dict.fromkeys(key_of(fields) for fields in decoded if len(fields) > 1)
    for stored in fold.state.get_many(list(keys)):
        if stored is not None:
            record = purchase_of(stored)
            fold.tell(record, "REPEATED")
            fold.tell_section(record)
            fold.tell_issuer(record)
