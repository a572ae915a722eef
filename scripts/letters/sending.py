"""Sends dead letters back: the record and its mark in one transaction, each at most once.

The producer has one transactional id. Whoever starts it fences whoever had it before, so that
nobody else can send from then on; what was sent until then is read after that, to the end.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from confluent_kafka import KafkaException, Producer

from schemas.topics import DEAD_LETTER_QUEUE, TOPICS
from scripts.auditing.topics import partition_count, reading
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import read_spans, spans_of
from scripts.letters.letter import Foreign, Letter, Mark, Sent, mark_of, read_letter, sent_back
from scripts.letters.plan import Standing, Step, batches, pause_s
from scripts.program.progress import progress
from state.kafka.refusals import Refusals

ANSWER_S = 30.0
BATCH = 100
"""Most records of one transaction: what is sent again where one is stopped half-way is none."""


class NotSent(Exception):
    """Nothing of the transaction under way was sent; the message says why.

    Operator action: mend what it names and run the same command again: it sends the rest.
    """


class Letters(NamedTuple):
    """What lies in the topic: letters, ids of what was sent back, and records of strangers."""

    letters: list[Letter]
    sent: set[str]
    foreign: list[Foreign]


class Words(NamedTuple):
    """What the mark of each record says of who sends, and why."""

    who: str
    why: str


def read_letters(where: Servers, keeps: Callable[[Letter], bool]) -> Letters:
    """Read the topic of dead letters to its end; raises CannotRead.

    keeps: says whose values are kept; those of all others would fill the memory.
    """
    found = Letters([], set(), [])
    spans = spans_of(where, DEAD_LETTER_QUEUE)
    with reading(where) as consumer:
        for partition, record in read_spans(consumer, DEAD_LETTER_QUEUE, spans):
            match read_letter(partition, record):
                case Mark(origin_id):
                    found.sent.add(origin_id)
                case Letter() as letter:
                    kept = letter if keeps(letter) else replace(letter, value=None)
                    found.letters.append(kept)
                case Foreign() as foreign:
                    found.foreign.append(foreign)
    return found


def partitions_of(where: Servers, names: set[str]) -> dict[str, int]:
    """Return how many partitions topics have; raises CannotRead where one is not there."""
    with reading(where) as consumer:
        return {
            topic.name: partition_count(consumer, topic) for topic in TOPICS if topic.name in names
        }


@contextmanager
def sender(where: Servers, transactional_id: str) -> Iterator[Producer]:
    """Give a producer that nobody else has; raises NotSent."""
    refusals = Refusals()
    producer = Producer(
        {
            "bootstrap.servers": where.brokers,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": 60_000,
            # What is too large is the topic's to say.
            "message.max.bytes": 4 << 20,
            "log_level": 0,
            "error_cb": refusals,
            **where.kafka,
        }
    )
    try:
        producer.init_transactions(ANSWER_S)
        yield producer
    except KafkaException as error:
        producer.poll(0)
        why = refusals.told_with(error.args[0].str())
        raise NotSent(f"{where.brokers}: {why}") from error


def send(
    producer: Producer,
    steps: Sequence[Step],
    partitions: Mapping[str, int],
    words: Words,
    *,
    rate: float = 0.0,
    values: Mapping[str, bytes | None] | None = None,
) -> int:
    """Send all that a plan sends; return how many records that were.

    rate:   most records a second; 0 for as fast as it goes.
    values: by original's id, what is sent in place of its value.
    """
    sent, started = 0, time.monotonic()
    size = min(BATCH, max(1, int(rate))) if rate > 0 else BATCH
    wanted = sum(step.standing is Standing.SEND for step in steps)
    with progress("sent back") as told:
        for part in batches(steps, size):
            time.sleep(pause_s(sent, rate, time.monotonic() - started))
            _send_part(producer, part, partitions, words, values or {})
            sent += len(part)
            told(sent, wanted)
    return sent


def _send_part(
    producer: Producer,
    part: Sequence[Step],
    partitions: Mapping[str, int],
    words: Words,
    values: Mapping[str, bytes | None],
) -> None:
    now_ms = time.time_ns() // 1_000_000
    records = []
    for step in part:
        letter = step.letter
        value = values.get(letter.origin.id, letter.value)
        record = sent_back(letter, partitions[letter.origin.topic], value)
        mark = mark_of(letter, record, words.who, words.why, now_ms)
        records += [
            record,
            Sent(DEAD_LETTER_QUEUE.name, letter.partition, letter.key, None, mark),
        ]
    send_as_one(producer, records)


def send_as_one(producer: Producer, records: Iterable[Sent]) -> None:
    """Send records in one transaction: all of them or none."""
    producer.begin_transaction()
    try:
        for record in records:
            _produce(producer, record)
        _commit(producer)
    except BaseException:
        # Ctrl-C too: what is half done is undone, and what was done stays.
        _abort(producer)
        raise


def _produce(producer: Producer, record: Sent) -> None:
    try:
        producer.produce(
            record.topic,
            record.value,
            record.key,
            record.partition,
            headers=list(record.headers),
        )
    except BufferError as error:
        raise NotSent(f"the producer's queue is full: {error}") from error
    producer.poll(0)


def _commit(producer: Producer) -> None:
    """Commit, asking again while the brokers say that it may yet become something."""
    until = time.monotonic() + ANSWER_S
    while True:
        try:
            producer.commit_transaction(ANSWER_S)
        except KafkaException as error:
            if error.args[0].retriable() and time.monotonic() < until:
                continue
            raise
        return


def _abort(producer: Producer) -> None:
    try:
        producer.abort_transaction(ANSWER_S)
    except KafkaException:
        # Fenced, or unanswered: its coordinator aborts it, or the next one who starts does.
        return
