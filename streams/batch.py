"""The words that handlers and the runtime share: batches of records in, effects out.

A handler is a pure function of (batch, state, log time): it reads no clock, calls nothing
outside and returns what is to be published. The runtime puts what it returns, the changed keys
of its state and the input offsets into one Kafka transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from infra.process.record_ids import Headers


class Record(Protocol):
    """One Kafka record as the consumer hands it over."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Append time, Unix ms."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in offset order.

    partitions:      number of partitions of the topic.
    unknown_schemas: schema ids that the registry was asked for and does not know: records that
                     carry them are dead letters.
    """

    topic: str
    partition: int
    partitions: int
    records: Sequence[Record]
    unknown_schemas: frozenset[int] = frozenset()


class State(Protocol):
    """Keyed state of one partition, with a due time for each key.

    What is put is seen at once, and becomes durable with the batch's transaction.
    """

    cache: dict[Any, Any]
    """Decoded working forms; lives and ends with the partition's ownership."""

    next_due_ms: int
    """No key is due before this, Unix ms; a time that never comes when none is due at all."""

    def get(self, key: bytes) -> bytes | None: ...

    def get_many(self, keys: list[bytes]) -> list[bytes | None]: ...

    def keys(self, prefix: bytes) -> list[bytes]:
        """Return the keys that begin with `prefix`, in order."""

    def put(self, key: bytes, value: bytes, due_ms: int = 0) -> None:
        """Store a value; `due_ms` > 0 makes `due` name the key from then on, until put again."""

    def delete(self, key: bytes) -> None: ...

    def due(self, horizon_ms: int, limit: int = ...) -> list[tuple[int, bytes]]:
        """Return (due_ms, key) of the first `limit` keys due up to the horizon, in that order."""


class Outgoing(NamedTuple):
    """A record to publish, to the partition of its batch, or of its key (`Route.by_key`)."""

    key: bytes | None
    value: bytes
    headers: Headers = ()


Told = tuple[bytes | None, bytes] | tuple[bytes | None, bytes, Headers] | Outgoing
"""A record to publish: (key, value), (key, value, headers), or the latter by name."""


@dataclass(frozen=True, slots=True)
class Failures:
    """How the attempts at an event failed; a dead letter tells it.

    operation: what was to be done, in a word: the role that tried.
    event_id, correlation_id: what the event is known by.
    first_ms, last_ms: when the first and the last attempt failed, Unix ms by the log's time.
    first: why the first failed; why the last did is the letter's `detail`.
    """

    operation: str
    event_id: str
    correlation_id: str
    first_ms: int
    first: str
    last_ms: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be read, or must not be applied.

    reason:   short and stable, for counting; detail: for the person who looks.
    attempts: how often it was tried.
    failures: how, where it was tried at different times.
    is_strangers: somebody else's doing, whom we cannot roll back: the limits count ours alone.
    """

    record: Record
    reason: str
    detail: str
    attempts: int = 1
    failures: Failures | None = None
    is_strangers: bool = False


@dataclass(slots=True)
class Effects:
    """What a handler wants published, in order for each topic.

    given_up:  what failed too often and matters too little for a dead letter: only logged.
    projected: records with what they say to whoever `Route.project` writes for.
    decisions: outcomes by reason, for the metrics.
    is_innocent: by `Route.refuse` alone: the record is no dead letter, for another was to blame.
    """

    outgoing: dict[str, list[Told]] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    given_up: list[DeadLetter] = field(default_factory=list)
    projected: list[tuple[Record, Any]] = field(default_factory=list)
    decisions: dict[str, int] = field(default_factory=dict)
    is_innocent: bool = False

    def to(self, topic: str) -> list[Told]:
        """Return the list of a topic's records, to append (key, value) pairs or `Outgoing` to."""
        return self.outgoing.setdefault(topic, [])


class UnknownSchema(Exception):
    """A record carries a schema id that the decoder does not know.

    Raised before anything of the batch is decided. The runtime sets the partition aside, asks
    the registry and hands the batch over again. others: further ids of the batch, to be asked for
    at the same time.
    """

    def __init__(self, schema_id: int, others: Iterable[int] = ()) -> None:
        ids = frozenset((schema_id, *others))
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        super().__init__(f"schema id {schema_id}{more}")
        self.schema_ids = ids


class NewerProducer(Exception):
    """A record is of a type that only newer code knows: producers were rolled out first.

    Operator action: roll the workers out, or the producers back; nothing was skipped.
    """


Handler = Callable[[Batch, State, int], Effects]
"""`handler(batch, state, log_time_ms)`: log_time_ms is the log time before the batch."""
