"""Which schema each id was ever given to: it must never be another one.

A record in the log names its schema by an id alone. A registry that was restored from another
backup, or filled anew in another order, may exchange the ids of two schemas; where both have the
same fields, a confirmation would be read as a release. So each answer of the registry is compared
with everything known about ids: from a former start, from the pins, from the list beside the log.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

BRING_BACK: Final = (
    "Stop this registry. Bring back the registry's own data; where they are lost for good, give "
    "an empty registry the ids that the log has: `python -m scripts.register_schemas register "
    '--listed`. See "Ids that contradict each other" in docs/operations.md.'
)
"""What an operator does about a registry that is not the one of the log."""


class SchemaIdsError(Exception):
    """The schema ids that a process needs cannot be had, or not be believed: it must not start.

    Operator action: as the text says.
    """


class ContradictoryIdsError(SchemaIdsError):
    """Two sources give one id to two schemas, or a registry has forgotten one.

    Operator action: bring back the registry's own data, as the text says.
    """


class IdLogUnavailableError(Exception):
    """The list of ids beside the log could not be read to its end, or written with certainty.

    Operator action: look at the brokers; whoever asks again later may get an answer.
    """


@dataclass(frozen=True, slots=True)
class KnownId:
    """Which schema an id stands for, according to one source.

    record:      full name of the schema.
    fingerprint: SHA-256 (hex) of its parsing canonical form; empty in files of former versions,
                 where only the name is compared.
    source:      who says so, for people.
    """

    schema_id: int
    record: str
    fingerprint: str
    source: str

    def contradicts(self, other: "KnownId") -> bool:
        """Say whether two sources cannot both be right about this id."""
        if self.record != other.record:
            return True
        known = self.fingerprint and other.fingerprint
        return bool(known) and self.fingerprint != other.fingerprint


class KnownIds:
    """What is known of each id. An id has one schema; a schema may have several ids."""

    def __init__(self) -> None:
        self._by_id: dict[int, KnownId] = {}

    def all(self) -> tuple[KnownId, ...]:
        """Return what is known, once for each id."""
        return tuple(self._by_id.values())

    def add(self, said: Iterable[KnownId]) -> None:
        """Add what a source says; raises ContradictoryIdsError, and then adds nothing."""
        self._by_id |= self.check(said)

    def check(self, said: Iterable[KnownId]) -> dict[int, KnownId]:
        """Return what `add` would add; raises ContradictoryIdsError."""
        taken: dict[int, KnownId] = {}
        for one in said:
            known = taken.get(one.schema_id) or self._by_id.get(one.schema_id)
            if known is not None and known.contradicts(one):
                raise ContradictoryIdsError(_contradiction(known, one))
            if known is None or not known.fingerprint:
                taken[one.schema_id] = one
        return taken


def _contradiction(known: KnownId, said: KnownId) -> str:
    other = "another version of it" if said.record == known.record else said.record
    return (
        f"schema id {said.schema_id} is {known.record} according to {known.source}, and {other} "
        f"according to {said.source}. The registry was restored from another backup, or filled "
        "anew in another order: records would be read as what they are not, so nothing was "
        f"started and nothing overwritten. {BRING_BACK} Only where no record was ever written "
        "with the other ids: make the registry's the valid ones with `python -m "
        "scripts.register_schemas register --pin`, and delete the schema-ids.json that says "
        "otherwise"
    )


def forgotten(known: KnownId, registry_url: str) -> ContradictoryIdsError:
    """Return what to raise where a registry has no schema of an id that records have."""
    return ContradictoryIdsError(
        f"schema id {known.schema_id} is {known.record} according to {known.source}, and the "
        f"registry {registry_url} has no such id: it is another one, or lost its data. Commands "
        f"with it would become dead letters, so nothing is done with them. {BRING_BACK}"
    )
