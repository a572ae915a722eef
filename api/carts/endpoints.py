"""Carts over HTTP: hold seats in several sections as one, look, give back, make it last longer.

A wish is answered when all its sections have answered, or 202 with the place to ask. As with
reservations, the same idempotency key leads to the same cart, whatever happens in between.
"""

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Response

from api import pre_locks
from api.carts.bodies import (
    CartBody,
    CartPending,
    CartWish,
    PartyOfSections,
    cart_body,
    first_refusal,
    pending_cart,
    revision_of,
)
from api.carts.standing import IsMet, awaited_cart, cart_at_owner, own_cart
from api.commands.desk import Wait
from api.commands.idempotency_keys import IdempotencyKey
from api.guard import LOOKS
from api.headers import (
    Asked,
    ByBuyer,
    Key,
    NothingElse,
    decided_as,
    reused,
    still_running,
    taken,
)
from api.pod import Pod
from api.seat_bodies import refuse_certain, seat_body
from api.standing import ADMITTED, limits_of
from api.web.answers import json_answer
from api.web.ids import EventIdInPath, ReservationIdInPath
from api.web.problems import Header as ProblemHeader
from api.web.problems import Problem
from api.web.whole_numbers import Int64
from state.domain.carts.statuses import AT_REST, CartEnd, CartStatus, OnFailure
from state.domain.carts.values import Cart
from state.domain.keys import cart_key, issued_id, part_id
from state.domain.reasons import Reason
from state.domain.reservation import Status
from state.redis.idempotency import Use
from state.redis.seat_lock import Granted

router = APIRouter(tags=["carts"])

LOOK_FOR_S: Final = 0.5
"""How long an id that nobody knows is looked for: its cart may not be begun yet."""

_FIRST: Final = decided_as(CartBody, CartPending, "create", *ADMITTED)
_LATER: Final = decided_as(CartBody, CartPending, "cancel")

ChangedFrom = Annotated[
    str | None, Query(max_length=32, description="A revision: wait until it is another.")
]
KeyOfCart = Annotated[
    IdempotencyKey | None,
    Header(
        alias="Idempotency-Key",
        description="The one that the cart was asked for with: gives it back, together with "
        "event_id, even where it is not begun yet.",
    ),
]


@router.post("/v1/events/{event_id}/carts", status_code=201, **_FIRST)
async def open_cart(by: ByBuyer, event_id: EventIdInPath, body: CartWish, key: Key) -> Response:
    """Hold seats in several sections as one. A repeat gets the cart as it stands."""
    pod, who = by.pod, by.who
    limits = await limits_of(pod, event_id, body.sections)
    partition = pod.desk.partition_of(cart_key(event_id, who.user_id.encode()))
    stem = by.stem(key)
    cart_id = issued_id(stem, partition)
    use = await by.use(stem, {"cart": event_id, **body.model_dump()})
    locks: Sequence[Granted] = ()
    if use is Use.FIRST and body.policy is OnFailure.RELEASE:
        locks = await _refuse_certain(pod, event_id, body, stem, cart_id)
    value = pod.carts.encoders.open_cart(
        cart_id, who.user_id, by.correlation.id, event_id, body.policy, body.wanted(), limits
    )
    try:
        await _tell(by, event_id, value)
    except Problem:
        # It was certainly not taken.
        await pre_locks.given_back(pod.pre_locks, locks)
        raise
    cart = await _settled(by, cart_id, lambda one: one.status in AT_REST)
    is_reused = cart is not None and not _is_asked(cart, event_id, body)
    if cart is not None:
        held = () if is_reused else pre_locks.held_in(cart_id, cart)
        await pre_locks.kept(pod.pre_locks, locks, held)
    if cart is None and use is Use.SAME:
        raise still_running(_place(cart_id), cart_id=cart_id)
    if cart is None:
        return _pending(cart_id, event_id, by.wait)
    if is_reused:
        raise reused()
    headers = (("Location", _place(cart_id)), *by.wait.headers)
    if cart.status == CartStatus.REJECTED:
        raise _refused(cart_id, cart, headers)
    return json_answer(cart_body(cart_id, cart), 201, headers)


