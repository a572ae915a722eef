"""Sets of codecs: each says field by field what it reads and writes, and is made at once.

    @dataclass(frozen=True, slots=True)
    class WordCodecs(Codecs):
        words: TopicDecoder = read_from(WORDS)
        counted: Encode = written_to(COUNTS, "io.words.Counted")
        stored: Encode = stored_as("io.words.Kept")

    codecs = WordCodecs.of(ids)

Each field is then what its declaration says, for these schema ids.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from schemas.topics import Topic, subject
from serdes.avro.codegen import encoder
from serdes.avro.stored import stored_decoder, stored_encoder
from serdes.decoding import TopicDecoder
from serdes.registry.ids import SchemaIds
from serdes.wire import header_of

_MAKE: Final = "make"


@dataclass(frozen=True, slots=True)
class Codecs:
    """Codecs by the role they play; forms of decoded values as told in `codegen`."""

    @classmethod
    def of(cls, ids: SchemaIds) -> Self:
        """Return the codecs that write these ids."""
        return cls(**{one.name: one.metadata[_MAKE](ids) for one in fields(cls)})


def made(make: Callable[[SchemaIds], object]) -> Any:
    """Declare a field by what makes its value."""
    return field(metadata={_MAKE: make})


def read_from(topic: Topic) -> Any:
    """Declare a TopicDecoder, which learns other ids while it is used."""
    return made(lambda ids: TopicDecoder(topic, ids))


def written_to(topic: Topic, record: str) -> Any:
    """Declare an Encode: fields to a value of the wire, header included."""
    return made(
        lambda ids: encoder(record, prefix=header_of(ids.id_by_subject[subject(topic, record)]))
    )


def stored_as(record: str) -> Any:
    """Declare an Encode: fields to a value of the store, without header; see `stored_encoder`."""
    return made(lambda _: stored_encoder(record))


def read_as(record: str) -> Any:
    """Declare a Decode of what `stored_as` wrote, in this release or a former one."""
    return made(lambda _: stored_decoder(record))
