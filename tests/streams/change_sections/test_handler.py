"""Records that are not commands, and the status of touched sections."""

from dataclasses import replace

import pytest
from support.seats.section_commands import (
    CODECS,
    EVENT,
    IDS,
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
from serdes.registry.ids import RegisteredSchema
from serdes.wire import header_of
from state.domain.keys import PROGRESS_KEY, section_key
from state.domain.reasons import Reason
from state.records.seat_codecs import SeatCodecs
from state.stores.partition_state import PartitionState
from streams.batch import Batch, NewerProducer, UnknownSchema
from streams.change_sections import change_sections, progress_of, refuse_poison


def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_next_is_decided() -> None:
    partition = opened("....")
    key, value = hold("r1", 1)
    assert value is not None
    outcomes = partition.send((key, value[:-1]), (key, value + b"x"), (key, b""), (key, value))
    assert partition.dead == ["BAD_BODY", "BAD_BODY", "EMPTY_VALUE"]
    assert [outcome.name for outcome in outcomes] == ["SeatsHeld"]
    partition.send((key, value[:5] + b"\0" * 70_000))
    assert partition.dead[3:] == ["TOO_LARGE"]


def test_b02_a_tombstone_has_no_effect_and_is_counted() -> None:
    partition = opened("....")
    assert partition.send((hold("r1", 1)[0], None)) == []
    assert (partition.dead, partition.decisions["TOMBSTONE"]) == ([], 1)


def test_an_unknown_schema_is_asked_for_before_anything_is_decided() -> None:
    partition = opened("....")
    before = partition.stored()
    records = partition.append(hold("r1", 1), (b"k", b"\0\0\0\xff\xff"))
    with pytest.raises(UnknownSchema):
        partition.run(records)
    assert partition.stored() == before


def test_b2_all_unknown_ids_of_a_batch_are_named_at_once() -> None:
    partition = opened("....")
    unknown = [(b"k", header_of(one) + b"?") for one in (7_001, 7_002, 7_001, 7_003)]
    never = [(b"k", header_of(one) + b"?") for one in (0, 1 << 31, (1 << 32) - 1)]
    with pytest.raises(UnknownSchema) as told:
        partition.run(partition.append(*never, *unknown))
    assert told.value.schema_ids == {7_001, 7_002, 7_003}
    assert str(told.value) in {f"schema id {one} and 2 more" for one in (7_001, 7_002, 7_003)}


def test_b2_nobody_is_asked_for_an_id_that_no_registry_gives_out() -> None:
    partition = opened("....")
    for schema_id in (0, 1 << 31, (1 << 32) - 1):
        partition.send((b"k", header_of(schema_id) + b"?"))
    assert partition.dead == ["UNKNOWN_SCHEMA"] * 3


def test_an_id_that_the_registry_does_not_know_either_is_a_dead_letter() -> None:
    partition = opened("....")
    (record,) = partition.append((b"k", b"\0\0\0\xff\xff"))
    batch = Batch("section-commands", 0, PARTITIONS, [record], frozenset({0xFFFF}))
    effects = partition.handler(batch, partition.state, 0)
    assert [letter.reason for letter in effects.dead_letters] == ["UNKNOWN_SCHEMA"]


def test_b23_a_command_that_only_newer_code_knows_stops_the_partition() -> None:
    codecs = SeatCodecs.of(IDS)
    subject = "section-commands-io.seatstream.commands.SwapSeats"
    codecs.commands.learn(999, RegisteredSchema((subject,), "{}"))
    partition = Partition(handler=change_sections(codecs))
    with pytest.raises(NewerProducer):
        partition.send((b"k", header_of(999) + b"x"))


@pytest.mark.parametrize("version", [3, 12])
def test_f29_f88_rules_that_only_newer_code_has_stop_the_partition(version: int) -> None:
    """A worker of the former release, in one group with newer ones: it decides nothing."""
    partition = opened("....")
    partition.send(hold("r1", 2))
    before = partition.stored()
    ahead = partition.append(hold("r2", 1), tick(START_MS, b"tick-%d" % version), hold("r3", 1))
    with pytest.raises(NewerProducer, match=f"version {version} of the rules"):
        partition.fold(ahead)
    assert partition.stored() == before
    # The state of a newer worker, taken over.
    state = PartitionState(partition.store)
    progress = CODECS.read_progress(before[PROGRESS_KEY], 0)
    state.put(PROGRESS_KEY, CODECS.progress(*progress[:3], version))
    state.write(state.seal(), None)
    partition.forget()
    with pytest.raises(NewerProducer, match=f"version {version} of the rules"):
        partition.fold(ahead[:1])


@pytest.mark.parametrize(
    "key", [b"tick-0", b"tick-02", b"tick-x", b"tick-3 ", b"tick-" + b"9" * 99]
)
def test_f29_a_strangers_tick_names_no_version(key: bytes) -> None:
    partition = opened("....")
    partition.send(tick(START_MS, key))
    assert partition.send(hold("r1", 1))[0].name == "SeatsHeld"


def test_b25_too_many_headers_are_a_dead_letter_and_some_are_none() -> None:
    partition = opened("....")
    (record,) = partition.append(hold("r1", 1))
    flooded = replace(record, headers=(("h", b""),) * 1_000)
    assert partition.fold([flooded]) == []
    assert partition.dead == ["BAD_RECORD_HEADERS"]
    (record,) = partition.append(hold("r2", 1))
    traced = replace(record, headers=(("traceparent", b"00-1-2-01"),))
    assert [told(value).name for value in partition.fold([traced])] == ["SeatsHeld"]


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
    assert progress_of(CODECS)(partition.state) == (2, START_MS)
    assert progress_of(CODECS)(Partition().state) == (0, 0)


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
