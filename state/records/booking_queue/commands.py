"""What pods tell the log of the booking queue, to its records and back."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import BOOKING_QUEUE
from serdes.avro.codegen import Encode
from serdes.codecs import Codecs, written_to

BOOKING: Final = "io.seatstream.booking."
"""Namespace of these records."""


class EnqueueItem(NamedTuple):
    """As it is decoded, like all others here."""

    call_id: bytes
    item: bytes
    user_id: bytes
    request: bytes


class TakeItem(NamedTuple):
    """An attempt begins, if the item waits for its turn."""

    call_id: bytes
    item: bytes
    token: bytes


class SettleItem(NamedTuple):
    """An attempt has ended."""

    call_id: bytes
    item: bytes
    token: bytes
    has_outcome: bool
    outcome: bytes
    reason: bytes
    is_final: bool


class CancelItem(NamedTuple):
    """Its owner takes an item back."""

    call_id: bytes
    item: bytes
    user_id: bytes


class CleanLine(NamedTuple):
    """Somebody looks after the line of an event."""

    call_id: bytes
    event_id: int


class RequeueItem(NamedTuple):
    """An operator has a dead item tried anew."""

    call_id: bytes
    item: bytes
    user_id: bytes
    request: bytes
    round: int


class RemoveItem(NamedTuple):
    """An operator has a dead item forgotten."""

    call_id: bytes
    item: bytes


QueueCommand = (
    EnqueueItem | TakeItem | SettleItem | CancelItem | CleanLine | RequeueItem | RemoveItem
)

KINDS: Final[dict[str, type[QueueCommand]]] = {
    BOOKING + kind.__name__: kind
    for kind in (
        EnqueueItem,
        TakeItem,
        SettleItem,
        CancelItem,
        CleanLine,
        RequeueItem,
        RemoveItem,
    )
}
"""By a record's full name: what gives its fields their names."""


@dataclass(frozen=True, slots=True)
class QueueCodecs(Codecs):
    """For each record its fields to a value of the wire, header included."""

    enqueue: Encode = written_to(BOOKING_QUEUE, BOOKING + "EnqueueItem")
    take: Encode = written_to(BOOKING_QUEUE, BOOKING + "TakeItem")
    settle: Encode = written_to(BOOKING_QUEUE, BOOKING + "SettleItem")
    cancel: Encode = written_to(BOOKING_QUEUE, BOOKING + "CancelItem")
    clean: Encode = written_to(BOOKING_QUEUE, BOOKING + "CleanLine")
    requeue: Encode = written_to(BOOKING_QUEUE, BOOKING + "RequeueItem")
    remove: Encode = written_to(BOOKING_QUEUE, BOOKING + "RemoveItem")

    def encoded(self, command: QueueCommand) -> bytes:
        """Return the value of a command."""
        encode: Encode
        match command:
            case EnqueueItem():
                encode = self.enqueue
            case TakeItem():
                encode = self.take
            case SettleItem():
                encode = self.settle
            case CancelItem():
                encode = self.cancel
            case CleanLine():
                encode = self.clean
            case RequeueItem():
                encode = self.requeue
            case RemoveItem():
                encode = self.remove
        return encode(*command)
