"""A route: one input topic, the handler that folds it, and what it may write. Plain data."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypedDict

from infra.process.environment import BadSetting
from schemas.topics import DEAD_LETTER_QUEUE, Topic
from streams.batch import Batch, Effects, Handler, Record, State
from streams.intents import INTENT, TRACE, Answer, Intent, Performer
from streams.settings import ROLES

OTHERS: Final = "other destinations"
"""Key of the performer of whatever destination has none of its own: a route may have one."""


class Progress(NamedTuple):
    """How far a partition's state has come, as the state itself tells.

    next_offset: offset of the next record to apply; 0 when nothing was applied.
    log_time_ms: highest append time applied, Unix ms.
    """

    next_offset: int
    log_time_ms: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A record that the owner of a partition sends itself, so that log time moves.

    record: clock in Unix ms -> (key, value); 0 for a tick that only asks what time it is.
    """

    record: Callable[[int], tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Retold:
    """A compacted output whose last records the state still has: they can be written anew.

    topics: the output; two of them while readers go from one to the other.
    prefix: of those keys of the state to which a record of the topics belongs.
    tell:   state and some of these keys -> (key, value) of their records, as they stand now.
    """

    topics: tuple[str, ...]
    prefix: bytes
    tell: Callable[[State, Sequence[bytes]], list[tuple[bytes | None, bytes]]]


class Written(TypedDict):
    """Where a role writes to: names of topics, as `Route` and `work_route` ask for them."""

    to: tuple[str, ...]
    changelog: str
    dead_letters: str


class RoleTopics(NamedTuple):
    """The topics of one role: a line of the topology's table. Fields as those of `Route`."""

    role: str
    source: str
    to: tuple[str, ...]
    changelog: str
    dead_letters: str
    by_key: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        role: str,
        source: Topic,
        *,
        to: tuple[Topic, ...],
        changelog: Topic,
        dead_letters: Topic = DEAD_LETTER_QUEUE,
        by_key: tuple[Topic, ...] = (),
    ) -> RoleTopics:
        """Return the names of these topics."""
        names, keyed = (tuple(topic.name for topic in topics) for topics in (to, by_key))
        return cls(role, source.name, names, changelog.name, dead_letters.name, keyed)

    def writing(self, name: str, others: tuple[str, ...]) -> RoleTopics:
        """Return the same, with others in place of a topic that is written to."""
        to = (others if one == name else (one,) for one in self.to)
        return self._replace(to=tuple(itertools.chain.from_iterable(to)))

    def through(self, handler: Handler) -> tuple[str, str, Handler, tuple[str, ...], str, str]:
        """Return the first arguments of the role's `Route`, with its handler."""
        return self.role, self.source, handler, self.to, self.changelog, self.dead_letters

    def written(self) -> Written:
        """Return where the role writes to, for the `work_route` of its work."""
        return Written(to=self.to, changelog=self.changelog, dead_letters=self.dead_letters)


