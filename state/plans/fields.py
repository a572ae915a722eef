"""Reads fields of a JSON document, and says where one is missing or of another type."""

import math
import unicodedata
from typing import Any, TypeVar

from state.plans.seating import PlanFault, shown

Json = dict[str, Any]
T = TypeVar("T")

TEXT_BYTES_MAX = 200

WORD_BY_TYPE = {str: "a text", list: "a list", dict: "an object", int: "a whole number"}


def required(document: Json, key: str, path: str) -> Any:
    """Return a field's value."""
    if key not in document:
        raise PlanFault(path, f"field {key!r} is missing", f"Add {key!r} there")
    return document[key]


def text(document: Json, key: str, path: str) -> str:
    """Return a field that must be a text."""
    place = f"{path}.{key}" if path else key
    return checked(typed(required(document, key, path), str, place), place)


def optional_text(document: Json, key: str, path: str) -> str:
    """Return a field that is a text, or absent, or null; the last two give the empty text."""
    if document.get(key) is None:
        return ""
    return text(document, key, path)


def checked(value: str, path: str) -> str:
    """Return the text, or refuse one that no ticket, log line or record can carry."""
    if value.isascii() and value.isprintable() and len(value) <= TEXT_BYTES_MAX:
        return value
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise PlanFault(path, "control character or half a character in a text", "Remove it")
    if len(value.encode()) > TEXT_BYTES_MAX:
        fault = f"a text has at most {TEXT_BYTES_MAX} bytes, this one has {len(value.encode())}"
        raise PlanFault(path, fault, "Shorten it")
    return value


def objects(document: Json, key: str, path: str) -> list[tuple[str, Json]]:
    """Return the objects of a list field, each with its path."""
    place = f"{path}.{key}" if path else key
    items = typed(required(document, key, path), list, place)
    return [
        (f"{place}[{index}]", typed(item, dict, f"{place}[{index}]"))
        for index, item in enumerate(items)
    ]


def position(document: Json, path: str) -> tuple[float, float]:
    """Return the `position` field as (x, y)."""
    place = f"{path}.position"
    point = typed(required(document, "position", path), dict, place)
    return coordinate(point, "x", place), coordinate(point, "y", place)


def coordinate(point: Json, key: str, path: str) -> float:
    """Return a finite number of the plan's plane."""
    value = required(point, key, path)
    # A bool is an int to Python, and 10**400 is one that no float holds.
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not -1e9 <= value <= 1e9 or not math.isfinite(value):
        raise PlanFault(
            f"{path}.{key}",
            f"{shown(value)} is not a coordinate",
            "Write a number between -1e9 and 1e9",
        )
    return float(value)


def typed(value: object, kind: type[T], path: str) -> T:
    """Return the value when it is of this JSON type."""
    if not isinstance(value, kind) or isinstance(value, bool):
        word = WORD_BY_TYPE[kind]
        raise PlanFault(path, f"{shown(value)} is not {word}", f"Write {word} there")
    return value
