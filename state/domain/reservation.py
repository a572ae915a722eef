"""The life of a reservation, as a table."""

from enum import IntEnum
from typing import Final


class Status(IntEnum):
    """Where a reservation stands; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    HELD = 1
    PAYING = 2
    SOLD = 3
    REJECTED = 4
    RELEASED = 5
    REFUNDED = 6


class Later(IntEnum):
    """What may become of a reservation after its first decision; numbers as in Avro."""

    UNSPECIFIED = 0
    EXTENDED = 1
    CONFIRMED = 2
    CANCELLED = 3
    LAPSED = 4
    REACQUIRED = 5


class ReleaseCause(IntEnum):
    """Why seats were given back; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    CANCELLED = 1
    LAPSED = 2


# PAYING and REFUNDED are names in the schema that no decision here leads to.
TRANSITIONS: Final[dict[Status, dict[Later, Status]]] = {
    Status.UNSPECIFIED: {},
    Status.HELD: {
        Later.EXTENDED: Status.HELD,
        Later.CONFIRMED: Status.SOLD,
        Later.CANCELLED: Status.RELEASED,
        Later.LAPSED: Status.RELEASED,
    },
    Status.PAYING: {},
    Status.SOLD: {},
    Status.REJECTED: {},
    # Only a payment that came after the lapse, while the same seats are still free.
    Status.RELEASED: {Later.REACQUIRED: Status.SOLD},
    Status.REFUNDED: {},
}


class IllegalTransition(Exception):
    """A decision that the table does not allow: a fault in our rules, never in the input.

    Operator action: none that helps; the worker ends and nothing of the batch is visible.
    """


def advance(status: Status, later: Later) -> Status:
    """Return the status that `later` leads to; raise IllegalTransition where none does."""
    try:
        return TRANSITIONS[status][later]
    except KeyError:
        raise IllegalTransition(f"{status.name} x {later.name}") from None
