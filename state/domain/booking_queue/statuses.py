"""Where an item of the booking queue may stand, what moves it, and why one is set aside."""

from __future__ import annotations

from enum import Enum, StrEnum, auto
from typing import Final


class ItemStatus(StrEnum):
    """Where an item stands; the texts are those of source document 004.

    WAITING:    for its turn, or for its next attempt after one that failed.
    PROCESSING: a worker has it, for as long as its lease lasts.
    COMPLETED:  its outcome is recorded: seats held, or refused with a reason.
    EXPIRED:    nobody had carried it out when its time was over.
    CANCELLED:  its owner took it back while it waited.
    DEAD:       it failed for good, and waits for an operator.
    """

    WAITING = "waiting"
    PROCESSING = "processing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEAD = "dead"


class Move(Enum):
    """What happens to an item.

    TAKEN:    a worker begins with it.
    GIVEN_BACK: the lease of its worker ended without an outcome.
    RETRIED:  an attempt failed, and another one may help.
    RECORDED: an attempt has ended with an outcome.
    LAPSED:   its time is over. It does not lapse while a worker has it.
    WITHDRAWN: its owner cancels it.
    FAILED:   no attempt helps, or none is left.
    REQUEUED: an operator has it tried anew.
    """

    TAKEN = auto()
    GIVEN_BACK = auto()
    RETRIED = auto()
    RECORDED = auto()
    LAPSED = auto()
    WITHDRAWN = auto()
    FAILED = auto()
    REQUEUED = auto()


class DeadReason(StrEnum):
    """Why an item is set aside; the texts are those of source document 004."""

    MAX_RETRIES_EXCEEDED = "max_retries_exceeded"
    CIRCUIT_BREAKER_OPEN = "circuit_breaker_open"
    INVALID_DATA = "invalid_data"
    SERVICE_ERROR = "service_error"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


TRANSITIONS: Final[dict[ItemStatus, dict[Move, ItemStatus]]] = {
    ItemStatus.WAITING: {
        Move.TAKEN: ItemStatus.PROCESSING,
        Move.LAPSED: ItemStatus.EXPIRED,
        Move.WITHDRAWN: ItemStatus.CANCELLED,
    },
    ItemStatus.PROCESSING: {
        Move.GIVEN_BACK: ItemStatus.WAITING,
        Move.RETRIED: ItemStatus.WAITING,
        Move.RECORDED: ItemStatus.COMPLETED,
        Move.FAILED: ItemStatus.DEAD,
    },
    ItemStatus.COMPLETED: {},
    ItemStatus.EXPIRED: {},
    ItemStatus.CANCELLED: {},
    ItemStatus.DEAD: {Move.REQUEUED: ItemStatus.WAITING},
}

OVER: Final = frozenset(
    {ItemStatus.COMPLETED, ItemStatus.EXPIRED, ItemStatus.CANCELLED, ItemStatus.DEAD}
)
"""Statuses in which an item counts for no bound and has no place."""
