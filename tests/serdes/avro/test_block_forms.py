"""B1: arrays in any of Avro's block forms are read; what is no encoding stays unreadable."""

import io
import json
import random
from functools import cache
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import OF_EACH_RECORD
from support.records.avro_values import RECORDS, blocked, values

from schemas.topics import SECTION_COMMANDS, TOPICS, Topic, subject
from scripts.auditing.schemas import Avro, Unreadable
from serdes.avro.block_forms import BlockForms
from serdes.avro.general import encoded
from serdes.avro.refused import Refused
from serdes.avro.schema_files import inlined, parsed, text_of
from serdes.avro.varints import write_long
from serdes.decoding import BAD_BODY, Decoded, TopicDecoder, Undecodable
from serdes.registry.ids import RegisteredSchema, SchemaIds, counted_ids
from serdes.wire import header_of

CHOSEN = "io.seatstream.commands.HoldChosenSeats"
IDS = counted_ids()
AUDITOR = Avro()
DECODER = TopicDecoder(SECTION_COMMANDS, IDS)
HEADER = header_of(IDS.id_by_subject[subject(SECTION_COMMANDS, CHOSEN)])
REQUEST = {
    "reservationId": "r-1",
    "userId": "u1",
    "correlationId": "",
    "section": "A-1",
    "eventId": 1,
}
SEATS = [{"row": 1, "seat": seat} for seat in range(3)]
VALUE = {"request": REQUEST, "seatCount": 3, "seats": SEATS}
PLAIN = encoded(parsed(CHOSEN), VALUE)
# Where the array of seats begins: it is the last field.
BEFORE = PLAIN[: -len(b"\x06\x02\x00\x02\x02\x02\x04\x00")]


@cache
def block_forms(name: str) -> BlockForms:
    return BlockForms(inlined(name))


@cache
def apache_reader(name: str) -> Any:
    return avro.io.DatumReader(avro.schema.parse(json.dumps(inlined(name))))


@cache
def decoder_of(topic: Topic) -> TopicDecoder:
    return TopicDecoder(topic, IDS)


@pytest.mark.parametrize("name", RECORDS)
@OF_EACH_RECORD
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_b1_every_block_form_is_put_into_the_one_that_is_read_fast(
    name: str, data: st.DataObject, seed: int
) -> None:
    value = data.draw(values(name))
    body = blocked(inlined(name), value, random.Random(seed))
    plain = encoded(parsed(name), value)
    assert block_forms(name).single(body, 0) == plain
    # It is Avro: both implementations read the same from it.
    assert fastavro.schemaless_reader(io.BytesIO(body), parsed(name), None) == value
    assert apache_reader(name).read(avro.io.BinaryDecoder(io.BytesIO(body))) == value


TOPIC_RECORDS = [(topic, name) for topic in TOPICS for name in topic.records]


@pytest.mark.parametrize("name", RECORDS)
@OF_EACH_RECORD
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_b1_the_auditor_reads_every_block_form(name: str, data: st.DataObject, seed: int) -> None:
    value = data.draw(values(name))
    short = name.rpartition(".")[2]
    if AUDITOR.knows(short):
        body = blocked(inlined(name), value, random.Random(seed))
        assert AUDITOR.decode(short, body) == value


@pytest.mark.parametrize(("topic", "name"), TOPIC_RECORDS, ids=[name for _, name in TOPIC_RECORDS])
@OF_EACH_RECORD
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_b1_a_topic_reads_the_same_from_every_block_form(
    topic: Topic, name: str, data: st.DataObject, seed: int
) -> None:
    value = data.draw(values(name))
    decoder = decoder_of(topic)
    header = header_of(IDS.id_by_subject[subject(topic, name)])
    plain = decoder.decode(header + encoded(parsed(name), value))
    assert decoder.decode(header + blocked(inlined(name), value, random.Random(seed))) == plain


