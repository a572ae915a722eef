"""The whole state of a partition in; the first contradiction in it, out.

The worker asks this when the handler failed at a record: where the state contradicts itself, the
record is not to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from state.domain.keys import (
    COMPENSATION,
    PAYMENT_OF_GATEWAY,
    PROGRESS_KEY,
    PURCHASE,
    PURCHASE_COUNTS_KEY,
    may_store_of_payments,
    partition_of,
)
from state.domain.purchases.statuses import PurchaseStatus
from state.records.payment_codecs import PaymentCodecs
from state.records.payments import PurchaseRecord, purchase_of
from streams.folding.progress import read_progress
from streams.intents import INTENT, read_intent
from streams.take_payments.questions import home_of, id_of

Contradiction = Callable[[Iterable[tuple[bytes, bytes]], int, int], str]


class _Found:
    """What was found so far on the way through the keys."""

    def __init__(self, codecs: PaymentCodecs, partition: int, partitions: int) -> None:
        self.codecs = codecs
        self.place = partition, partitions
        self.needs_person: set[bytes] = set()
        self.kept: tuple[int, ...] = ()
        self.counts = [0] * len(PurchaseStatus)
        # Ids of the intents that must still come, one for each open question.
        self.questions: set[str] = set()

    def take(self, key: bytes, payload: bytes) -> str:
        """Take in one key and its payload; say what is wrong with them, "" for nothing."""
        tag, rest = key[:1], key[1:]
        if tag == INTENT:
            intent = read_intent(key, payload)
            if intent.id not in self.questions:
                return f"nobody asks for intent {intent.id}"
            self.questions.remove(intent.id)
        elif not may_store_of_payments(key, *self.place):
            return f"{key!r} has no place in partition {self.place[0]}"
        elif tag == COMPENSATION:
            self.codecs.read_compensation(payload, 0)
            self.needs_person.add(rest)
        elif tag == PAYMENT_OF_GATEWAY:
            self.codecs.read_of_gateway(payload, 0)
        elif key == PURCHASE_COUNTS_KEY:
            (self.kept,) = self.codecs.read_counts(payload, 0)
        elif key == PROGRESS_KEY:
            read_progress(payload)
        elif tag == PURCHASE:
            return self._purchase(rest, purchase_of(payload))
        return ""

    def end(self) -> str:
        """Say what is missing after the last key, "" for nothing."""
        if self.questions:
            return f"nobody performs {min(self.questions)}"
        if self.needs_person:
            return f"{min(self.needs_person)!r} is listed and needs nobody"
        if any(self.counts) and list(self.kept) != self.counts[: len(self.kept)]:
            return f"{self.kept} purchases by status are {self.counts}"
        return ""

    def _purchase(self, reservation_id: bytes, record: PurchaseRecord) -> str:
        if record.reservation_id != reservation_id:
            return f"payment {reservation_id!r} is another's"
        if partition_of(home_of(record), self.place[1]) != self.place[0]:
            return f"payment {reservation_id!r} is of seats of another partition"
        status = PurchaseStatus(record.status)
        self.counts[status] += 1
        is_listed = reservation_id in self.needs_person
        self.needs_person.discard(reservation_id)
        if is_listed != record.needs_person:
            return f"payment {reservation_id!r} is {status.name}, and listed: {is_listed}"
        if record.question:
            self.questions.add(id_of(record, self.place[0]))
        return ""


def contradiction(codecs: PaymentCodecs) -> Contradiction:
    """Return a function that names the first contradiction in a state; "" where there is none.

    It takes (items, partition, partitions). items: each key with its payload, by ascending key, so
    that intents come last.
    """

    def find(items: Iterable[tuple[bytes, bytes]], partition: int, partitions: int) -> str:
        found = _Found(codecs, partition, partitions)
        key = b""
        try:
            for key, payload in items:
                if why := found.take(key, payload):
                    return why
        except Exception as error:  # noqa: BLE001  (whatever it is, it cannot be read)
            return f"{key!r} cannot be read: {error!r}"
        return found.end()

    return find
