from dataclasses import dataclass, replace

from schemas.topics import SECTION_COMMANDS, subject
from serdes.avro.codegen import Decode, Encode
from serdes.avro.stored import stored_encoder
from serdes.codecs import Codecs, made, read_as, read_from, stored_as, written_to
from serdes.decoding import Decoded, TopicDecoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds, counted_ids

TICK = "io.seatstream.commands.Tick"
PROGRESS = "io.seatstream.state.Progress"


@dataclass(frozen=True, slots=True)
class TickCodecs(Codecs):
    records: TopicDecoder = read_from(SECTION_COMMANDS)
    tick: Encode = written_to(SECTION_COMMANDS, TICK)
    progress: Encode = stored_as(PROGRESS)
    read_progress: Decode = read_as(PROGRESS)
    source: str = made(lambda ids: ids.source)


def test_each_field_is_what_it_declares_with_the_ids_that_are_given() -> None:
    ids = counted_ids()
    codecs = TickCodecs.of(ids)
    assert codecs.tick(7) == encoders(SECTION_COMMANDS, ids)[TICK](7)
    assert codecs.records.decode(codecs.tick(7), ()) == Decoded(TICK, (7,))
    assert codecs.progress is stored_encoder(PROGRESS)
    assert codecs.source == ids.source


def test_other_ids_give_other_headers_and_the_same_records() -> None:
    ids = counted_ids()
    name = subject(SECTION_COMMANDS, TICK)
    other: SchemaIds = replace(ids, id_by_subject={**ids.id_by_subject, name: 900})
    one, two = TickCodecs.of(ids).tick(7), TickCodecs.of(other).tick(7)
    assert one[:5] != two[:5]
    assert one[5:] == two[5:]
