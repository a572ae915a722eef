"""What is no record of ours does nothing, in any pod, and who waits for another is told that."""

import asyncio

import pytest
from support.booking_queue.log_in_memory import CODECS, LinesInMemory, LogInMemory, message

from state.domain.booking_queue.figures import REQUEST_BYTES_MAX
from state.domain.booking_queue.items import item_id
from state.domain.keys import partition_of
from state.records.booking_queue.commands import (
    CleanLine,
    EnqueueItem,
    QueueCommand,
    RequeueItem,
    SettleItem,
    TakeItem,
)
from state.views.booking_queue.contents import (
    BAD_ITEM,
    BAD_KEY,
    BAD_PARTITION,
    NO_RECORD,
    Calls,
    Done,
)

NOW = 1_900_000_000_000
ITEM = item_id("ann", "k", 7).encode()
GOOD = EnqueueItem(b"", ITEM, b"ann", b"{}")
LARGE = b"x" * (REQUEST_BYTES_MAX + 1)


@pytest.mark.parametrize(
    ("key", "command", "reason"),
    [
        (b"8", GOOD, BAD_KEY),
        (b"07", GOOD, BAD_KEY),
        (b"7", GOOD._replace(item=b"no id"), BAD_ITEM),
        (b"7", GOOD._replace(request=LARGE), BAD_ITEM),
        (b"7", RequeueItem(b"", ITEM, b"ann", LARGE, 1), BAD_ITEM),
        # Who has no token would have all that nobody has.
        (b"7", TakeItem(b"", ITEM, b""), BAD_ITEM),
        (b"7", SettleItem(b"", ITEM, b"", True, b"held", b"", True), BAD_ITEM),
        (b"-1", CleanLine(b"", -1), BAD_ITEM),
    ],
)
def test_a_record_that_no_pod_writes_does_nothing(
    key: bytes, command: QueueCommand, reason: str
) -> None:
    lines = LinesInMemory(LogInMemory())
    lines.follow(message(b"7", CODECS.encoded(GOOD), 0, NOW))
    with lines.lines() as found:
        before = dict(found.of(7)._items)
    lines.follow(message(key, CODECS.encoded(command), 1, NOW))
    assert lines.counters.bad == {reason: 1}
    with lines.lines() as found:
        assert found.of(7)._items == before


def test_a_record_on_a_partition_of_other_events_does_nothing() -> None:
    """Its offset may be that of an item which stands in the line."""
    lines = LinesInMemory(LogInMemory())
    reading = lines.new_reading(2)
    right = partition_of(b"7", 2)
    for partition, user in ((right, "ann"), (1 - right, "ben")):
        item = item_id(user, "k", 7)
        value = CODECS.encoded(EnqueueItem(b"", item.encode(), user.encode(), b"{}"))
        lines.take(reading, [message(b"7", value, 0, NOW, partition)])
    assert lines.counters.bad == {BAD_PARTITION: 1}
    with reading.lock:
        assert reading.lines.standing(7, NOW).length == 1


def test_bytes_that_are_no_record_are_passed_over_and_what_follows_counts() -> None:
    lines = LinesInMemory(LogInMemory())
    lines.follow(message(b"7", b"none", 0, NOW))
    lines.follow(message(b"7", None, 1, NOW))
    lines.follow(message(b"7", CODECS.encoded(GOOD), 2, NOW))
    assert sum(lines.counters.bad.values()) == 2
    assert lines.counters.bad[NO_RECORD] == 1
    with lines.lines() as found:
        assert found.of(7).look(ITEM.decode()) is not None


def test_the_first_record_of_a_call_answers_it_and_a_loop_that_is_gone_harms_nobody() -> None:
    calls = Calls()

    async def go() -> None:
        with calls.waiting(b"c") as answer:
            assert b"c" in calls
            for did in (True, False):
                calls.tell(b"c", Done(did, None))
            assert (await answer).did is True
        assert b"c" not in calls
        calls.tell(b"c", Done(False, None))

    asyncio.run(go())

    async def leave() -> None:
        loop = asyncio.get_running_loop()
        calls._waiting[b"d"] = loop, loop.create_future()

    asyncio.run(leave())
    calls.tell(b"d", Done(did=True, item=None))
