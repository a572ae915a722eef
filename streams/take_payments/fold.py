"""The state, time and effects of one batch of payment-commands, which its decisions work on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from infra.process.record_ids import Headers
from schemas.topics import CART_COMMANDS, PURCHASE_CONFIRMED, SECTION_COMMANDS
from state.domain.keys import (
    COMPENSATION,
    PAYMENT_OF_GATEWAY,
    PROGRESS_KEY,
    PURCHASE,
    PURCHASE_COUNTS_KEY,
    buyer_key,
    cart_key,
    cart_of_payment,
)
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Followed, Say, booking_number
from state.domain.reservation import PaymentFailure
from state.records.names import PaymentRequested
from state.records.payment_codecs import PaymentCodecs
from state.records.payments import PAYMENTS, PurchaseRecord, purchase_of
from streams.batch import Batch, Outgoing, State
from streams.folding.fold import Fold
from streams.intents import open_intent, settle_intent
from streams.patience import TELL_AGAIN_MS, TELL_AGAIN_MS_MAX
from streams.take_payments.questions import CALL_MS, id_of, intent_of, order_of
from streams.working.events import headers_of_event

_MAY_BE_CHARGED: Final = frozenset({PurchaseStatus.PENDING, PurchaseStatus.PROCESSING})
_FAILURES: Final = {
    PurchaseStatus.FAILED: PaymentFailure.DECLINED,
    PurchaseStatus.EXPIRED: PaymentFailure.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Setup:
    """What does not change while a worker runs.

    call_ms: how long a call to a gateway may take.
    """

    codecs: PaymentCodecs
    section_commands: str = SECTION_COMMANDS.name
    cart_commands: str = CART_COMMANDS.name
    confirmed: str = PURCHASE_CONFIRMED.name
    call_ms: int = CALL_MS


class PaymentFold(Fold):
    """One batch of payment-commands being folded into its partition.

    counts: purchases of the partition by the number of their status; None before the first change.
    """

    tick_name = PAYMENTS + "PaymentTick"
    progress_key = PROGRESS_KEY

    __slots__ = ("counts", "setup")

    def __init__(self, setup: Setup, batch: Batch, state: State, log_time_ms: int) -> None:
        super().__init__(setup.codecs.records, batch, state, log_time_ms)
        self.setup = setup
        self.counts: list[int] | None = None

    @property
    def partition(self) -> int:
        return self.batch.partition

    def change(
        self, before: PurchaseRecord | None, after: PurchaseRecord, followed: Followed
    ) -> PurchaseRecord:
        """Store and tell what has become of a purchase, and ask what it asks; return it.

        after: as before, but for what `followed` leaves alone.
        """
        after = after.with_purchase(followed.purchase)
        if followed.say is not None:
            after = after.unsaid()._replace(saying=followed.say, saying_since_ms=self.log_time_ms)
        is_moved = before is None or before.status != after.status
        if is_moved:
            after = self._moved(after, 1 + (before.turns if before is not None else 0))
            self._count(before, after)
        self._list(before, after)
        self._ask(before, after)
        if followed.say is not None:
            self.tell_section(after)
        self.store(after)
        if is_moved:
            self.tell(after, "PAYMENT_" + PurchaseStatus(after.status).name)
            if PurchaseStatus.DONE in {after.status, before.status if before else None}:
                self.tell_issuer(after)
        return after

    def store(self, record: PurchaseRecord) -> None:
        """Store a purchase; while its section has to answer, with the time to tell it again."""
        # 0 in records of releases that did not store it.
        since_ms = record.saying_since_ms or record.changed_at_ms
        told_ms = self.log_time_ms - since_ms
        pause_ms = min(max(told_ms, TELL_AGAIN_MS), TELL_AGAIN_MS_MAX)
        due_ms = self.log_time_ms + pause_ms if record.saying else 0
        key = PURCHASE + record.reservation_id
        self.put(key, self.setup.codecs.stored(record), due_ms)

    def tell(self, record: PurchaseRecord, decision: str) -> None:
        """Publish how a purchase stands, and count that as `decision`."""
        self.emit(record.reservation_id, self.setup.codecs.told(record), decision)

    def tell_section(self, record: PurchaseRecord) -> None:
        """Send the command that the purchase has for its section or cart, if there is one."""
        if record.saying:
            cause = _FAILURES.get(PurchaseStatus(record.status), PaymentFailure.DIFFERED)
            self.send(record, Say(record.saying), cause)

    def send(self, about: PurchaseRecord | PaymentRequested, say: Say, cause: int) -> None:
        """Tell a section, or the cart that is paid for as one, what its seats must become.

        cause: of a release. Section and cart lie on the partition of the payment.
        """
        if cart_of_payment(about.reservation_id) is not None:
            failure = cause if say == Say.RELEASE_SEATS else PaymentFailure.UNSPECIFIED
            value = self.setup.codecs.settle_cart(about.request, about.epoch, say, failure)
            key = cart_key(about.event_id, about.user_id)
            self.effects.to(self.setup.cart_commands).append((key, value))
            return
        commands = self.setup.codecs.commands
        if say == Say.SELL_SEATS:
            value = commands.confirm(about.request, about.epoch)
        elif say == Say.RELEASE_SEATS:
            value = commands.fail_payment(about.request, about.epoch, PaymentFailure(cause))
        else:
            value = commands.refund_seats(about.request, about.epoch)
        key = b"%d-%s" % (about.event_id, about.section)
        self.effects.to(self.setup.section_commands).append((key, value))

    def tell_issuer(self, record: PurchaseRecord) -> None:
        """Tell on purchase-confirmed whether a purchase is done, if it ever was; else nothing.

        The event id is made of order and turns, so it is the same however often this is told.
        """
        if not record.booking_number:
            return
        is_done = record.status == PurchaseStatus.DONE
        codecs, order_id = self.setup.codecs, order_of(record, self.partition).id
        value = (codecs.confirmed if is_done else codecs.revoked)(
            record.request,
            order_id.encode(),
            record.turns,
            record.amount,
            record.currency,
            record.booking_number,
            record.seats,
            record.changed_at_ms,
        )
        headers: Headers = headers_of_event(
            f"{order_id}:{record.turns}",
            "PURCHASE_CONFIRMED" if is_done else "PURCHASE_REVOKED",
            self.cause,
            "payments",
            record.changed_at_ms,
        )
        key = buyer_key(record.event_id, record.user_id)
        self.effects.to(self.setup.confirmed).append(Outgoing(key, value, headers))

    def tell_again(self) -> None:
        """Send their commands again to the sections that have not answered for too long."""
        for _, stored in self.due():
            record = purchase_of(stored)
            self.tell_section(record)
            self.count("TOLD_AGAIN")
            self.store(record)

    def is_anothers(self, record: PurchaseRecord, payment_id: bytes) -> bool:
        """Note that a payment id belongs to this purchase; say whether it is another's already."""
        codecs = self.setup.codecs
        key = PAYMENT_OF_GATEWAY + record.gateway + b":" + payment_id
        own = codecs.of_gateway(record.reservation_id, record.epoch)
        stored = self.state.get(key)
        if stored is None:
            self.state.put(key, own)
        return stored is not None and stored != own

    def keep_counts(self) -> None:
        """Store how many purchases have each status."""
        if self.counts is not None:
            self.state.put(PURCHASE_COUNTS_KEY, self.setup.codecs.counts(tuple(self.counts)))

    def _moved(self, record: PurchaseRecord, turns: int) -> PurchaseRecord:
        """Return a purchase with the fields that depend on its changed status."""
        record = record._replace(changed_at_ms=self.log_time_ms, turns=turns)
        if record.status not in _MAY_BE_CHARGED:
            # The gateway needs the buyer's token no more, so it must not lie in the store.
            record = record._replace(method=b"", parameters=b"")
        if record.payment_id:
            # The ids of webhooks are not needed any more.
            record = record._replace(hints=(), hints_since_ms=0)
        if record.status == PurchaseStatus.DONE and not record.booking_number:
            order_id = order_of(record, self.partition).id
            number = booking_number(order_id, self.log_time_ms)
            record = record._replace(booking_number=number.encode())
        return record

    def _count(self, before: PurchaseRecord | None, after: PurchaseRecord) -> None:
        """Update the counts by status."""
        codecs = self.setup.codecs
        if self.counts is None:
            stored = self.state.get(PURCHASE_COUNTS_KEY)
            (kept,) = codecs.read_counts(stored, 0) if stored is not None else ((),)
            self.counts = [*kept, *(0 for _ in range(len(PurchaseStatus) - len(kept)))]
        self.counts[after.status] += 1
        if before is not None:
            self.counts[before.status] -= 1

    def _list(self, before: PurchaseRecord | None, after: PurchaseRecord) -> None:
        """Update the list of purchases that need a person."""
        is_listed, key = (
            before is not None and before.needs_person,
            COMPENSATION + after.reservation_id,
        )
        if after.needs_person and not is_listed:
            self.state.put(key, self.setup.codecs.compensation(self.log_time_ms))
        elif is_listed and not after.needs_person:
            self.state.delete(key)

    def _ask(self, before: PurchaseRecord | None, after: PurchaseRecord) -> None:
        """Open an intent for the open question, and settle that of the question before."""
        known = before.number if before is not None else 0
        if known == after.number:
            return
        if before is not None and known:
            settle_intent(self.state, id_of(before, self.partition))
        if after.number:
            call_ms = self.setup.call_ms
            asked = intent_of(after, self.partition, self.log_time_ms, call_ms)
            open_intent(self.state, replace(asked, trace=self.cause))
