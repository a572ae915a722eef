"""A log that is judged by its partitions is judged as one that is read whole, in less memory."""

import gc
import random
from itertools import combinations
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.logs.audit_logs import sound_log
from support.logs.log_consumer import cluster_of
from support.payments.shop import WIRE as SHOP_WIRE
from support.payments.shop import whole_sale

from scripts.auditing.apart import processes, reading
from scripts.auditing.apart.processes import audit_apart, together
from scripts.auditing.checks import audit
from scripts.auditing.log import Log
from scripts.auditing.report import Report, as_json
from scripts.auditing.schemas import WireFormat
from scripts.auditing.topics import CannotRead, LogRecord
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import OffsetsUnknown

WHERE = Servers("nowhere:1", "http://nowhere")
SPOILT = ("commands", "outcomes", "statuses", "changelog", "dead_letters", "payments")


def apart(log: Log, wire: WireFormat | None = None, **arguments: Any) -> Report:
    with pytest.MonkeyPatch.context() as monkeypatch:
        cluster_of(monkeypatch, log, wire or log.wire)
        return audit_apart(WHERE, processes=1, **arguments)


def spoil(log: Log, draw: random.Random) -> None:
    """Lose a record, or write one twice."""
    topic = draw.choice([name for name in SPOILT if any(getattr(log, name).values())])
    records = draw.choice([one for one in getattr(log, topic).values() if one])
    at = draw.randrange(len(records))
    if draw.random() < 0.5:
        del records[at]
    else:
        last = records[-1]
        one = records[at]
        records.append(LogRecord(last.offset + 1, last.timestamp, one.key, one.value, one.headers))


def told(report: Report) -> dict[str, Any]:
    """Return all that a report says; of two that are first at one offset, whichever is."""
    document = as_json(report)
    del document["first"], document["excerpts"]
    return document | {"all": sorted(map(str, report.violations))}


@settings(max_examples=of_whole(25))
@given(st.integers(0, 10_000), st.integers(0, 2), st.sampled_from([1, 60, 1_000]))
def test_a_log_judged_by_partitions_is_judged_as_a_whole(
    seed: int, faults: int, at_once: int
) -> None:
    log = sound_log(seed, 120)
    draw = random.Random(seed)
    for _ in range(faults):
        spoil(log, draw)
    whole = audit(log)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(processes, "COMMANDS_AT_ONCE", at_once)
        found = apart(log)
    assert told(found) == told(whole)
    assert found.excerpts.keys() == whole.excerpts.keys()


@given(st.lists(st.integers(0, 7), min_size=1, max_size=9), st.integers(1, 9), st.integers(1, 4))
def test_partitions_are_read_together_while_there_is_room_and_each_once(
    counts: list[int], room: int, several: int
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(processes, "COMMANDS_AT_ONCE", room)
        groups = together({part: (5, 5 + count) for part, count in enumerate(counts)}, several)
    assert sorted(part for group in groups for part in group) == list(range(len(counts)))
    most = min(room, ceil(sum(counts) / several))
    sizes = [sum(counts[part] for part in one) for one in groups]
    for one, size in zip(groups, sizes, strict=True):
        assert len(one) == 1 or size <= most
    # No two could have been one, and no large partition begins behind a smaller one.
    assert all(one + other > most for one, other in combinations(sizes, 2))
    firsts = [counts[one[0]] for one in groups]
    assert firsts == sorted(firsts, reverse=True)


def test_two_processes_have_the_same_to_do_where_partitions_are_of_all_sizes() -> None:
    sizes = [9_000, 100, 7_000, 200, 5_000, 300, 4_000, 400]
    groups = together({part: (0, size) for part, size in enumerate(sizes)}, 2)
    assert [sum(sizes[part] for part in one) for one in groups] == [13_000, 13_000]


def test_money_is_judged_the_same_though_a_partition_has_no_purchase_of_its_own() -> None:
    log = whole_sale().log()
    assert apart(log, SHOP_WIRE).payments > 0
    assert told(apart(log, SHOP_WIRE)) == told(audit(log))


def live_records() -> int:
    return sum(type(one) is LogRecord for one in gc.get_objects())


@pytest.mark.parametrize("partitions", [2, 4, 8])
def test_the_records_of_one_large_partition_are_in_memory_at_a_time_however_many_there_are(
    partitions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = sound_log(partitions, 80 * partitions, partitions)
    largest = max(
        sum(len(records.get(part, [])) for _, records in log.by_topic())
        for part in range(partitions)
    )
    wire = log.wire
    cluster_of(monkeypatch, log, wire)
    del log
    before = live_records()
    most: list[int] = []
    told_of = processes.told_of

    def counted(*arguments: Any, **named: Any) -> Any:
        most.append(live_records() - before)
        return told_of(*arguments, **named)

    monkeypatch.setattr(processes, "told_of", counted)
    monkeypatch.setattr(processes, "COMMANDS_AT_ONCE", 1)
    assert audit_apart(WHERE, processes=1).is_exact
    assert len(most) == partitions
    assert 0 < max(most) <= largest


def test_what_is_asked_for_while_partitions_are_judged_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = sound_log(5, 60)
    consumer = cluster_of(monkeypatch, log, log.wire)
    rest = reading.read_rest

    def more(*arguments: Any) -> None:
        # A repeat of a command that was read already: nobody has decided it yet.
        lying = next(lying for lying in consumer.topics["section-commands"].values() if lying)
        at = (lying[-1].partition(), lying[-1].offset() + 1)
        lying.append(lying[0]._replace(at=at))
        rest(*arguments)

    monkeypatch.setattr(processes, "read_rest", more)
    report = audit_apart(WHERE, processes=1)
    assert (report.verdict, report.pending) == ("not at rest", 1)


def test_offsets_that_nobody_tells_are_no_offsets_of_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster_of(monkeypatch, sound_log(5, 20))

    def unknown(*_: object) -> None:
        raise OffsetsUnknown("the coordinator does not answer")

    monkeypatch.setattr(processes, "committed_offsets", unknown)
    with pytest.raises(CannotRead, match="does not answer"):
        audit_apart(WHERE, processes=1)
