"""What a pod tells the log is read as it was written."""

import pytest

from schemas.topics import BOOKING_QUEUE
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.records.booking_queue.commands import (
    KINDS,
    CancelItem,
    CleanLine,
    EnqueueItem,
    QueueCodecs,
    QueueCommand,
    RemoveItem,
    RequeueItem,
    SettleItem,
    TakeItem,
)

IDS = counted_ids()
ITEM = b"a" * 26 + b"-7"
COMMANDS = (
    EnqueueItem(b"c", ITEM, "Ænne".encode(), b"\x00\xff"),
    TakeItem(b"c", ITEM, b"token"),
    SettleItem(b"c", ITEM, b"token", True, b"held", b"", True),
    SettleItem(b"c", ITEM, b"token", False, b"", b"timeout", False),
    CancelItem(b"c", ITEM, b"ann"),
    CleanLine(b"c", 2**63 - 1),
    RequeueItem(b"c", ITEM, b"ann", b"{}", 1),
    RemoveItem(b"c", ITEM),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_is_read_as_it_was_written(command: QueueCommand) -> None:
    value = QueueCodecs.of(IDS).encoded(command)
    verdict = TopicDecoder(BOOKING_QUEUE, IDS).decode(value, ())
    assert isinstance(verdict, Decoded)
    assert KINDS[verdict.name](*verdict.fields) == command


def test_every_record_of_the_topic_is_a_command() -> None:
    assert set(KINDS) == set(BOOKING_QUEUE.records)
    assert {type(command) for command in COMMANDS} == set(KINDS.values())
