"""Reservation ids that follow from who asks under which idempotency key.

A reservation id is `{ticket}-{partition}`. The ticket is a digest of user and key, so the same
request has the same id in every pod, without a store that all of them would have to ask; nobody
else can have it, and it tells nothing about the user. The partition says where the reservation
lives without the section being named.
"""

import re
from base64 import b32encode
from hashlib import sha256
from typing import Final, NamedTuple

TICKET_CHARS: Final = 26
"""Five bits each: two requests of the same ticket are not expected in the life of the universe."""

# What a header may carry and a human may read; RFC 9110's visible characters and the space.
IDEMPOTENCY_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")

_ID: Final = re.compile(r"([a-z2-7]{26})-(0|[1-9][0-9]{0,5})")


class IssuedId(NamedTuple):
    """The parts of a reservation id that a pod gave out."""

    ticket: str
    partition: int


def ticket_of(user_id: str, idempotency_key: str) -> str:
    """Return the ticket of a user's key: 26 characters of `[a-z2-7]`."""
    # A user id has no control characters, so the zero byte ends it beyond doubt.
    digest = sha256(user_id.encode() + b"\0" + idempotency_key.encode()).digest()
    return b32encode(digest)[:TICKET_CHARS].decode().lower()


def issued_id(ticket: str, partition: int) -> str:
    """Return the reservation id of a ticket whose section lives on this partition."""
    return f"{ticket}-{partition}"


def split_issued_id(reservation_id: str) -> IssuedId | None:
    """Return the parts of an id, or None for an id that no pod gave out."""
    match = _ID.fullmatch(reservation_id)
    return None if match is None else IssuedId(match[1], int(match[2]))
