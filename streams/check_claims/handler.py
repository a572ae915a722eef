"""Records of payment-completed in; claims to the sections that they are about, out.

The signature of a record is verified over its bytes before anything reads them. A record that is
not believed, or contradicts itself, becomes a dead letter and changes nothing. A believed record
is still a claim: the section and the gateway decide whether it is true. The handler remembers
nothing: the same record again is the same claim again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from infra.process.record_ids import followed
from schemas.topics import SECTION_COMMANDS
from serdes.decoding import Decoded, Undecodable
from state.domain.keys import (
    Order,
    cart_of_payment,
    split_order_id,
    split_part_id,
)
from state.domain.money import AMOUNT_MAX, MINOR_DIGITS
from state.domain.reasons import Reason
from state.records.claim_codecs import ClaimCodecs
from state.records.commands import CommandEncoders
from streams.batch import (
    Batch,
    DeadLetter,
    Effects,
    Handler,
    Record,
    State,
)
from streams.check_claims.signatures import unbelieved
from streams.folding.reading import told
from streams.gateways.protocol import GATEWAY_NAME
from streams.gateways.webhooks import Secrets
from streams.placing import misplaced
from streams.route import RoleTopics, Route

ROLE: Final = "claims"
CORRELATION: Final = "payment-completed"
"""Correlation id of claims. A pod must not take a claim's outcome for that of its own command."""

CLAIMED: Final = "PAYMENT_CLAIMED"


class PaymentCompleted(NamedTuple):
    """The claim of another shop; fields in the order of its schema."""

    order_id: bytes
    user_id: bytes
    section: bytes
    event_id: int
    gateway: bytes
    payment_id: bytes
    amount: int
    currency: bytes
    completed_at_ms: int


class _Dead(NamedTuple):
    """Why a record becomes a dead letter."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Setup:
    """What does not change while a worker runs."""

    codecs: ClaimCodecs
    secrets: Secrets
    section_commands: str = SECTION_COMMANDS.name


def route(topics: RoleTopics, setup: Setup) -> Route:
    """Return the route that believes other shops: it remembers nothing, and forwards."""
    return Route(*topics.through(check_claims(setup)))


def check_claims(setup: Setup) -> Handler:
    """Return the handler of payment-completed."""

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        del state, log_time_ms
        effects = Effects()
        for record in batch.records:
            read = _read(setup, batch, record)
            if isinstance(read, _Dead):
                letter = DeadLetter(record, read.reason, read.detail, is_strangers=True)
                effects.dead_letters.append(letter)
                continue
            said, order = read
            claim = _claim(setup.codecs.commands, said, order)
            # The shop's own ids follow what becomes of it.
            ids = followed(record.headers or ())
            effects.to(setup.section_commands).append((record.key, claim, ids))
            effects.decisions[CLAIMED] = effects.decisions.get(CLAIMED, 0) + 1
        return effects

    return handle


def _read(setup: Setup, batch: Batch, record: Record) -> tuple[PaymentCompleted, Order] | _Dead:
    if (why := unbelieved(record, setup.secrets)) is not None:
        return _Dead(why, "not signed by a shop that has our secret")
    match told(setup.codecs.records, batch, record):
        case Decoded(_, fields):
            return _checked(PaymentCompleted._make(fields), batch, record)
        case Undecodable(reason, detail):
            return _Dead(reason, detail)
        case None:
            raise AssertionError("nothing without a value is believed")


def _checked(
    said: PaymentCompleted, batch: Batch, record: Record
) -> tuple[PaymentCompleted, Order] | _Dead:
    """Return the claim and its order, or why they contradict one another or the record."""
    order = split_order_id(said.order_id.decode())
    section_key = b"%d-%s" % (said.event_id, said.section)
    if order is None or _is_of_cart(order.reservation_id.encode()):
        return _Dead("BAD_ORDER", f"{said.order_id!r} is no order of ours")
    if wrong := misplaced(batch, record, section_key):
        return _Dead(wrong.reason, wrong.detail)
    if order.partition != batch.partition:
        # If money was captured for this order, it is for a section of another partition.
        return _Dead("OTHER_ORDER", f"{said.order_id!r} is of another partition")
    if not GATEWAY_NAME.fullmatch(said.gateway.decode()):
        return _Dead("BAD_GATEWAY", f"{said.gateway!r} is no gateway's name")
    if said.amount > AMOUNT_MAX:
        return _Dead(Reason.WRONG_AMOUNT.name, f"{said.amount} is no amount")
    if said.currency.decode() not in MINOR_DIGITS:
        return _Dead(Reason.WRONG_CURRENCY.name, f"{said.currency!r} is no currency")
    return said, order


def _is_of_cart(reservation_id: bytes) -> bool:
    """Say whether only the buyer of a cart can pay for this, here and as a whole."""
    is_part = split_part_id(reservation_id) is not None
    return is_part or cart_of_payment(reservation_id) is not None


def _claim(commands: CommandEncoders, said: PaymentCompleted, order: Order) -> bytes:
    identity = commands.identity(
        order.reservation_id,
        said.user_id.decode(),
        said.section.decode(),
        said.event_id,
        CORRELATION,
    )
    return commands.claim_payment(
        identity, order.epoch, said.gateway, said.payment_id, said.amount, said.currency
    )
