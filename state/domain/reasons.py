"""Why a request is refused."""

from enum import IntEnum


class Reason(IntEnum):
    """Reasons of refusal; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    KEY_MISMATCH = 1
    WRONG_PARTITION = 2
    UNKNOWN_SECTION = 3
    NOT_OPEN = 4
    SALE_CLOSED = 5
    BAD_COUNT = 6
    UNKNOWN_SEAT = 7
    SEAT_TAKEN = 8
    SOLD_OUT = 9
    NO_ADJACENT_SEATS = 10
    ORPHAN_SEAT = 11
    CANCELLED = 12
    CONFLICT = 13
    FORBIDDEN = 14
    UNKNOWN_RESERVATION = 15
    STALE_EPOCH = 16
    NOT_HELD = 17
    ALREADY_SOLD = 18
    EXTENSION_CAP = 19
    REFUND_DUE = 20
    BAD_LAYOUT = 21
    STATE_TOO_LARGE = 22
    NOT_BLOCKED = 23
    HOLD_LIMIT = 24
    INTERNAL = 25
