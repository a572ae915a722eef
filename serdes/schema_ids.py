"""Which schema an id stands for: what the registry said at start, and what it says later."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.topics import subjects
from serdes.schema_files import current


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as the registry holds it.

    subjects: every subject that has it; identical text shares one id between subjects.
    text:     its JSON.
    """

    subjects: tuple[str, ...]
    text: str


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


def counted_ids(first: int = 1) -> SchemaIds:
    """Return ids in order of registration, for tests and the topology driver: no registry."""
    return SchemaIds(
        {subject: first + index for index, subject in enumerate(subjects())}, "counted"
    )