@router.get("/v1/carts/{cart_id}", response_model=CartBody, dependencies=LOOKS)
async def show_cart(
    by: ByBuyer, cart_id: ReservationIdInPath, changed_from: ChangedFrom = None
) -> Response:
    """Show a cart; wait until it is there, or has changed."""
    pod, who, wait_s = by.pod, by.who, by.wait.seconds
    if not (by.wait.headers or changed_from):
        wait_s = min(wait_s, LOOK_FOR_S)

    def is_met(cart: Cart) -> bool:
        return cart.user_id.decode() != who.user_id or revision_of(cart) != changed_from

    cart = await cart_at_owner(pod, cart_id)
    if wait_s > 0 and (cart is None or not is_met(cart)):
        cart = await by.until(lambda: awaited_cart(pod, cart_id, is_met, wait_s))
    return json_answer(cart_body(cart_id, own_cart(cart, who)), 200, by.wait.headers)


@router.delete("/v1/carts/{cart_id}", **_LATER)
async def release_cart(
    by: ByBuyer,
    cart_id: ReservationIdInPath,
    key: KeyOfCart = None,
    event_id: Annotated[Int64 | None, Query()] = None,
) -> Response:
    """Give back all that a cart holds. A repeat gets the same answer."""
    pod, who = by.pod, by.who
    cart = await awaited_cart(pod, cart_id, lambda _: True, LOOK_FOR_S)
    if cart is None and key is not None and event_id is not None:
        # Only who asked for it knows a key that leads to this id. Its wish lies before this one.
        partition = pod.desk.partition_of(cart_key(event_id, who.user_id.encode()))
        if issued_id(by.stem(key), partition) != cart_id:
            own_cart(None, who)
    else:
        cart = own_cart(cart, who)
        event_id = cart.event_id
        _check_unpaid(cart, cart_id)
    value = pod.carts.encoders.release_cart(cart_id, who.user_id, by.correlation.id, event_id)
    await _tell(by, event_id, value)
    open_yet = {CartStatus.ASKING, CartStatus.HELD, CartStatus.ENDING}
    ended = await _settled(
        by, cart_id, lambda one: one.status not in open_yet and not one.is_starting
    )
    if ended is None:
        return _pending(cart_id, event_id, by.wait)
    _check_unpaid(ended, cart_id)
    return json_answer(cart_body(cart_id, ended), 200, by.wait.headers)


@router.post("/v1/carts/{cart_id}:extend", **_LATER)
async def extend_cart(
    by: ByBuyer, cart_id: ReservationIdInPath, key: Key, _: NothingElse | None = None
) -> Response:
    """Let every hold of a cart last longer, within its section's limit.

    A repeat with the same key extends nothing further. `deadline_ms` tells what came of it.
    """
    pod, wait = by.pod, by.wait
    cart = own_cart(await cart_at_owner(pod, cart_id), by.who)
    # The cart knows a wish by its correlation id.
    stem = by.stem(key)
    await by.use(stem, {"extend": cart_id})
    value = pod.carts.encoders.extend_cart(cart_id, by.who.user_id, stem, cart.event_id)
    await _tell(by, cart.event_id, value)

    def is_met(one: Cart) -> bool:
        is_answered = not any(part.is_extending for part in one.parts)
        is_taken = one.extension == stem.encode()
        return one.status != CartStatus.HELD or (is_taken and is_answered)

    longer = await _settled(by, cart_id, is_met)
    if longer is None:
        return _pending(cart_id, cart.event_id, wait)
    if longer.status != CartStatus.HELD:
        raise Problem.of(
            Reason.NOT_HELD, "Read the cart again.", headers=wait.headers, cart_id=cart_id
        )
    held = pre_locks.held_in(cart_id, longer)
    await pre_locks.prolonged(pod.pre_locks, longer.event_id, held)
    return json_answer(cart_body(cart_id, longer), 200, wait.headers)


# --- inside ----------------------------------------------------------------------------------


