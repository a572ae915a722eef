"""A counting topology with handles for faults: values ask the handler to fail in chosen ways.

    faust -A integration.counting worker

COUNTING_PREFIX prefixes its topics. Values that mean something:

    b"raise"            the handler raises
    b"dead"             a dead letter
    b"schema N"         UnknownSchema(N), until the registry was asked; b"newer": NewerProducer
    b"large N"          an outcome of N bytes

COUNTING_REGISTRY names a file that plays the registry: the schema ids it knows, one a line.
"""

import ctypes
import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from streams.batch import Batch, DeadLetter, Effects, NewerProducer, Record, State, UnknownSchema
from streams.route import Progress, Route
from streams.runtime.app import BatchApp
from streams.settings import Settings

PROGRESS_KEY = b"p"
KEY_TAG = b"k"


class Topics:
    """The names of one counting topology's topics."""

    def __init__(self, prefix: str) -> None:
        self.words = prefix + "words"
        self.counts = prefix + "counts"
        self.changelog = prefix + "changelog"
        self.dead = prefix + "dead"


def read_progress(state: State) -> Progress:
    stored = state.get(PROGRESS_KEY)
    if stored is None:
        return Progress(0, 0)
    next_offset, log_time_ms = stored.split()
    return Progress(int(next_offset), int(log_time_ms))


def route(topics: Topics) -> Route:
    def count(batch: Batch, state: State, log_time_ms: int) -> Effects:
        _ask_for_unknown(batch)
        effects = Effects()
        applied_to, _ = read_progress(state)
        for record in batch.records:
            if record.offset < applied_to:
                continue
            value = record.value or b""
            if value == b"raise":
                raise ValueError(f"poison at {record.offset}")
            if value == b"segfault":
                ctypes.string_at(0)
            if value == b"kill":
                # What the kernel does to whoever takes too much memory.
                os.kill(os.getpid(), signal.SIGKILL)
            if value == b"hog":
                bytearray(1 << 60)
            if value == b"dead":
                effects.dead_letters.append(DeadLetter(record, "UNREADABLE", "asked for"))
                continue
            if value.startswith(b"schema ") and int(value[7:]) in batch.unknown_schemas:
                effects.dead_letters.append(DeadLetter(record, "UNKNOWN_SCHEMA", "asked for"))
                continue
            store_key = KEY_TAG + (record.key or b"")
            total = int(state.get(store_key) or 0) + 1
            state.put(store_key, b"%d" % total)
            told = b"%d %d" % (record.offset, total)
            if value.startswith(b"large "):
                told += b" " * int(value[6:])
            effects.to(topics.counts).append((record.key, told))
            effects.decisions["counted"] = effects.decisions.get("counted", 0) + 1
        _note_progress(batch.records, state, log_time_ms)
        return effects

    return Route(
        "counting",
        topics.words,
        count,
        (topics.counts,),
        topics.changelog,
        topics.dead,
        progress=read_progress,
        refuse=_refuse,
        owns=_owns,
        contradiction=_contradiction,
    )


def _contradiction(items: Iterable[tuple[bytes, bytes]], partition: int, partitions: int) -> str:
    """Every total must be a number."""
    wrong = [key for key, payload in items if key != PROGRESS_KEY and not payload.isdigit()]
    return f"{wrong[0]!r} is no number" if wrong else ""


def _owns(store_key: bytes, partition: int, partitions: int) -> bool:
    return store_key == PROGRESS_KEY or store_key.startswith(KEY_TAG + b"%d-" % partition)


def _refuse(batch: Batch, state: State, record: Record, log_time_ms: int) -> Effects:
    _note_progress([record], state, log_time_ms)
    return Effects()


def _note_progress(records: Sequence[Record], state: State, log_time_ms: int) -> None:
    applied_to, _ = read_progress(state)
    next_offset = max(applied_to, records[-1].offset + 1)
    log_time_ms = max(log_time_ms, *(record.timestamp for record in records))
    state.put(PROGRESS_KEY, b"%d %d" % (next_offset, log_time_ms))


def _ask_for_unknown(batch: Batch) -> None:
    known = _registry()
    for record in batch.records:
        if record.value == b"newer":
            raise NewerProducer("a record type that newer code knows")
        if record.value is not None and record.value.startswith(b"schema "):
            schema_id = int(record.value[7:])
            if schema_id not in known and schema_id not in batch.unknown_schemas:
                raise UnknownSchema(schema_id)


def _registry() -> set[int]:
    path = os.environ.get("COUNTING_REGISTRY", "")
    return {int(line) for line in Path(path).read_text().split()} if path else set()


def __getattr__(name: str) -> BatchApp:
    if name != "app":
        raise AttributeError(name)
    topics = Topics(os.environ["COUNTING_PREFIX"])
    return BatchApp(
        Settings.from_env(os.environ),
        [route(topics)],
        ask_registry=lambda schema_id: schema_id in _registry(),
        log_append_time=False,
    )
