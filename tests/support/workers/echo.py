"""A route whose handler publishes what it reads, and does as it is told by some values."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.batch import Batch, DeadLetter, Effects, NewerProducer, State, UnknownSchema
from streams.route import Route

SOURCE, OUT, CHANGELOG, DEAD = "in", "out", "changelog", "dead"

BAD = b"bad"
"""Becomes a dead letter."""
BOOM = b"boom"
"""The handler fails over it, after it has changed the state."""
NEWER = b"newer"
"""Only newer code knows it."""
SAID = b"said "
"""Begins a value that goes to a database, and is published nowhere."""
NAMED = b"schema "
"""Begins a value that needs the schema id behind it."""


@dataclass(frozen=True, slots=True)
class FakeRecord:
    offset: int
    timestamp: int = 1_000
    key: bytes | None = b"k"
    value: bytes | None = b"value"
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Echo:
    """Publishes each value and stores the last one.

    known:        schema ids that it can read.
    contradicts:  what it says of its state when it is asked; empty for a sound one.
    written:      what a database was told; database_trouble: why it takes nothing.
    """

    known: set[int] = field(default_factory=set)
    contradicts: str = ""
    written: list[bytes] = field(default_factory=list)
    database_trouble: str = ""

    def __call__(self, batch: Batch, state: State, _log_time_ms: int) -> Effects:
        effects = Effects()
        for record in batch.records:
            value = record.value or b""
            if value.startswith(NAMED):
                needed = int(value.removeprefix(NAMED))
                if needed not in self.known | batch.unknown_schemas:
                    raise UnknownSchema(needed)
            if value == NEWER:
                raise NewerProducer("a type of tomorrow")
            if value == BAD:
                effects.dead_letters.append(DeadLetter(record, "BAD", "told so"))
                continue
            if value.startswith(SAID):
                effects.projected.append((record, value))
                continue
            effects.to(OUT).append((record.key, value))
            effects.decisions["ECHOED"] = effects.decisions.get("ECHOED", 0) + 1
            state.put(b"last", value)
            if value == BOOM:
                raise ZeroDivisionError("told so")
        return effects

    def route(self) -> Route:
        return Route(
            "echo",
            SOURCE,
            self,
            (OUT,),
            CHANGELOG,
            DEAD,
            contradiction=lambda _items, _partition, _partitions: self.contradicts,
            project=self._write,
        )

    async def _write(self, values: Sequence[bytes]) -> list[str]:
        if self.database_trouble:
            raise ConnectionError(self.database_trouble)
        self.written += values
        return ["is wrong" if value == SAID + BAD else "" for value in values]


def echoed(first: int, *values: bytes) -> list[FakeRecord]:
    """Return records of these values, from an offset on."""
    return [FakeRecord(first + at, value=value) for at, value in enumerate(values)]
