"""Dead letters and plans as lines, and as what JSON can hold."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from scripts.auditing.schemas import Unreadable
from scripts.command_line import printable
from scripts.letters.decoding import SchemaText, decode, hexdump
from scripts.letters.letter import Letter, text
from scripts.letters.plan import Standing, Step
from scripts.letters.wanted import as_time

CAUSES_SHOWN = 20


def line_of(letter: Letter, *, was_sent: bool) -> str:
    """Return one line: place, time, cause, origin, key, message."""
    origin = letter.origin
    parts = [
        f"{letter.place:>10}",
        as_time(origin.timestamp),
        f"{letter.cause:<16}",
        f"{origin.topic}-{origin.partition}:{origin.offset}",
        text(letter.key) or "-",
        ("sent back; " if was_sent else "") + letter.message[:120],
    ]
    return printable("  ".join(parts)).rstrip()


def as_json(letter: Letter, *, was_sent: bool) -> dict[str, Any]:
    """Return the same for machines."""
    return {
        "place": letter.place,
        "id": letter.origin.id,
        "topic": letter.origin.topic,
        "partition": letter.origin.partition,
        "offset": letter.origin.offset,
        "timestamp": letter.origin.timestamp,
        "cause": letter.cause,
        "message": letter.message,
        "key": text(letter.key),
        "correlation_id": letter.told.get("correlation-id", ""),
        "sent_back": was_sent,
        "unsendable": letter.unsendable,
    }


def counts(letters: Iterable[Letter]) -> Iterator[str]:
    """Yield how many letters each cause and topic have, the most first."""
    by_kind = Counter((letter.cause, letter.origin.topic) for letter in letters)
    for (cause, topic), count in by_kind.most_common(CAUSES_SHOWN):
        yield printable(f"{count:>8}  {cause}  {topic}")


def shown(letter: Letter, schema_text: SchemaText, *, was_sent: bool) -> Iterator[str]:
    """Yield all that is known of a letter, line by line."""
    return map(printable, _known_of(letter, schema_text, was_sent=was_sent))


def _known_of(letter: Letter, schema_text: SchemaText, *, was_sent: bool) -> Iterator[str]:
    yield line_of(letter, was_sent=was_sent)
    yield from (f"{name}: {said}" for name, said in letter.told.items())
    yield f"key: {text(letter.key) if letter.key is not None else 'none'}"
    yield from (f"header {name}: {text(content)}" for name, content in letter.headers)
    if letter.unsendable:
        yield f"cannot be sent back: {letter.unsendable}"
    try:
        decoded = decode(letter.value, schema_text)
    except Unreadable as error:
        yield f"value: {len(letter.value or b'')} bytes, {error}"
        yield from hexdump(letter.value or b"")
        return
    yield f"value: {decoded.name}, as it was written"
    yield from fields_as_text(decoded.fields)


def fields_as_text(fields: dict[str, Any]) -> Iterator[str]:
    """Yield the fields of a record as indented JSON; bytes in hexadecimal."""
    # Without escapes a stranger's text could steer the terminal.
    yield from json.dumps(fields, indent=2, default=_in_hex).splitlines()


def _in_hex(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def plan_as_text(steps: Sequence[Step]) -> Iterator[str]:
    """Yield a line for each step, and the sums."""
    for step in steps:
        why = f"  ({step.why})" if step.why else ""
        yield f"{step.standing:<10} {line_of(step.letter, was_sent=False)}{printable(why)}"
    yield sums_as_text(steps)


def sums(steps: Sequence[Step]) -> dict[str, int]:
    """Return how many letters stand how."""
    found = Counter(step.standing for step in steps)
    return {standing.value: found[standing] for standing in Standing}


def sums_as_text(steps: Sequence[Step]) -> str:
    """Return the sums in words."""
    found = sums(steps)
    return (
        f"{found['send']} to send, {found['sent']} sent before, {found['unsendable']} that cannot"
        f" be sent, {found['behind']} behind others of their key"
    )
