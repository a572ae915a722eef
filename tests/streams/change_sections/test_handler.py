"""Records that are not commands, and the status of touched sections."""

import pytest
from support.seats.section_commands import (
    CODECS,
    EVENT,
    PARTITIONS,
    START_MS,
    A,
    B,
    Partition,
    hold,
    open_section,
    opened,
    tick,
    told,
)

from schemas.topics import SECTION_STATUS
from state.domain.keys import section_key
from state.domain.reasons import Reason
from streams.batch import Batch
from streams.change_sections import progress, refuse_poison


@pytest.mark.parametrize(
    "key", [b"tick-0", b"tick-02", b"tick-x", b"tick-3 ", b"tick-" + b"9" * 99]
)
def test_f29_a_strangers_tick_names_no_version(key: bytes) -> None:
    partition = opened("....")
    partition.send(tick(START_MS, key))
    assert partition.send(hold("r1", 1))[0].name == "SeatsHeld"


def test_a_record_that_no_worker_survives_is_refused_without_touching_a_seat() -> None:
    partition = opened("....")
    (record,) = partition.append(hold("r1", 1))
    before = partition.stored()
    batch = Batch("section-commands", 0, PARTITIONS, [record])
    effects = refuse_poison(CODECS)(batch, partition.state, record, 0)
    (refusal,) = effects.outgoing["reservation-outcomes"]
    assert told(refusal[1]).reason is Reason.INTERNAL
    partition.state.write(partition.state.seal(), None)
    partition.state.release()
    after = partition.stored()
    assert {key for key in after if after[key] != before.get(key)} == {b"p"}
    assert progress(partition.state) == (2, START_MS)
    assert progress(Partition().state) == (0, 0)


def test_one_status_for_each_touched_section_and_batch_refusals_included() -> None:
    partition = opened("....")
    partition.send(open_section("...", section=B))
    partition.statuses.clear()
    partition.send(hold("r1", 2), hold("r2", 1, section=B), hold("r3", 9), hold("r4", 1))
    assert len(partition.statuses) == 2
    status = partition.status()
    assert (status.availableCount, status.heldCount, status.largestBlock) == (1, 3, 1)
    assert (status.version, status.timestamp) == (3, START_MS)
    partition.statuses.clear()
    partition.now_ms += 5
    partition.send(hold("r5", 9))
    assert (partition.status().version, partition.status().timestamp) == (3, START_MS + 5)


def test_a_status_of_5000_seats_takes_at_most_50_bytes_and_its_state_a_bit_a_seat() -> None:
    partition = opened("\n".join(["." * 50] * 100))
    partition.send(*(hold(f"r{number}", 4) for number in range(300)))
    key = section_key(EVENT, A)
    assert len(partition.last_statuses()[key]) <= 50
    assert len(partition.stored()[b"s" + key]) <= 100 * 7 + 128


def test_the_status_topic_is_keyed_by_section() -> None:
    partition = opened("....")
    assert [key for key, _ in partition.statuses] == [section_key(EVENT, A)]
    assert SECTION_STATUS.cleanup == "compact"
