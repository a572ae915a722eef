"""Carts over HTTP: hold seats in several sections as one, look, give back, make it last longer.

A wish is answered when all its sections have answered, or 202 with the place to ask. As with
reservations, the same idempotency key leads to the same cart, whatever happens in between.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from api import pre_locks
from api.access.identity import Identity
from api.carts.bodies import (
    CartBody,
    CartPending,
    CartWish,
    cart_body,
    first_refusal,
    pending_cart,
    revision_of,
)
from api.carts.standing import IsMet, awaited_cart, cart_at_owner, own_cart
from api.commands.desk import Wait
from api.commands.idempotency_keys import IdempotencyKey
from api.guard import buyer, limited, pod_of
from api.headers import AskedWait, Key
from api.pod import Pod
from api.seat_bodies import refuse_certain, seat_body
from api.standing import limits_of
from api.web.answers import json_answer
from api.web.ids import EventIdInPath, ReservationIdInPath
from api.web.problems import Header as ProblemHeader
from api.web.problems import Problem
from api.web.waits import caller_of
from api.web.whole_numbers import Int64
from state.domain.carts.cart import AT_REST, Cart, CartEnd, CartStatus, OnFailure
from state.domain.keys import cart_key, part_id
from state.domain.reasons import ApiReason, Reason
from state.domain.reservation import Status
from state.domain.tickets import issued_id, ticket_of
from state.redis.idempotency import Claim, digest_of
from state.redis.seat_lock import Granted

router = APIRouter(tags=["carts"])

Buyer = Annotated[Identity, Depends(buyer)]

LOOK_FOR_S: Final = 0.5
"""How long an id that nobody knows is looked for: its cart may not be begun yet."""

_COME_BACK: Final[ProblemHeader] = ("Retry-After", "1")
_PENDING: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "model": CartPending,
        "description": "Taken, not decided yet: ask at Location after Retry-After seconds.",
    }
}


@router.post(
    "/v1/events/{event_id}/carts",
    status_code=201,
    response_model=CartBody,
    responses=_PENDING,
    dependencies=[Depends(limited("create"))],
)
async def open_cart(
    request: Request,
    event_id: EventIdInPath,
    body: CartWish,
    who: Buyer,
    key: Key,
    wait: AskedWait,
) -> Response:
    """Hold seats in several sections as one. A repeat gets the cart as it stands."""
    pod = pod_of(request)
    limits = await limits_of(pod, event_id, [item.section for item in body.items])
    owner = cart_key(event_id, who.user_id.encode())
    partition = pod.desk.partition_of(owner)
    ticket = ticket_of(who.user_id, key)
    cart_id = issued_id(ticket, partition)
    asked = {"cart": event_id, **body.model_dump()}
    claim = await pod.desk.keys.claim(ticket, digest_of(asked))
    if claim is Claim.OTHER:
        raise _reused()
    locks: Sequence[Granted] = ()
    if claim is Claim.FIRST and body.policy is OnFailure.RELEASE:
        locks = await _refuse_certain(pod, event_id, body, ticket, cart_id)
    correlation = request.state.correlation
    value = pod.carts.encoders.open_cart(
        cart_id, who.user_id, correlation.id, event_id, body.policy, body.wanted(), limits
    )
    try:
        await pod.carts.tell(owner, partition, value, correlation)
    except Problem:
        # It was certainly not taken.
        await pre_locks.given_back(pod.pre_locks, locks)
        raise
    cart = await _settled(request, cart_id, who, wait, lambda one: one.status in AT_REST)
    is_reused = cart is not None and not _is_asked(cart, body)
    if cart is not None:
        held = () if is_reused else pre_locks.held_in(cart_id, cart)
        await pre_locks.kept(pod.pre_locks, locks, held)
    if cart is None and claim is Claim.SAME:
        raise Problem.of(
            ApiReason.STILL_RUNNING,
            "Ask at Location, or again with the same key.",
            headers=(_place(cart_id), _COME_BACK),
            cart_id=cart_id,
        )
    if cart is None:
        return _pending(cart_id, event_id, wait)
    if is_reused:
        raise _reused()
    if cart.status == CartStatus.REJECTED:
        raise _refused(cart_id, cart, wait)
    return json_answer(cart_body(cart_id, cart), 201, (_place(cart_id), *wait.headers))


@router.get(
    "/v1/carts/{cart_id}",
    response_model=CartBody,
    dependencies=[Depends(limited("position"))],
)
async def show_cart(
    request: Request,
    cart_id: ReservationIdInPath,
    who: Buyer,
    wait: AskedWait,
    changed_from: Annotated[
        str | None, Query(max_length=32, description="A revision: wait until it is another.")
    ] = None,
) -> Response:
    """Show a cart; wait until it is there, or has changed."""
    pod = pod_of(request)
    wait_s = wait.seconds
    if not (wait.headers or changed_from):
        wait_s = min(wait_s, LOOK_FOR_S)

    def is_met(cart: Cart) -> bool:
        return cart.user_id.decode() != who.user_id or revision_of(cart) != changed_from

    cart = await cart_at_owner(pod, cart_id)
    if wait_s > 0 and (cart is None or not is_met(cart)):
        cart = await pod.waits.of(
            caller_of(request, who.user_id), lambda: awaited_cart(pod, cart_id, is_met, wait_s)
        )
    return json_answer(cart_body(cart_id, own_cart(cart, who)), 200, wait.headers)


# What there is beside a later wish's own: its answer, and the limit that it counts for.
_LATER: Final[dict[str, Any]] = {
    "response_model": CartBody,
    "responses": _PENDING,
    "dependencies": [Depends(limited("cancel"))],
}


@router.delete("/v1/carts/{cart_id}", **_LATER)
async def release_cart(
    request: Request,
    cart_id: ReservationIdInPath,
    who: Buyer,
    wait: AskedWait,
    key: Annotated[
        IdempotencyKey | None,
        Header(
            alias="Idempotency-Key",
            description="The one that the cart was asked for with: gives it back, together with "
            "event_id, even where it is not begun yet.",
        ),
    ] = None,
    event_id: Annotated[Int64 | None, Query()] = None,
) -> Response:
    """Give back all that a cart holds. A repeat gets the same answer."""
    pod = pod_of(request)
    cart = await awaited_cart(pod, cart_id, lambda _: True, LOOK_FOR_S)
    if cart is None and key is not None and event_id is not None:
        # Only who asked for it knows a key that leads to this id. Its wish lies before this one.
        partition = pod.desk.partition_of(cart_key(event_id, who.user_id.encode()))
        if issued_id(ticket_of(who.user_id, key), partition) != cart_id:
            own_cart(None, who)
    else:
        cart = own_cart(cart, who)
        event_id = cart.event_id
        _check_unpaid(cart, cart_id)
    correlation = request.state.correlation
    value = pod.carts.encoders.release_cart(cart_id, who.user_id, correlation.id, event_id)
    await _tell(pod, event_id, who, value, request)
    open_yet = {CartStatus.ASKING, CartStatus.HELD, CartStatus.ENDING}
    ended = await _settled(request, cart_id, who, wait, lambda one: one.status not in open_yet)
    if ended is None:
        return _pending(cart_id, event_id, wait)
    _check_unpaid(ended, cart_id)
    return json_answer(cart_body(cart_id, ended), 200, wait.headers)


@router.post("/v1/carts/{cart_id}:extend", **_LATER)
async def extend_cart(
    request: Request, cart_id: ReservationIdInPath, who: Buyer, key: Key, wait: AskedWait
) -> Response:
    """Let every hold of a cart last longer, within its section's limit.

    A repeat with the same key extends nothing further. `deadline_ms` tells what came of it.
    """
    pod = pod_of(request)
    cart = own_cart(await cart_at_owner(pod, cart_id), who)
    # The cart knows a wish by its correlation id.
    ticket = ticket_of(who.user_id, key)
    if await pod.desk.keys.claim(ticket, digest_of({"extend": cart_id})) is Claim.OTHER:
        raise _reused()
    value = pod.carts.encoders.extend_cart(cart_id, who.user_id, ticket, cart.event_id)
    await _tell(pod, cart.event_id, who, value, request)

    def is_met(one: Cart) -> bool:
        is_answered = not any(part.is_extending for part in one.parts)
        is_taken = one.extension == ticket.encode()
        return one.status != CartStatus.HELD or (is_taken and is_answered)

    longer = await _settled(request, cart_id, who, wait, is_met)
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
    pod: Pod, event_id: int, body: CartWish, ticket: str, cart_id: str
) -> tuple[Granted, ...]:
    """Raise Problem where a section would certainly refuse its part of a new cart.

    Returns the locks of the chosen seats of all its sections.
    """
    if pod.outcomes.get(part_id(cart_id.encode(), 0)) is not None:
        # It is no new one, whatever Redis has forgotten.
        return ()
    parts = [
        (item, part_id(cart_id.encode(), number).decode())
        for number, item in enumerate(body.items)
    ]
    try:
        for item in body.items:
            refuse_certain(pod, event_id, item, _advice)
        return await pre_locks.taken(pod, event_id, parts)
    except Problem:
        # Nothing was decided, so the key stands for nothing yet.
        await pod.desk.keys.give_back(ticket)
        raise


def _is_asked(cart: Cart, body: CartWish) -> bool:
    """Say whether a cart is what this body asks for."""
    wanted = [part[:3] for part in cart.parts]
    return (wanted, cart.on_failure) == (list(body.wanted()), body.policy)


def _advice(reason: Reason) -> str:
    return _ADVICE.get(reason, "Ask for other seats, with a new idempotency key.")


async def _tell(pod: Pod, event_id: int, who: Identity, value: bytes, request: Request) -> None:
    """Append a record about a cart of this user's, where its other records lie."""
    owner = cart_key(event_id, who.user_id.encode())
    await pod.carts.tell(owner, pod.desk.partition_of(owner), value, request.state.correlation)


