"""Every Redis key that there is: its pattern, its type, its expiry. Nothing is kept without one.

    limit:{kind}:user:{user}      list of ms, the last accepted requests of a user; one window
    limit:{kind}:net:{address}    the same of a network address; one window
    idem:{ticket}                 string, digest of the first body under an idempotency key; a day

Values from outside are hashed, so that no text of a caller becomes part of a key.
"""

from hashlib import blake2b
from typing import Final

PREFIX: Final = "seatstream:"


def limit_of_user(kind: str, user_id: str) -> str:
    return f"{PREFIX}limit:{kind}:user:{_digest(user_id)}"


def limit_of_network(kind: str, network: str) -> str:
    return f"{PREFIX}limit:{kind}:net:{_digest(network)}"


def idempotency(ticket: str) -> str:
    """Return where the digest of the body lies that came first under a ticket.

    ticket: first part of a reservation id, made of letters and digits only.
    """
    return f"{PREFIX}idem:{ticket}"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()
