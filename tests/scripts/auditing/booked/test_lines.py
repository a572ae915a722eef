"""Lines that an audit folds are those of the pods, whatever records come (I22)."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.booking_queue.log_in_memory import CODECS, IDS, LinesInMemory, LogInMemory
from support.booking_queue.played import EVENT, TIMES_MS, Clock, played
from support.logs.audit_logs import AVRO

from schemas.topics import BOOKING_QUEUE
from scripts.auditing.booked.folding import Lines, folded
from scripts.auditing.booked.lines import named_in
from scripts.auditing.schemas import WireFormat, names_of
from scripts.auditing.topics import record_of
from state.domain.booking_queue.items import item_id
from state.records.booking_queue.commands import (
    CancelItem,
    CleanLine,
    EnqueueItem,
    QueueCommand,
    RemoveItem,
    RequeueItem,
    SettleItem,
    TakeItem,
)
from state.records.event import event_key
from state.views.booking_queue.queue import KafkaBookingQueue

LENGTH_MAX = 3
USERS = ("ann", "ben", "cy", "dan")
ITEMS = [item_id(user, "k", EVENT).encode() for user in USERS]
WIRE = WireFormat(
    AVRO,
    {
        IDS.id_by_subject[f"{BOOKING_QUEUE.name}-io.seatstream.booking.{name}"]: (name, None)
        for name in names_of(BOOKING_QUEUE)
    },
)

_items, _tokens = st.sampled_from(range(4)), st.sampled_from([b"s", b"t"])


def _of(item: int, make: Any) -> QueueCommand:
    made: QueueCommand = make(ITEMS[item], USERS[item].encode())
    return made


commands: st.SearchStrategy[QueueCommand] = st.one_of(
    st.builds(lambda at: _of(at, lambda i, u: EnqueueItem(b"c", i, u, b"{}")), _items),
    st.builds(lambda at, of: TakeItem(b"c", ITEMS[at], of), _items, _tokens),
    st.builds(
        lambda at, of, has, final: SettleItem(b"c", ITEMS[at], of, has, b"", b"why", final),
        *(_items, _tokens, st.booleans(), st.booleans()),
    ),
    st.builds(lambda at: _of(at, lambda i, u: CancelItem(b"c", i, u)), _items),
    st.just(CleanLine(b"c", EVENT)),
    st.builds(
        lambda at, round_: _of(at, lambda i, u: RequeueItem(b"c", i, u, b"{}", round_)),
        *(_items, st.integers(1, 3)),
    ),
    st.builds(lambda at: RemoveItem(b"c", ITEMS[at]), _items),
)
told = st.lists(st.tuples(st.sampled_from((0, 0, *TIMES_MS)), commands), max_size=60)


async def _appended(log: LogInMemory, records: list[tuple[int, QueueCommand]]) -> None:
    for _, command in records:
        await log.send(event_key(EVENT), CODECS.encoded(command), partition=0)


def times_of(records: list[tuple[int, QueueCommand]]) -> Iterator[int]:
    now_ms = 1_900_000_000_000
    for pause_ms, _ in records:
        now_ms += pause_ms
        yield now_ms


def audited(log: LogInMemory) -> Lines:
    records = {0: [record_of(record) for record in log.records]}
    return folded(WIRE, records, {}, LENGTH_MAX)


def check_same(pod: LinesInMemory, lines: Lines) -> None:
    """Check that an audit's line is the pod's."""
    with pod.lines() as all_lines:
        line = all_lines.known(EVENT)
    _, own = lines.by_event.get(EVENT, (0, None))
    assert not lines.foreign
    if own is None:
        assert line is None
        return
    waiting = [] if line is None else [one.item_id for one in line.waiting(0, 99)]
    mine = sorted((item.number, of) for of, item in own.items.items() if item.status == "waiting")
    assert [of for _, of in mine] == waiting
    assert own.here == (0 if line is None else line.length)
    for of, item in own.items.items():
        known = None if line is None else line.look(of)
        if known is None:
            assert not item.is_here
            continue
        status = {"later": "waiting"}.get(item.status, item.status)
        assert (known.status, known.attempts, known.round) == (status, item.tries, item.round)


@given(told)
def test_i22_an_audit_and_the_pods_make_the_same_of_any_records(
    records: list[tuple[int, QueueCommand]],
) -> None:
    clock = times_of(records)
    log = LogInMemory(clock_ms=lambda: next(clock))
    pod = LinesInMemory(log, length_max=LENGTH_MAX)
    asyncio.run(_appended(log, records))
    check_same(pod, audited(log))


WEIGHTS = {"enqueue": 6, "take": 6, "fail": 5, "fail for good": 1, "complete": 1, "cancel": 1}
MORE_WEIGHTS = {"clean": 3, "requeue": 2, "time": 9}


def asked_at_random(draw: random.Random) -> list[tuple[str, int]]:
    """Return much that is asked, of which most has an effect; long times are rare."""
    weights = WEIGHTS | MORE_WEIGHTS
    names = draw.choices([*weights], [*weights.values()], k=500)
    times = [TIMES_MS[min(int(draw.expovariate(0.4)), len(TIMES_MS) - 1)] for _ in names]
    return [
        (name, time_ms if name == "time" else draw.randrange(9))
        for name, time_ms in zip(names, times, strict=True)
    ]


@pytest.mark.parametrize("seed", range(8))
def test_i22_what_pods_write_is_the_same_to_an_audit_and_nothing_in_it_is_flagged(
    seed: int,
) -> None:
    asked, clock = asked_at_random(random.Random(seed)), Clock()
    log = LogInMemory(clock_ms=clock)
    pod = LinesInMemory(log, length_max=LENGTH_MAX)
    asyncio.run(played(KafkaBookingQueue(pod, log, CODECS, clock_ms=clock), clock, asked))
    lines = audited(log)
    check_same(pod, lines)
    assert not lines.found


def test_an_outcome_that_is_none_of_ours_names_no_reservation_that_there_may_be() -> None:
    assert named_in(b"") == ""
    assert named_in(b'{"reservation_id":"r","reason":""}') == "r"
    assert {named_in(b"held"), named_in(b"[]"), named_in(b"{}")} == {"?"}
