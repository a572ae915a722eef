"""An encoder writes the id that the registry gave to our schema, and the body behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import OF_EACH_RECORD
from support.records.avro_values import arguments, values

from schemas.topics import SECTION_COMMANDS, SECTION_STATUS, TOPICS, Topic, subject
from serdes.avro.general import encoded, flattened
from serdes.avro.schema_files import inlined, parsed
from serdes.decoding import Decoded, TopicDecoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds, counted_ids
from serdes.wire import header_of

TICK = "io.seatstream.commands.Tick"
IDS = counted_ids(first=40)


def test_encoders_write_our_ids() -> None:
    value = encoders(SECTION_COMMANDS, IDS)[TICK](1)
    assert value == header_of(IDS.id_by_subject[subject(SECTION_COMMANDS, TICK)]) + b"\x02"


def test_a_topic_has_an_encoder_for_each_of_its_records_and_for_no_other() -> None:
    for topic in TOPICS:
        assert set(encoders(topic, IDS)) == set(topic.records)


def test_an_id_that_nobody_knows_is_not_made_up() -> None:
    lacking = dict(IDS.id_by_subject)
    del lacking[subject(SECTION_COMMANDS, TICK)]
    with pytest.raises(KeyError, match=r"commands\.Tick"):
        encoders(SECTION_COMMANDS, SchemaIds(lacking))
    assert encoders(SECTION_STATUS, SchemaIds(lacking))


ENCODERS = {topic: encoders(topic, IDS) for topic in TOPICS}
DECODERS = {topic: TopicDecoder(topic, IDS) for topic in TOPICS}
RECORDS = [(topic, name) for topic in TOPICS for name in topic.records]


@pytest.mark.parametrize(("topic", "name"), RECORDS, ids=[name for _, name in RECORDS])
@OF_EACH_RECORD
@given(data=st.data())
def test_what_a_topic_s_encoder_writes_its_decoder_reads(
    topic: Topic, name: str, data: st.DataObject
) -> None:
    value = data.draw(values(name))
    fields = flattened(inlined(name), value)
    written = ENCODERS[topic][name](*arguments(name, fields))
    assert written[5:] == encoded(parsed(name), value)
    assert DECODERS[topic].decode(written) == Decoded(name, fields)
