"""What a user is told of an item, in the words of source document 004 (S004.4)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from state.domain.booking_queue.statuses import ItemStatus
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


_OF_STATUS: Final[Mapping[ItemStatus, Notice]] = {
    ItemStatus.WAITING: Notice.QUEUE_POSITION,
    ItemStatus.PROCESSING: Notice.PROCESSING,
    ItemStatus.EXPIRED: Notice.FAILED,
    ItemStatus.CANCELLED: Notice.CANCELLED,
    ItemStatus.DEAD: Notice.FAILED,
}


def notice_of(status: ItemStatus, carried: Carried) -> Notice:
    """Return what there is to tell of an item; carried: what came of it, if it is completed."""
    if status is ItemStatus.COMPLETED:
        return Notice.RESERVED if carried.reservation_id else Notice.FAILED
    return _OF_STATUS[status]
