"""Reads what was told of the turns of events, from the beginning of waiting-turns to its end."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from time import monotonic
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.process.kafka_security import KafkaOptions
from schemas.topics import WAITING_TURNS
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import SchemaIds
from state.domain.waiting.line import Fact
from state.domain.waiting.lots import NO_OPENING, Opening
from state.kafka.refusals import Refusals
from state.records.waiting.turns import SEED, SeedTold, TurnChanged, fact_of, opening_of

log = logging.getLogger(__name__)

SILENT_S: Final = 10.0
"""A reading in which nothing arrives for so long has failed."""

GROUP: Final = "seatstream-told-turns"


class NotRead(Exception):
    """What was told of turns is not known to its end.

    Operator action: see that the brokers answer, and that pods may read waiting-turns. Where its
    records cannot be read: `seatstream waiting-room rebuild EVENT --into-living-line`.
    """


@dataclass(slots=True)
class Told:
    """What was told of one event; opening: the last of them."""

    facts: list[Fact] = field(default_factory=list)
    opening: Opening = NO_OPENING


@dataclass(frozen=True, slots=True)
class ToldTurns:
    """The topic at one cluster; each reading connects anew, and blocks."""

    brokers: str
    ids: SchemaIds
    _: KW_ONLY
    kafka: KafkaOptions = field(default_factory=dict)
    silent_s: float = SILENT_S

    def read(self, events: Collection[int]) -> Mapping[int, Told]:
        """Return what was told of each of some events; raises NotRead."""
        refusals = Refusals()
        consumer = Consumer(
            {
                "bootstrap.servers": self.brokers,
                "client.id": GROUP,
                "group.id": GROUP,
                "allow.auto.create.topics": False,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "error_cb": refusals,
                **self.kafka,
            },
            logger=log,
        )
        try:
            return self._read(consumer, events)
        except KafkaException as error:
            raise NotRead(refusals.told_with(error)) from error
        finally:
            consumer.close()

    def _read(self, consumer: Consumer, events: Collection[int]) -> Mapping[int, Told]:
        topic = WAITING_TURNS.name
        found = consumer.list_topics(topic, timeout=self.silent_s).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        parts = [
            TopicPartition(topic, number, self._begin(consumer, topic, number))
            for number in found.partitions
        ]
        told = {event: Told() for event in events}
        decoder = TopicDecoder(WAITING_TURNS, self.ids)
        consumer.assign(parts)
        left, heard_s = len(parts), monotonic()
        while left:
            message = consumer.poll(0.5)
            if message is None:
                if monotonic() - heard_s > self.silent_s:
                    raise NotRead(f"{topic} was not read to its end: nothing arrives")
                continue
            heard_s, error = monotonic(), message.error()
            if error is None:
                _take(decoder, message, told)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (the public name)
                left -= 1
            else:
                raise KafkaException(error)
        return told

    def _begin(self, consumer: Consumer, topic: str, number: int) -> int:
        where = TopicPartition(topic, number)
        low, _ = consumer.get_watermark_offsets(where, timeout=self.silent_s)
        return int(low)


def _take(decoder: TopicDecoder, message: Message, told: Mapping[int, Told]) -> None:
    """Take one record in; raises NotRead for one of these events that cannot be read."""
    event = (message.key() or b"").partition(b":")[0]
    one = told.get(int(event)) if event.isdigit() and len(event) < 20 else None
    if one is None:
        return
    verdict: Any = decoder.decode(message.value())
    if not isinstance(verdict, Decoded):
        # It may be anybody's place.
        raise NotRead(f"event {event.decode()}, offset {message.offset()}: {verdict}")
    if verdict.name == SEED:
        one.opening = opening_of(SeedTold(*verdict.fields)) or one.opening
    elif (fact := fact_of(TurnChanged(*verdict.fields))) is not None:
        one.facts.append(fact)
