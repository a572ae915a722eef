"""A route that dies of some of its records, and sets them aside as a worker does."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from serdes.decoding import Decoded, TopicDecoder
from streams.batch import Batch, DeadLetter, Effects, Record, State
from streams.route import Route


@dataclass
class Deadly:
    """Which records no handler survives for now.

    names: of records, without namespace; times: so many of them, and no more.
    met:   name and key of each record that was decided, and whether its handlers died.
    """

    names: AbstractSet[str] = field(default_factory=frozenset)
    times: int = 1_000
    met: list[tuple[str, bytes | None, bool]] = field(default_factory=list)

    def kills(self, decoder: TopicDecoder, record: Record) -> bool:
        verdict = decoder.decode(record.value, record.headers)
        name = verdict.name.rpartition(".")[2] if isinstance(verdict, Decoded) else ""
        is_killed = self.times > 0 and name in self.names
        self.times -= is_killed
        self.met.append((name, record.key, is_killed))
        return is_killed

    def killed_first(self, name: str, key: bytes) -> bool:
        """Say whether the first record of that name and key is one of those."""
        return next((died for *met, died in self.met if met == [name, key]), False)


def dying(route: Route, decoders: Mapping[str, TopicDecoder], deadly: Deadly) -> Route:
    """Return the route as it is where those records kill its workers again and again.

    decoders: by the source of a route; the others survive.
    """
    decoder, refuse = decoders.get(route.source), route.refuse
    if decoder is None:
        return route
    assert refuse is not None

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        all_of_it = Effects()
        for record in batch.records:
            alone = replace(batch, records=[record])
            if deadly.kills(decoder, record):
                effects = refuse(alone, state, record, log_time_ms)
                effects.dead_letters.append(DeadLetter(record, "QUARANTINED", ""))
            else:
                effects = route.handler(alone, state, log_time_ms)
            for topic, outgoing in effects.outgoing.items():
                all_of_it.to(topic).extend(outgoing)
            all_of_it.dead_letters.extend(effects.dead_letters)
        return all_of_it

    return replace(route, handler=handle)