async def _refuse_certain(
    pod: Pod, event_id: int, body: CartWish, stem: str, cart_id: str
) -> tuple[Granted, ...]:
    """Raise Problem where a section would certainly refuse its part of a new cart.

    Returns the locks of the chosen seats of all its sections.
    """
    if pod.outcomes.get(part_id(cart_id.encode(), 0)) is not None:
        # It is no new one, whatever Redis has forgotten.
        return ()
    # Of a party that may sit elsewhere the view of one section proves nothing.
    parts = [
        (item, part_id(cart_id.encode(), number).decode())
        for number, item in enumerate(body.items)
        if not isinstance(item, PartyOfSections)
    ]
    try:
        for item, _ in parts:
            refuse_certain(pod, event_id, item, _advice)
        return await pre_locks.taken(pod, event_id, parts)
    except Problem:
        # Nothing was decided, so the key stands for nothing yet.
        await pod.desk.keys.give_back(stem)
        raise


def _is_asked(cart: Cart, event_id: int, body: CartWish) -> bool:
    """Say whether a cart is what this body asks for, of this event.

    Its id does not say: keys of two events may lie on one partition.
    """
    asked = event_id, list(body.wanted()), body.policy
    return (cart.event_id, cart.wanted, cart.on_failure) == asked


def _advice(reason: Reason) -> str:
    return _ADVICE.get(reason, "Ask for other seats, with a new idempotency key.")


async def _tell(by: Asked, event_id: int, value: bytes) -> None:
    """Append a record about a cart of this user's, where its other records lie."""
    owner = cart_key(event_id, by.who.user_id.encode())
    await by.pod.carts.tell(owner, by.pod.desk.partition_of(owner), value, by.correlation)


async def _settled(by: Asked, cart_id: str, is_met: IsMet) -> Cart | None:
    """Return a cart once it is as demanded; None while nobody knows that it is.

    The wish is in the log: an owner that does not answer makes it later, pending, and no failure.
    """
    try:
        cart = await by.until(lambda: awaited_cart(by.pod, cart_id, is_met, by.wait.seconds))
    except Problem:
        return None
    return cart if cart is not None and is_met(cart) else None


def _check_unpaid(cart: Cart, cart_id: str) -> None:
    """Raise Problem (409) where money may come in for parts, or they are sold.

    Beside parts that are sold, what may be kept by itself is given back by itself.
    """
    standing = {Status(part.status) for part in cart.parts}
    if cart.is_starting:
        standing.discard(Status.PAYING)
    elif cart.status == CartStatus.PAYING:
        standing.add(Status.PAYING)
    is_given_back = cart.end == CartEnd.CANCELLED and Status.RELEASED in standing
    if cart.on_failure == OnFailure.KEEP and (standing & _MAY_HOLD or is_given_back):
        standing.discard(Status.SOLD)
    for status, reason in (
        (Status.PAYING, Reason.PAYMENT_IN_PROGRESS),
        (Status.SOLD, Reason.ALREADY_SOLD),
    ):
        if status in standing:
            raise Problem.of(reason, "Read the cart again.", cart_id=cart_id)


_MAY_HOLD: Final = frozenset({Status.UNSPECIFIED, Status.HELD})
_ADVICE: Final = {
    Reason.UNKNOWN_SECTION: "See the event's sections.",
    Reason.NOT_OPEN: "See the event's sale_starts_ms.",
    Reason.BAD_COUNT: "A section allows fewer seats in one hold.",
    Reason.UNKNOWN_SEAT: "Name seats of the section's map, each once.",
    Reason.HOLD_LIMIT: "See the event's limits: ask for less, or give something back.",
}


def _refused(cart_id: str, cart: Cart, headers: tuple[ProblemHeader, ...]) -> Problem:
    """Return the problem of a cart of which nothing is held: that of its first refused part."""
    reason, part = first_refusal(cart)
    return Problem.of(
        reason,
        _advice(reason),
        headers=headers,
        decided=True,
        cart_id=cart_id,
        section=part.section.decode(),
        seat=seat_body(part.standing.seat),
    )


def _place(cart_id: str) -> str:
    return f"/v1/carts/{cart_id}"


def _pending(cart_id: str, event_id: int, wait: Wait) -> Response:
    return taken(_place(cart_id), pending_cart(cart_id, event_id), wait.headers)
