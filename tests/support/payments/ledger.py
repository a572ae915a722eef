"""A gateway in memory that acts once for an order, whatever becomes of its answers."""

from collections import defaultdict
from dataclasses import dataclass, field

from state.domain.purchases.values import Heard, Question
from streams.intents import Answer, Result
from streams.take_payments.questions import Asked, Word

SLOW_MS = 300_000
"""So long a charge may be on its way to the gateway at most."""


@dataclass
class Ledger:
    """A gateway that acts once for an order; what it answers may be lost.

    captured, refunded: amounts by order id. declined: orders that it did not charge for good.
    asked_for: orders for which payments asked it for a charge.
    on_their_way: amount of a charge that has not arrived, and the time by which it does, by order.
    """

    captured: dict[str, int] = field(default_factory=dict)
    refunded: dict[str, int] = field(default_factory=dict)
    declined: set[str] = field(default_factory=set)
    on_their_way: dict[str, tuple[int, int]] = field(default_factory=dict)
    charges: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    asked_for: set[str] = field(default_factory=set)

    def charge(self, order_id: str, amount: int) -> None:
        if order_id not in self.captured and order_id not in self.declined:
            self.captured[order_id] = amount
            self.charges[order_id] += 1

    def arrive(self, now_ms: int) -> None:
        """Let arrive what cannot be on its way any longer."""
        for order_id, (amount, until_ms) in list(self.on_their_way.items()):
            if until_ms <= now_ms:
                del self.on_their_way[order_id]
                self.charge(order_id, amount)

    def send_slowly(self, order_id: str, amount: int, until_ms: int) -> None:
        """Put a charge on its way; one that is on its way already goes on."""
        self.on_their_way.setdefault(order_id, (amount, until_ms))

    def do(self, asked: Asked, amount: int) -> Word:
        order_id = asked.order_id
        if asked.question == Question.CHARGE:
            self.asked_for.add(order_id)
            self.charge(order_id, amount)
        elif asked.question == Question.REFUND:
            assert asked.amount == self.captured[order_id]
            self.refunded[order_id] = asked.amount
        if order_id in self.refunded:
            return Word(Heard.REFUNDED)
        if order_id in self.captured:
            paid = self.captured[order_id]
            return Word(Heard.CAPTURED, "", paid, "EUR", f"ch_{order_id}")
        return Word(Heard.DECLINED if order_id in self.declined else Heard.NOT_FOUND)

    def answered(self, asked: Asked, how: str, amount: int, now_ms: int) -> Answer:
        """Do as a gateway on a bad day does; return what the worker that asked hears of it.

        how: answered, declined, refused, away, lost (done, and nobody hears), or slow (a charge
             arrives later, and nobody hears). amount: what a charge takes.
        """
        self.arrive(now_ms)
        is_charge = asked.question == Question.CHARGE
        if how == "away" or (asked.until_ms and now_ms >= asked.until_ms):
            return Answer(result=Result.NOT_DONE, may_have_run=False)
        if how == "refused":
            # With credentials that ended, say: whoever asked before may have been heard.
            return said(Word(Heard.REFUSED, "NOT_ALLOWED: "))
        if how == "declined" and is_charge and asked.order_id not in self.captured:
            self.declined.add(asked.order_id)
        elif how == "slow":
            if is_charge:
                self.send_slowly(asked.order_id, amount, now_ms + SLOW_MS)
            return Answer(result=Result.FAILED)
        word = self.do(asked, amount)
        return Answer(result=Result.FAILED) if how == "lost" else said(word)

    def kept(self, order_id: str) -> int:
        return self.captured.get(order_id, 0) - self.refunded.get(order_id, 0)


def said(word: Word) -> Answer:
    """Return what a worker hears where the gateway's answer arrives."""
    return Answer(result=Result.ANSWERED, payload=word.payload())