async def _settled(
    request: Request, cart_id: str, who: Identity, wait: Wait, is_met: IsMet
) -> Cart | None:
    """Return a cart once it is as demanded; None while nobody knows that it is.

    The wish is in the log: an owner that does not answer makes it pending, and no failure.
    """
    pod = pod_of(request)
    try:
        cart = await pod.waits.of(
            caller_of(request, who.user_id),
            lambda: awaited_cart(pod, cart_id, is_met, wait.seconds),
        )
    except Problem:
        return None
    return cart if cart is not None and is_met(cart) else None


def _check_unpaid(cart: Cart, cart_id: str) -> None:
    """Raise Problem (409) where parts are being paid for, or are sold.

    Beside parts that are sold, what may be kept by itself is given back by itself.
    """
    standing = {Status(part.status) for part in cart.parts}
    if cart.status == CartStatus.PAYING:
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


def _refused(cart_id: str, cart: Cart, wait: Wait) -> Problem:
    """Return the problem of a cart of which nothing is held: that of its first refused part."""
    reason, part = first_refusal(cart)
    return Problem.of(
        reason,
        _advice(reason),
        headers=(_place(cart_id), *wait.headers),
        decided=True,
        cart_id=cart_id,
        section=part.section.decode(),
        seat=seat_body(part.standing.seat),
    )


def _place(cart_id: str) -> ProblemHeader:
    return ("Location", f"/v1/carts/{cart_id}")


def _pending(cart_id: str, event_id: int, wait: Wait) -> Response:
    body = pending_cart(cart_id, event_id)
    return json_answer(body, 202, (_place(cart_id), _COME_BACK, *wait.headers))


def _reused() -> Problem:
    return Problem.of(
        ApiReason.IDEMPOTENCY_KEY_REUSED, "Use a new key for each request that is another."
    )
