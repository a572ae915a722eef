"""Which schema an id stands for: what the registry said at start, and what it says later."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fastavro.schema import SchemaParseException

from schemas.topics import subjects
from serdes.avro.schema_files import Schema, current, digest_of, fingerprint_of, name_of, qualified
from serdes.registry.known_ids import KnownId

# What reading a JSON text raises that is no schema.
NOT_A_SCHEMA: Final = (
    AttributeError,
    LookupError,
    RecursionError,
    SchemaParseException,
    TypeError,
    ValueError,
)


def meaning_of(text: str, *, docs: bool = True) -> str:
    """Return what two texts share exactly where they say the same, defaults included.

    Registries give a text back with its attributes in an order of their own, or without a
    namespace that the definition around has too.

    docs: what is told to people counts too.
    """
    try:
        schema = qualified(json.loads(text))
        return digest_of(json.dumps(schema if docs else _without_docs(schema), sort_keys=True))
    except NOT_A_SCHEMA:
        return digest_of(text)


def _without_docs(part: Schema) -> Schema:
    if isinstance(part, list):
        return [_without_docs(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {name: _without_docs(value) for name, value in part.items() if name != "doc"}


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as the registry holds it.

    subjects: every subject that has it; identical text shares one id between subjects.
    text:     its JSON.
    """

    subjects: tuple[str, ...]
    text: str

    def known_as(self, schema_id: int, source: str) -> KnownId:
        """Return which schema the id has, for comparison; a text that is none has its digest."""
        try:
            name, fingerprint = schema_identity(json.loads(self.text))
        except NOT_A_SCHEMA:
            fingerprint = digest_of(self.text)
            name = f"a text of {', '.join(self.subjects)}"
        return KnownId(schema_id, name, fingerprint, source)


@dataclass(frozen=True, slots=True)
class SchemaIds:
    """The ids of the schemas that this code speaks, and where they come from.

    id_by_subject: the id of our own text under each pinned subject.
    source:        "registry", "cache <path>" or "pins <path>", for logs and `/ready`.
    """

    id_by_subject: Mapping[str, int]
    source: str = field(default="registry", compare=False)

    def by_id(self) -> dict[int, RegisteredSchema]:
        """Return our own schemas by their ids."""
        record_by_subject = subjects()
        found: dict[int, RegisteredSchema] = {}
        for subject, schema_id in self.id_by_subject.items():
            text = current().text(record_by_subject[subject])
            others = found[schema_id].subjects if schema_id in found else ()
            found[schema_id] = RegisteredSchema((*others, subject), text)
        return found

    def known(self) -> list[KnownId]:
        """Return which schema each id stands for, for a comparison with other sources."""
        return [
            KnownId(schema_id, record, current().fingerprint(record), self.source)
            for subject, schema_id in self.id_by_subject.items()
            if (record := subjects().get(subject))
        ]


def schema_identity(schema: Schema) -> tuple[str, str]:
    """Return full name and fingerprint of a registered schema; raises NOT_A_SCHEMA."""
    whole = qualified(schema)
    return name_of(whole), fingerprint_of(whole)


def counted_ids(first: int = 1) -> SchemaIds:
    """Return ids in order of registration, for tests and the topology driver: no registry."""
    return SchemaIds(
        {subject: first + index for index, subject in enumerate(subjects())}, "counted"
    )
