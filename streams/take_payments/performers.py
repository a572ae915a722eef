"""Questions of purchases in; one call to a gateway for each, and its answer, out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from state.domain.purchases.values import Heard, Question
from streams.gateways.protocol import (
    Captured,
    Charge,
    ChargeAnswer,
    Declined,
    Gateway,
    NotFound,
    OrderAnswer,
    Pending,
    Refund,
    RefundAnswer,
    Refunded,
    Refused,
    RefusedReason,
    Unavailable,
    Unknown,
    check_order_id,
)
from streams.intents import Intent, NotDone, Performer
from streams.route import OTHERS
from streams.take_payments.questions import Asked, Word

# The gateway's client gets less time than the executor gives, so that it can say why it timed out.
_SHARE_OF_TIME: Final = 0.9

# The gateway has done something for this order or key before: `verify` tells what.
_DONE_BEFORE: Final = frozenset(
    {RefusedReason.ALREADY_CAPTURED, RefusedReason.ALREADY_REFUNDED, RefusedReason.KEY_REUSED}
)


class GatewayTrouble(Exception):
    """A gateway gave no whole answer, so nobody knows what it did.

    Operator action: look at the gateway. The worker asks it again, and its circuit counts this.
    """


def wall_clock_ms() -> int:
    return int(time.time() * 1000)


class GatewayPerformers:
    """The performers of the payments route: one for each gateway of the worker.

    now_ms: the wall clock. A charge whose time is over by it is not begun.
    """

    def __init__(
        self, gateways: Sequence[Gateway], now_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self._gateways = tuple(gateways)
        self._now_ms = now_ms

    @property
    def by_destination(self) -> Mapping[str, Performer]:
        """Return the performer of each gateway, and one for all gateways that are not here."""
        performers: dict[str, Performer] = {
            gateway.name: partial(_perform, gateway, self._now_ms) for gateway in self._gateways
        }
        return {**performers, OTHERS: _perform_absent}

    async def close(self) -> None:
        """Close all gateways, even if one of them fails to close; then raise its error."""
        closing = [gateway.close() for gateway in self._gateways]
        for ended in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended


async def _perform_absent(intent: Intent) -> bytes:
    name = Asked.of(intent.payload).gateway
    raise NotDone(f"this worker has no gateway {name}: see SEATSTREAM_GATEWAYS")


async def _perform(gateway: Gateway, now_ms: Callable[[], int], intent: Intent) -> bytes:
    """Call the gateway; return the payload of a Word.

    Raises NotDone where the gateway did nothing, and GatewayTrouble where it is in trouble. Both
    count for its circuit. An answer about the order, even one that settles nothing, does not.
    """
    asked = Asked.of(intent.payload)
    if asked.until_ms and now_ms() >= asked.until_ms:
        return Word(Heard.NOT_DONE, "its time is over").payload()
    timeout_s = _SHARE_OF_TIME * intent.call_ms / 1000
    try:
        told = _told(asked)
    except (TypeError, ValueError) as error:
        # The fault is in this order, and no repeat mends it: it must not count for the circuit.
        why = f"this cannot be asked of a gateway: {type(error).__name__}"
        return Word(Heard.REFUSED, why).payload()
    return word_of(asked, await _answer(gateway, asked, told, timeout_s)).payload()


def _told(asked: Asked) -> Charge | Refund | str:
    """Return what to ask of the gateway; TypeError or ValueError where no gateway may be asked."""
    match asked.question:
        case Question.CHARGE:
            return asked.charge()
        case Question.VERIFY:
            return check_order_id(asked.order_id)
        case _:
            return Refund(
                order_id=asked.order_id,
                payment_id=asked.payment_id,
                amount=asked.amount,
                currency=asked.currency,
                idempotency_key=f"refund:{asked.order_id}",
            )


async def _answer(
    gateway: Gateway, asked: Asked, told: Charge | Refund | str, timeout_s: float
) -> ChargeAnswer | OrderAnswer | RefundAnswer:
    ends_s = time.monotonic() + timeout_s
    match told:
        case Charge() as charge:
            wrong = gateway.wrong_detail(charge.method, charge.parameters)
            if wrong is not None:
                # A pod would have refused this, so the request did not come from a pod.
                return Refused(RefusedReason.BAD_REQUEST, f"{wrong.where}: {wrong.why}")
            return await gateway.process(charge, timeout_s)
        case str(order_id):
            return await gateway.verify(order_id, timeout_s)
        case Refund() as refund:
            answer = await gateway.refund(refund, timeout_s)
            if isinstance(answer, Refused) and answer.reason in _DONE_BEFORE:
                # To ask for the refund again would bring the same refusal for ever, so `verify`
                # tells what was done.
                return await gateway.verify(asked.order_id, ends_s - time.monotonic())
            return answer


def word_of(asked: Asked, answer: ChargeAnswer | OrderAnswer | RefundAnswer) -> Word:
    """Return what a gateway's answer means to the purchase; raises as `_perform`."""
    match answer:
        case Captured(order_id=order_id) | Refunded(order_id=order_id) if (
            order_id != asked.order_id
        ):
            # A payment is of one order, which no other purchase has: applied here, it could sell
            # two holds.
            return Word(Heard.OPEN, "an answer about another order")
        case Captured() if asked.question == Question.REFUND:
            return Word(Heard.OPEN, "captured, and not given back")
        case Captured():
            return Word(Heard.CAPTURED, "", answer.amount, answer.currency, answer.payment_id)
        case Refunded() if asked.question == Question.REFUND and (
            (answer.amount, answer.currency) != (asked.amount, asked.currency)
        ):
            return Word(Heard.REFUSED, "another amount was given back than was captured")
        case Refunded():
            return Word(Heard.REFUNDED)
        case Declined():
            return Word(Heard.DECLINED, answer.reason)
        case Pending() if asked.question == Question.REFUND:
            # The gateway has the refund and takes its time, which is no failed try.
            return Word(Heard.NOT_DONE, "the gateway has not decided")
        case Pending():
            return Word(Heard.OPEN, "the gateway has not decided")
        case NotFound():
            return Word(Heard.NOT_FOUND)
        case Refused(reason=reason) if reason in _DONE_BEFORE:
            return Word(Heard.OPEN, f"{reason}: {answer.why}")
        case Refused():
            return Word(Heard.REFUSED, f"{answer.reason}: {answer.why}")
        case Unavailable():
            raise NotDone(answer.why, int(answer.retry_after_s * 1000))
        case Unknown(in_trouble=True):
            raise GatewayTrouble(answer.why)
        case Unknown():
            return Word(Heard.OPEN, answer.why)
