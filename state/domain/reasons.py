"""Why a request is refused: by the log, or by an API pod before the log is asked."""

from enum import IntEnum, StrEnum, auto


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
    PAYMENT_IN_PROGRESS = 26
    NOT_PRICED = 27
    LAPSED = 28
    PAYMENT_FAILED = 29
    ALREADY_REFUNDED = 30
    NOT_PAID = 31
    WRONG_AMOUNT = 32
    WRONG_CURRENCY = 33


class ApiReason(StrEnum):
    """Reasons that only HTTP answers give: never in a record, and no name of them is in Reason."""

    @staticmethod
    def _generate_next_value_(name: str, *_: object) -> str:
        return name

    # Who asks, and how.
    UNAUTHENTICATED = auto()
    NOT_SIGNED = auto()
    NOT_ALLOWED = auto()
    NOT_FOUND = auto()
    METHOD_NOT_ALLOWED = auto()
    MALFORMED = auto()
    NOT_ACCEPTABLE = auto()
    UNSUPPORTED_CONTENT = auto()
    BODY_TOO_LARGE = auto()
    BODY_TOO_SLOW = auto()
    TARGET_TOO_LONG = auto()
    HEAD_TOO_LARGE = auto()
    HEAD_TOO_SLOW = auto()
    TOO_MANY_REQUESTS = auto()
    # What the pod can do now.
    OVERLOADED = auto()
    BROKER_UNAVAILABLE = auto()
    NOT_READY = auto()
    OWNER_UNREACHABLE = auto()
    GATEWAY_UNAVAILABLE = auto()
    # How fresh an answer can be.
    STALE = auto()
    NOT_YET = auto()
    ANOTHER_LOG = auto()
    # What other buyers are about to get.
    SEAT_LOCKED = auto()
    # Repeats of a command.
    IDEMPOTENCY_KEY_MISSING = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    STILL_RUNNING = auto()
    # What is asked in another way.
    PARTIAL_REFUND = auto()
    CART_NEEDED = auto()
    NOT_DESCRIBED = auto()
    # Waiting rooms.
    NO_WAITING_ROOM = auto()
    ROOM_CLOSED = auto()
    ROOM_FULL = auto()
    ROOM_UNREACHABLE = auto()
    NO_LOTS = auto()
    WAITS_ELSEWHERE = auto()
    TURN_NOT_PROVED = auto()
    ADMISSION_REQUIRED = auto()
