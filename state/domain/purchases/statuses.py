"""Where a purchase may stand, and the table of what may happen to it there."""

from enum import IntEnum
from typing import Final


class PurchaseStatus(IntEnum):
    """Where a purchase stands; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    # The gateway has not answered yet.
    PENDING = 1
    # The gateway was asked for the charge and left it open: nobody knows whether money moved.
    PROCESSING = 2
    # The gateway has the money; the seats are not yet sold.
    CAPTURED = 3
    # The seats are sold.
    DONE = 4
    # The charge was declined.
    FAILED = 5
    # The deadline passed without any money.
    EXPIRED = 6
    # The gateway has the money and must give it back.
    REFUND_DUE = 7
    REFUNDED = 8
    # Only a person can say what became of the money.
    COMPENSATION_REQUIRED = 9


class Turn(IntEnum):
    """What may happen to a purchase."""

    LEFT_OPEN = 1
    CAPTURED = 2
    # Captured, but not what was asked for, or for seats that were paid for elsewhere.
    DIFFERED = 3
    DECLINED = 4
    EXPIRED = 5
    SEATS_SOLD = 6
    SEATS_LOST = 7
    REFUND_ASKED = 8
    REFUNDED = 9
    GAVE_UP = 10
    # A person has found that no money moved.
    FOUND_UNPAID = 11


_CALLED: Final = {
    Turn.LEFT_OPEN: PurchaseStatus.PROCESSING,
    Turn.CAPTURED: PurchaseStatus.CAPTURED,
    Turn.DIFFERED: PurchaseStatus.REFUND_DUE,
    Turn.DECLINED: PurchaseStatus.FAILED,
    Turn.EXPIRED: PurchaseStatus.EXPIRED,
    Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED,
}
# Money may come when nobody expects it any more: the seats are sold again, or the money goes back.
_LATE: Final = {
    Turn.CAPTURED: PurchaseStatus.CAPTURED,
    Turn.DIFFERED: PurchaseStatus.REFUND_DUE,
}

# A purchase that ended without money is given up where nobody can say whether money came later.
_ENDED: Final = {**_LATE, Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED}

TRANSITIONS: Final[dict[PurchaseStatus, dict[Turn, PurchaseStatus]]] = {
    PurchaseStatus.UNSPECIFIED: {},
    PurchaseStatus.PENDING: _CALLED,
    PurchaseStatus.PROCESSING: _CALLED,
    PurchaseStatus.CAPTURED: {
        Turn.SEATS_SOLD: PurchaseStatus.DONE,
        Turn.SEATS_LOST: PurchaseStatus.REFUND_DUE,
        Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED,
    },
    PurchaseStatus.DONE: {Turn.REFUND_ASKED: PurchaseStatus.REFUND_DUE},
    PurchaseStatus.FAILED: _ENDED,
    PurchaseStatus.EXPIRED: _ENDED,
    PurchaseStatus.REFUND_DUE: {
        Turn.REFUNDED: PurchaseStatus.REFUNDED,
        Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED,
    },
    # Given up where the section cannot take the seats back.
    PurchaseStatus.REFUNDED: {Turn.GAVE_UP: PurchaseStatus.COMPENSATION_REQUIRED},
    PurchaseStatus.COMPENSATION_REQUIRED: {
        **_LATE,
        Turn.REFUNDED: PurchaseStatus.REFUNDED,
        Turn.FOUND_UNPAID: PurchaseStatus.FAILED,
    },
}

# What the rules ask about a status.
UNSETTLED: Final = {PurchaseStatus.PENDING, PurchaseStatus.PROCESSING}
ENDED_UNPAID: Final = {PurchaseStatus.FAILED, PurchaseStatus.EXPIRED}
MONEY_GOES_BACK: Final = {
    PurchaseStatus.REFUND_DUE,
    PurchaseStatus.REFUNDED,
    PurchaseStatus.COMPENSATION_REQUIRED,
}
GOES_ON: Final = {*UNSETTLED, PurchaseStatus.REFUND_DUE}
HINTS_MATTER: Final = {
    *UNSETTLED,
    PurchaseStatus.FAILED,
    PurchaseStatus.EXPIRED,
    PurchaseStatus.COMPENSATION_REQUIRED,
}
