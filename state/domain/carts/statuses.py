"""Where a cart may stand, and the table of what may follow."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class CartStatus(IntEnum):
    """Where a cart stands; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    # Some section has not answered yet.
    ASKING = 1
    HELD = 2
    # The cart is ending: at least one part is being given back.
    ENDING = 3
    REJECTED = 4
    RELEASED = 5
    SOLD = 6
    # The cart is being paid for as a whole.
    PAYING = 7
    REFUNDED = 8


class OnFailure(IntEnum):
    """What becomes of the other parts when one is refused or ends; numbers as in Avro."""

    UNSPECIFIED = 0
    RELEASE = 1
    KEEP = 2


class CartEnd(IntEnum):
    """What ends a cart; numbers as in Avro."""

    UNSPECIFIED = 0
    # A part was refused before all sections had answered.
    REFUSED = 1
    CANCELLED = 2
    # The hold of a part has ended: it lapsed, or somebody gave it back.
    PART_ENDED = 3
    # The payment has failed, or its money went back.
    UNPAID = 4


_OVER: Final = frozenset(
    {CartStatus.REJECTED, CartStatus.RELEASED, CartStatus.SOLD, CartStatus.REFUNDED}
)
AT_REST: Final = frozenset({CartStatus.HELD, *_OVER})
"""Statuses that last until something happens to a part."""

# A cart of which nothing was held may become ENDING again: a refused hold that somebody sends
# again may be held after all, and is given back; late money may buy seats again, or go back
# because somebody else had the seats refunded. A SOLD cart becomes HELD where somebody else has
# sold a part and another part, which was refused, is held after all.
_ENDS: Final = frozenset({CartStatus.ENDING, *_OVER})
_ON: Final = frozenset({CartStatus.PAYING, *_ENDS})
TRANSITIONS: Final[dict[CartStatus, frozenset[CartStatus]]] = {
    CartStatus.UNSPECIFIED: frozenset({CartStatus.ASKING}),
    CartStatus.ASKING: frozenset({CartStatus.HELD}) | _ENDS,
    CartStatus.HELD: _ON,
    CartStatus.PAYING: _ENDS,
    CartStatus.ENDING: _ON,
    CartStatus.REJECTED: _ENDS,
    CartStatus.RELEASED: _ON,
    CartStatus.SOLD: frozenset({CartStatus.HELD}) | _ON,
    CartStatus.REFUNDED: _ON,
}


class IllegalStep(Exception):
    """A step that the table does not allow: a fault in our rules, never in the input.

    Operator action: none that helps; nothing of the batch is visible.
    """
