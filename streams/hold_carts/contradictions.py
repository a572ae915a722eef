"""A partition's whole state in; the first thing in it that cannot be, out.

Asked when deciding failed: what is wrong with the state is no fault of the record that met it.
"""

from __future__ import annotations

from collections.abc import Iterable

from state.domain.carts.limits import is_counted
from state.domain.carts.statuses import CartStatus, OnFailure
from state.domain.keys import (
    BUYER,
    CART,
    PROGRESS_KEY,
    cart_key,
    may_store_of_carts,
    partition_of,
)
from state.domain.reservation import Status
from state.records.carts import cart_of, carts_of_buyer
from streams.folding.progress import read_progress

_HAS_SEATS = frozenset({Status.HELD, Status.PAYING, Status.SOLD})


def contradiction(items: Iterable[tuple[bytes, bytes]], partition: int, partitions: int) -> str:
    """Return what cannot be; empty for nothing. items: every key with its payload."""
    key = b""
    listed: set[bytes] = set()
    try:
        for key, payload in items:
            if not may_store_of_carts(key, partition, partitions):
                return f"{key!r} has no place in partition {partition}"
            if key == PROGRESS_KEY:
                read_progress(payload)
            elif key.startswith(BUYER):
                # Before all carts, by their keys.
                listed |= {key.removeprefix(BUYER) + one for one in carts_of_buyer(payload)}
            elif why := _of_cart(key, payload, partition, partitions, listed):
                return f"cart {key!r} {why}"
    except Exception as error:  # noqa: BLE001  (whatever it is, it cannot be read)
        return f"{key!r} cannot be read: {error!r}"
    return f"{min(listed)!r} counts for a buyer and is no such cart" if listed else ""


def _of_cart(
    key: bytes, payload: bytes, partition: int, partitions: int, listed: set[bytes]
) -> str:
    """Say what is wrong with a cart; takes it out of those that its buyer's list has."""
    cart = cart_of(payload)
    buyer = cart_key(cart.event_id, cart.user_id)
    if partition_of(buyer, partitions) != partition:
        return "is a buyer's of another partition"
    named = buyer + key.removeprefix(CART)
    if is_counted(cart) != (named in listed):
        return f"counts for its buyer: {is_counted(cart)}, and is listed: {named in listed}"
    listed.discard(named)
    if not cart.parts:
        return "has no parts"
    asked = [number for party in cart.parties for number in party.parts]
    if len(set(asked)) < len(asked) or not set(asked) <= set(range(len(cart.parts))):
        return f"has parties of the parts {asked}"
    over = cart.passed_over
    stand = [part.status for number, part in enumerate(cart.parts) if number not in over]
    is_whole = all(status in _HAS_SEATS for status in stand)
    is_kept = cart.on_failure == OnFailure.KEEP
    if cart.status == CartStatus.HELD and not is_kept and not is_whole:
        return "is held by halves"
    return ""
