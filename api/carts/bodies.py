"""What requests and answers about carts look like."""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from api.commands.payment_way import PaymentStatus, PaymentWay
from api.seat_bodies import STRICT, BestAvailable, ChosenSeats, SeatBody, Section, seat_body
from api.web.consistency_tokens import TOKEN_FORM, token_of
from api.web.whole_numbers import INT64_MAX
from state.domain.carts.statuses import CartStatus, OnFailure
from state.domain.carts.values import PARTS_MAX, Cart, Part, Wanted
from state.domain.layout import SEATS_PER_HOLD_MAX
from state.domain.outcome import WITH_DEADLINE, reason_of
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause, Status


class Party(BestAvailable):
    """Seats of the section's choice, which are adjacent; or with `split` need not be.

    Where no run of seats has room for all, it is then held in as few pieces as can be, in rows as
    near each other as can be.
    """

    # Left out where it says nothing, so that a body has one digest, whichever pod reads it.
    split: bool = Field(default=False, exclude_if=lambda split: not split)

    @property
    def are_adjacent(self) -> bool:
        return not self.split


class PartyOfSections(BaseModel):
    """Seats of a party that may sit in several sections, in one of them if that can be.

    The first of them that has room for all, in pieces or not, holds all. Where none has, the
    first one holds as many as it can, the next one as many of the rest, and the last one the rest.
    """

    model_config = STRICT

    sections: list[Section] = Field(min_length=2, max_length=PARTS_MAX)
    quantity: int = Field(ge=1, le=SEATS_PER_HOLD_MAX)
    split: Literal[True]

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if len(set(self.sections)) < len(self.sections):
            raise ValueError("each section is named once")
        return self


class CartWish(BaseModel):
    """Seats in several sections of an event, at most eight holds.

    `on_failure`: `release` holds all or nothing, and gives all back when one hold ends; `keep`
    holds what can be had, each as long as its own hold. A party of several sections counts as a
    hold of each, and is never kept by halves.
    """

    model_config = STRICT

    items: list[Party | PartyOfSections | ChosenSeats] = Field(min_length=1, max_length=PARTS_MAX)
    on_failure: Literal["release", "keep"] = "release"

    @property
    def policy(self) -> OnFailure:
        return OnFailure.KEEP if self.on_failure == "keep" else OnFailure.RELEASE

    @property
    def sections(self) -> list[str]:
        """Return where seats are wanted, as often as an item names it."""
        return [section for item in self.items for section in sections_of(item)]

    @model_validator(mode="after")
    def _can_be_parts(self) -> Self:
        if len(self.sections) > PARTS_MAX:
            raise ValueError(f"a cart has at most {PARTS_MAX} holds")
        spreads = any(isinstance(item, PartyOfSections) for item in self.items)
        if spreads and self.policy is OnFailure.KEEP:
            raise ValueError("a party of several sections is not kept by halves")
        chosen = [
            (item.section, *seat)
            for item in self.items
            if isinstance(item, ChosenSeats)
            for seat in {(one.row, one.seat) for one in item.seats}
        ]
        if len(set(chosen)) < len(chosen):
            raise ValueError("one item alone names a seat")
        return self

    def wanted(self) -> tuple[Wanted, ...]:
        """Return the items as carts are asked for them."""
        return tuple(map(_wanted, self.items))


def sections_of(item: Party | PartyOfSections | ChosenSeats) -> list[str]:
    """Return where an item may be, in the order in which these are asked."""
    return item.sections if isinstance(item, PartyOfSections) else [item.section]


def _wanted(item: Party | PartyOfSections | ChosenSeats) -> Wanted:
    first, *others = (section.encode() for section in sections_of(item))
    if isinstance(item, ChosenSeats):
        seats = tuple((seat.row, seat.seat) for seat in item.seats)
        return first, len(seats), seats, False, ()
    return first, item.quantity, (), item.split, tuple(others)


class PartBody(BaseModel):
    """One hold of a cart; PENDING while its section has not answered."""

    section: str
    status: Literal["PENDING", "HELD", "SOLD", "REJECTED", "RELEASED", "PAYING", "REFUNDED"]
    seats: list[SeatBody]
    amount: int = Field(description="In the currency's minor unit, such as cents.")
    currency: str = Field(description="ISO 4217; empty where the seats have no price.")
    deadline_ms: int | None = Field(description="Unix ms.")
    consistency_token: str | None = Field(
        pattern=TOKEN_FORM, description="Look-ups that name it see this change, at any pod."
    )
    cause: Literal["CANCELLED", "LAPSED", "DECLINED", "EXPIRED", "DIFFERED"] | None = None
    reason: str | None = None
    seat: SeatBody | None = None


CartStanding = Literal[
    "ASKING", "HELD", "ENDING", "REJECTED", "RELEASED", "SOLD", "PAYING", "REFUNDED"
]


