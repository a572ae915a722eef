"""A dead letter's value made anew: by the present schema, or by an operator's own function."""

import runpy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from schemas.topics import PAYMENT_COMPLETED, TOPICS, subject
from scripts.auditing.schemas import Avro, Unreadable, names_of
from scripts.letters.decoding import SchemaText, decode
from scripts.letters.letter import Letter
from serdes.wire import header_of

Fields = dict[str, Any]
Change = Callable[[Fields], Fields | None]

FUNCTION = "transform"


class NoFunction(Exception):
    """The file has no function `transform`, or cannot be run.

    Operator action: mend the file; nothing was sent.
    """


def unchanged(fields: Fields) -> Fields:
    """Change nothing: the record is only written by the present schema."""
    return fields


def change_in(file: Path) -> Change:
    """Return the function `transform` of a Python file, which runs; raises NoFunction."""
    try:
        found = runpy.run_path(str(file)).get(FUNCTION)
    except Exception as error:
        raise NoFunction(f"{file}: {error!r}") from error
    if not callable(found):
        raise NoFunction(f"{file} has no function {FUNCTION}(fields)")
    change: Change = found
    return change


def rewritten(
    letter: Letter,
    schema_text: SchemaText,
    avro: Avro,
    id_by_subject: Mapping[str, int],
    change: Change,
) -> bytes:
    """Return the value that is sent for a letter; raises Unreadable where workers would refuse it.

    change: is given the fields as they were written; None leaves the letter where it is.
    """
    topic = next((one for one in TOPICS if one.name == letter.origin.topic), None)
    if topic is None:
        raise Unreadable(f"no topic of ours: {letter.origin.topic[:80]}")
    if topic is PAYMENT_COMPLETED:
        raise Unreadable("its shop has signed these bytes: send it as it is, or have it sent anew")
    name, fields = decode(letter.value, schema_text)
    name = name.rpartition(".")[2]
    if name not in names_of(topic):
        raise Unreadable(f"a {name[:80]}, which is no record of {topic.name}")
    try:
        changed = change(fields)
    except Exception as error:  # noqa: BLE001 (an operator's own function)
        raise Unreadable(f"{FUNCTION}: {error!r}") from None
    if changed is None:
        raise Unreadable(f"{FUNCTION} leaves it out")
    try:
        body = avro.encode(name, changed)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Unreadable(f"what it became is no {name}: {error!r:.200}") from None
    avro.decode(name, body)
    full_name = next(one for one in topic.records if one.rpartition(".")[2] == name)
    return header_of(id_by_subject[subject(topic, full_name)]) + body


def with_values(
    letters: list[Letter], made_anew: Callable[[Letter], bytes], wanted: Callable[[Letter], bool]
) -> tuple[list[Letter], dict[str, bytes]]:
    """Return the letters, and by original's id the values of those that are asked for.

    One that cannot be made anew says so, and cannot be sent.
    """
    values: dict[str, bytes] = {}
    found = []
    for letter in letters:
        marked = letter
        if wanted(letter) and not letter.unsendable:
            try:
                values[letter.origin.id] = made_anew(letter)
            except Unreadable as error:
                marked = replace(letter, cut=f"it cannot be made anew: {error}")
        found.append(marked)
    return found, values
