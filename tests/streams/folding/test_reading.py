"""Records that are not commands, read by a fold."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import (
    CODECS,
    IDS,
    PARTITIONS,
    START_MS,
    Pair,
    Partition,
    confirm,
    hold,
    opened,
    tick,
    told,
)
from support.workers.tallies import fold_of, tally

from serdes.decoding import Decoded
from serdes.registry.ids import RegisteredSchema
from serdes.wire import header_of
from state.domain.keys import PROGRESS_KEY
from state.records.seat_codecs import SeatCodecs
from state.stores.partition_state import PartitionState
from streams.batch import Batch, NewerProducer, UnknownSchema
from streams.change_sections import change_sections
from streams.folding.progress import read_progress, write_progress
from streams.folding.reading import read


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
    kept = read_progress(before[PROGRESS_KEY])._replace(logic_version=version)
    state.put(PROGRESS_KEY, write_progress(kept))
    state.write(state.seal(), None)
    partition.forget()
    with pytest.raises(NewerProducer, match=f"version {version} of the rules"):
        partition.fold(ahead[:1])


def test_b25_too_many_headers_are_a_dead_letter_and_some_are_none() -> None:
    partition = opened("....")
    (record,) = partition.append(hold("r1", 1))
    flooded = replace(record, headers=(("h", b""),) * 1_000)
    assert partition.fold([flooded]) == []
    assert partition.dead == ["BAD_RECORD_HEADERS"]
    (record,) = partition.append(hold("r2", 1))
    traced = replace(record, headers=(("traceparent", b"00-1-2-01"),))
    assert [told(value).name for value in partition.fold([traced])] == ["SeatsHeld"]


some_pairs = st.sampled_from([hold("r1", 1), hold("r2", 3), confirm("r1"), tick(START_MS)])


@given(st.lists(st.tuples(some_pairs, st.booleans()), max_size=8))
def test_a_fold_that_knows_no_seat_reads_what_the_topics_decoder_reads(
    pairs: list[tuple[Pair, bool]],
) -> None:
    """With headers or without, which are two ways through the code."""
    partition = Partition(handler=tally)
    records = [
        replace(record, headers=(("traceparent", b"00"),) if has_headers else ())
        for record, (_, has_headers) in zip(
            partition.append(*(pair for pair, _ in pairs)), pairs, strict=True
        )
    ]
    fold = fold_of(records, partition.state)
    names, decoded = read(fold, records)
    expected = [CODECS.commands.decode(record.value) for record in records]
    assert list(map(Decoded, names, decoded)) == expected
    assert (fold.effects.dead_letters, fold.effects.decisions) == ([], {})


def test_what_says_nothing_has_neither_name_nor_fields() -> None:
    partition = Partition(handler=tally)
    records = partition.append((b"k", b""), (b"k", None), hold("r1", 1))
    fold = fold_of(records, partition.state)
    names, decoded = read(fold, records)
    assert names[:2] == ["", ""]
    assert decoded[:2] == [(), ()]
    assert [letter.reason for letter in fold.effects.dead_letters] == ["EMPTY_VALUE"]
    assert fold.effects.decisions == {"TOMBSTONE": 1}
