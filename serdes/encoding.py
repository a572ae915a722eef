"""Fields of one topic's records in; values for the wire out."""

from schemas.topics import Topic, subject
from serdes.avro.codegen import Encode, encoder
from serdes.registry.ids import SchemaIds
from serdes.wire import header_of


def encoders(topic: Topic, ids: SchemaIds) -> dict[str, Encode]:
    """Return by full name, for each record of the topic, the encoder that writes our schema id."""
    return {
        name: encoder(name, prefix=header_of(ids.id_by_subject[subject(topic, name)]))
        for name in topic.records
    }