def test_b1_another_version_is_read_in_every_block_form() -> None:
    writer = inlined(CHOSEN) | {"fields": [*inlined(CHOSEN)["fields"]]}
    writer["fields"].append({"name": "note", "type": "string", "default": ""})
    decoder = TopicDecoder(SECTION_COMMANDS, SchemaIds({}))
    named = (subject(SECTION_COMMANDS, CHOSEN),)
    decoder.learn(900, RegisteredSchema(named, text_of(writer)))
    body = BEFORE + write_long(-3) + write_long(6) + PLAIN[-7:-1] + b"\0" + b"\x02n"
    verdict = decoder.decode(header_of(900) + body)
    assert verdict == DECODER.decode(HEADER + PLAIN)
    assert isinstance(verdict, Decoded)


ITEMS = PLAIN[-7:-1]


@pytest.mark.parametrize(
    "array",
    [
        write_long(-3) + write_long(6) + ITEMS + b"\0",
        write_long(-1) + write_long(2) + ITEMS[:2] + write_long(2) + ITEMS[2:] + b"\0",
        write_long(1) + ITEMS[:2] + write_long(-2) + write_long(4) + ITEMS[2:] + b"\0",
        write_long(3) + ITEMS + b"\0",
    ],
    ids=["a size", "size, then count", "count, then size", "ours"],
)
def test_b1_blocks_by_hand(array: bytes) -> None:
    verdict = DECODER.decode(HEADER + BEFORE + array)
    assert verdict == DECODER.decode(HEADER + PLAIN)
    assert isinstance(verdict, Decoded)


FAR = 1 << 40


@pytest.mark.parametrize(
    "array",
    [
        write_long(-3) + write_long(5) + ITEMS + b"\0",
        write_long(-3) + write_long(7) + ITEMS + b"\0",
        write_long(-3) + write_long(-6) + ITEMS + b"\0",
        write_long(-3) + write_long(FAR) + ITEMS + b"\0",
        write_long(-3) + write_long(6) + ITEMS + b"\0\0",
        write_long(-3) + write_long(6) + ITEMS,
        b"\x85\x00" + write_long(6) + ITEMS + b"\0",
        write_long(-3) + b"\x8c\x00" + ITEMS + b"\0",
        write_long(-FAR) + write_long(6) + ITEMS + b"\0",
        write_long(-(1 << 63)) + write_long(6) + ITEMS + b"\0",
        write_long(FAR) + ITEMS + b"\0",
        write_long(-3) + write_long(6) + b"\x80\x00" + ITEMS[1:] + b"\0",
    ],
    ids=[
        *("size too small", "size too large", "negative size", "size far beyond"),
        *("bytes behind", "no end", "overlong count", "overlong size", "2^40 items by size"),
        *("2^63 items", "2^40 items", "overlong item"),
    ],
)
def test_b1_what_is_no_encoding_stays_unreadable(array: bytes) -> None:
    verdict = DECODER.decode(HEADER + BEFORE + array)
    assert isinstance(verdict, Undecodable)
    assert verdict.reason == BAD_BODY
    with pytest.raises(Unreadable):
        AUDITOR.decode("HoldChosenSeats", BEFORE + array)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_b1_bytes_are_put_into_another_form_only_where_they_are_read(
    junk: bytes, cut: int
) -> None:
    data = BEFORE + write_long(-3) + write_long(6) + ITEMS[: cut % 6] + junk
    try:
        single = block_forms(CHOSEN).single(data, 0)
    except Refused:
        return
    assert len(single) <= len(data)
    assert block_forms(CHOSEN).single(single, 0) is single


def test_b1_a_value_full_of_blocks_takes_no_more_than_its_length() -> None:
    # One seat a block, as many as a value has room for: each byte is looked at a few times.
    seats = (65_000 - len(BEFORE)) // 4
    array = (write_long(-1) + write_long(2) + b"\0\0") * seats + b"\0"
    body = BEFORE + array
    counted = _Counting(body)
    BlockForms(inlined(CHOSEN)).single(counted, 0)
    assert counted.looked_at <= 3 * len(body)


class _Counting(bytes):
    """Bytes that count how often one of them is looked at."""

    looked_at = 0

    def __getitem__(self, at: Any) -> Any:
        self.looked_at += 1 if isinstance(at, int) else at.stop - at.start
        return super().__getitem__(at)