class CartBody(BaseModel):
    """A cart as it stands, with its parts in the order in which they were asked for.

    A party of several sections has a part for each that holds some of it, behind the others.

    ASKING: some section has not answered; ENDING: seats are being given back; PAYING: all that is
    held is being paid for. `deadline_ms` is
    that of the hold that lapses first; `amount` is the price of all that is held or sold.
    """

    cart_id: str = Field(description="Opaque; part of this cart's address.")
    status: CartStanding
    event_id: int
    on_failure: Literal["release", "keep"]
    deadline_ms: int | None = Field(description="Unix ms.")
    amount: int = Field(description="In the currency's minor unit, such as cents.")
    currency: str = Field(description="ISO 4217; empty where nothing has a price.")
    parts: list[PartBody]
    revision: str = Field(description="Opaque; for `changed_from`.")


class CartPaymentStart(PaymentWay):
    """How a buyer pays for all that a cart holds, and what he saw as its price.

    Sections say what is charged; where that is another sum, nothing begins. `parameters` are for
    the gateway: a token that its own page gave to the buyer, never a card.
    """

    amount: int = Field(ge=0, le=INT64_MAX, description="`amount` of the cart, as last seen.")
    currency: str = Field(pattern="^[A-Z]{3}$", description="`currency` of the cart.")


class CartPaymentBody(BaseModel):
    """How the payment of a cart stands.

    NOT_STARTED: nobody has begun one. FAILED without a gateway: some part could not be paid for,
    so nobody was asked for money. COMPENSATION_REQUIRED: a person looks after the money.
    """

    payment_id: str
    status: PaymentStatus
    cart_status: CartStanding
    amount: int = Field(description="In the currency's minor unit, such as cents.")
    currency: str = Field(description="ISO 4217; empty where nothing is charged.")
    gateway: str | None
    booking_number: str | None = Field(description="Null until all seats are sold.")
    deadline_ms: int | None = Field(description="Unix ms; null unless the payment is under way.")
    revision: str = Field(description="Opaque; for `changed_from`.")


class CartPending(BaseModel):
    """A wish that was taken and is not decided yet, as far as this pod knows."""

    cart_id: str
    status: Literal["PENDING"]
    event_id: int


_COUNTS = frozenset({Status.HELD, Status.PAYING, Status.SOLD})


def cart_body(cart_id: str, cart: Cart) -> dict[str, Any]:
    """Return the members of a CartBody."""
    priced = [part.standing for part in cart.parts if part.status in _COUNTS]
    # Prices of an event have one currency.
    currency = next((one.currency for one in priced if one.currency), b"")
    return {
        "cart_id": cart_id,
        "status": CartStatus(cart.status).name,
        "event_id": cart.event_id,
        "on_failure": "keep" if cart.on_failure == OnFailure.KEEP else "release",
        "deadline_ms": cart.deadline_ms or None,
        "amount": sum(one.amount for one in priced),
        "currency": currency.decode(),
        "parts": [_part_body(cart, part) for part in _shown(cart)],
        "revision": revision_of(cart),
    }


def revision_of(cart: Cart) -> str:
    """Return what is another after each record about the cart."""
    return str(cart.applied_offset)


def pending_cart(cart_id: str, event_id: int) -> dict[str, Any]:
    """Return the members of a CartPending."""
    return {"cart_id": cart_id, "status": "PENDING", "event_id": event_id}


def _shown(cart: Cart) -> list[Part]:
    """Return the parts of a cart but those for which another section was asked."""
    over = cart.passed_over
    return [part for number, part in enumerate(cart.parts) if number not in over]


def _part_body(cart: Cart, part: Part) -> dict[str, Any]:
    now = part.standing
    status, section = Status(now.status), part.section.decode()
    is_known = status is not Status.UNSPECIFIED
    cause = ReleaseCause(now.cause)
    is_rejected = status is Status.REJECTED
    return {
        "section": section,
        "status": status.name if is_known else "PENDING",
        "seats": [
            {"row": row, "seat": seat}
            for row, first, count in now.seats
            for seat in range(first, first + count)
        ],
        "amount": now.amount,
        "currency": now.currency.decode(),
        "deadline_ms": now.deadline_ms if status in WITH_DEADLINE else None,
        "consistency_token": (
            token_of(cart.event_id, section, now.version, now.decided_at_ms) if is_known else None
        ),
        "cause": None if cause is ReleaseCause.UNSPECIFIED else cause.name,
        "reason": reason_of(now.reason).name if is_rejected else None,
        "seat": seat_body(now.seat),
    }


def first_refusal(cart: Cart) -> tuple[Reason, Part]:
    """Return the first part that was refused, with the reason, of a cart that is REJECTED."""
    for part in _shown(cart):
        if part.status == Status.REJECTED:
            return reason_of(part.standing.reason), part
    # One was cancelled before it was held: somebody did, or no worker survived its hold.
    return Reason.CANCELLED, cart.parts[0]
