"""What a user is told of an item, in the words of source document 004 (S004.4)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from state.domain.booking_queue.figures import RETRIES_MAX
from state.domain.booking_queue.statuses import OVER, ItemStatus
from state.domain.booking_queue.wishes import Carried


class Notice(StrEnum):
    """What has happened to an item.

    QUEUE_POSITION: it waits, at the place that is told.
    PROCESSING: its turn has come.
    RESERVED:  seats are held for its user, who pays for them: the payment confirms them.
    FAILED:    seats were refused, or it is over without having been carried out.
    CANCELLED: its user took it back.
    """

    QUEUE_POSITION = "booking:queue_position"
    PROCESSING = "booking:processing"
    RESERVED = "ticket:reserved"
    FAILED = "booking:failed"
    CANCELLED = "booking:cancelled"


_ATTEMPTS_MAX: Final = RETRIES_MAX + 2

_OF_STATUS: Final[Mapping[ItemStatus, Notice]] = {
    ItemStatus.WAITING: Notice.QUEUE_POSITION,
    ItemStatus.PROCESSING: Notice.PROCESSING,
    ItemStatus.EXPIRED: Notice.FAILED,
    ItemStatus.CANCELLED: Notice.CANCELLED,
    ItemStatus.DEAD: Notice.FAILED,
}


def mark_of(status: ItemStatus, position: int, attempts: int, round_: int) -> str:
    """Return what stands for all that is told of an item: another one, something else to tell."""
    return f"{status}-{position}-{attempts}-{round_}"


def revision_of(status: ItemStatus, attempts: int, round_: int) -> int:
    """Return which of two notices of one item is the newer one: that with the higher number.

    Of equal ones of an item that waits, the one with the lower place is mostly newer.
    """
    # In an attempt a worker has it, then it waits again, or is over.
    step = 0 if status is ItemStatus.PROCESSING else 2 if status in OVER else 1
    return (round_ * _ATTEMPTS_MAX + attempts) * 3 + step


def notice_of(status: ItemStatus, carried: Carried) -> Notice:
    """Return what there is to tell of an item; carried: what came of it, if it is completed."""
    if status is ItemStatus.COMPLETED:
        return Notice.RESERVED if carried.reservation_id else Notice.FAILED
    return _OF_STATUS[status]