@dataclass(frozen=True, slots=True)
class Route:
    """One input topic and its handler.

    to:        topics that the handler may publish to.
    by_key:    those of them whose records go to the partition of their key, and not to the one
               that the batch came from; they have as many partitions as the source.
               What is retold may have another number: its records go by their key then.
    changelog: topic that mirrors the state; same number of partitions as the source.
    progress:  reads from the state how far it has come; None when the handler does not keep it.
    retold:    what to write anew where an output lost it, and after a takeover; None for nothing.
    refuse:    what to publish for a record that killed the worker again and again, beside its
               dead letter; None for nothing. Moves the progress, if there is one, over the record.
    isolate:   has a record that killed the worker again and again decided with nothing else due at
               it, by what it puts into the state; False where nothing else was. The record gets
               as many tries more; `refuse` follows then. None where nothing is due at records.
    counts:    how many things of a kind the state has, by a word; shown as a metric.
    contradiction: what in a partition's whole state cannot be, of (every key with its payload by
               ascending key, partition, partitions); empty for nothing. Asked when deciding
               failed; None where nobody can tell.
    owns:      whether a partition's store may have a key: (store key, partition, partitions); None
               where keys do not tell.
    performers: by destination; with one for `OTHERS`, intents may be for any.
    project: makes what a batch projects (`Effects.projected`) durable outside Kafka, before the
             offsets of the batch are committed; whatever of it is there already changes nothing.
             Returns for each what is wrong with it, empty for nothing: such a record becomes a
             dead letter. Raises what sets the partition aside. Ended by `close`.
    turn:    says of a partition whether this process may look now at what is due there; False
             while another one does, None where nobody tells. Asked before a tick, never raises,
             takes half a second at most. None where nobody else is asked. Ended by `close`.
    """

    role: str
    source: str
    handler: Handler
    to: tuple[str, ...]
    changelog: str
    dead_letters: str
    progress: Callable[[State], Progress] | None = None
    tick: Tick | None = None
    retold: Retold | None = None
    refuse: Callable[[Batch, State, Record, int], Effects] | None = None
    isolate: Callable[[Batch, State, Record, int], bool] | None = None
    counts: Callable[[State], Mapping[str, int]] | None = None
    owns: Callable[[bytes, int, int], bool] | None = None
    contradiction: Callable[[Iterable[tuple[bytes, bytes]], int, int], str] | None = None
    by_key: tuple[str, ...] = ()
    performers: Mapping[str, Performer] = field(default_factory=dict)
    answer: Callable[[Intent, Answer], tuple[bytes | None, bytes]] | None = None
    close: Callable[[], Awaitable[None]] | None = None
    project: Callable[[Sequence[Any]], Awaitable[Sequence[str]]] | None = None
    turn: Callable[[int], Awaitable[bool | None]] | None = None

    def __post_init__(self) -> None:
        if self.progress is not None and self.refuse is None:
            message = f"{self.source}: a route with progress needs `refuse`, which moves it too"
            raise ValueError(message)
        if self.performers and self.answer is None:
            message = f"{self.source}: a route with performers needs `answer`, which tells of them"
            raise ValueError(message)
        if not set(self.by_key) <= set(self.to):
            message = f"{self.source}: what goes by key is published: {self.by_key}"
            raise ValueError(message)

    @property
    def retold_topics(self) -> tuple[str, ...]:
        """Return the outputs that are told again from the state."""
        return () if self.retold is None else self.retold.topics

    @property
    def may_store(self) -> Callable[[bytes, int, int], bool] | None:
        """Like `owns`, for a store in which open intents lie too where there are performers."""
        owns = self.owns
        if owns is None or not self.performers:
            return owns
        return lambda key, *place: key.startswith((INTENT, TRACE)) or owns(key, *place)

    def called_as(self, destination: str) -> str:
        """Return the key in `performers` of whoever performs a destination, if anybody does."""
        is_other = destination not in self.performers and OTHERS in self.performers
        return OTHERS if is_other else destination

    def check_intents(self, intents: Iterable[tuple[str, Intent | None]]) -> None:
        """Raise ValueError where one is for a destination that nobody here performs."""
        for intent_id, intent in intents:
            if intent is not None and self.called_as(intent.destination) not in self.performers:
                message = (
                    f"{self.source}: intent {intent_id} is for {intent.destination!r}, which is "
                    f"none of its performers: {', '.join(sorted(self.performers)) or 'none'}"
                )
                raise ValueError(message)


def played(routes: Sequence[Route], roles: Sequence[str]) -> list[Route]:
    """Return the routes of these roles, of no roles all; raises BadSetting for an unknown role."""
    known = {route.role for route in routes}
    for role in roles:
        if role not in known:
            message = f"{ROLES}: unknown role {role!r}; known: {', '.join(sorted(known))}"
            raise BadSetting(message)
    return [route for route in routes if not roles or route.role in roles]
