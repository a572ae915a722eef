"""The lint finds each kind of schema that must not be written."""

from pathlib import Path
from typing import Any

import pytest
from support.records.schema_edits import Change, change, copied_schemas

from scripts.contracts.linting import lint
from serdes.avro.schema_files import SCHEMA_ROOT

LONG_FIELD = {"name": "n", "type": "long", "doc": "A number."}


def with_type(kind: Any) -> Change:
    return lambda schema: schema["fields"].append(LONG_FIELD | {"type": kind, "default": None})


def test_the_current_schemas_have_no_fault() -> None:
    assert lint(SCHEMA_ROOT) == []


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (with_type("double"), "a float"),
        (with_type("float"), "a float"),
        (with_type("io.seatstream.commands.Tick"), "recursive"),
        (with_type({"type": "array", "items": "null"}), "an array of null"),
        (with_type({"type": "map", "values": "long"}), "unknown type map"),
        (with_type(["null", "int", "long"]), "a union other than [null, X]"),
        (with_type(["int", "null"]), "a union other than [null, X]"),
        (with_type({"type": "long", "logicalType": "timestamp-millis"}), "a logical type"),
        (with_type("io.seatstream.types.Nothing"), "unknown type"),
        (lambda s: s.pop("doc"), "has no doc"),
        (lambda s: s["fields"][0].pop("doc"), "timerMs has no doc"),
        (lambda s: s.update(name="Tock"), "is named Tock inside"),
        (lambda s: s.update(namespace="Tick"), "not a reverse domain name"),
        (lambda s: s.update(namespace="io.seatstream.types"), "does not end in its folder's"),
        (lambda s: s["fields"].append(LONG_FIELD), "has no default"),
        (lambda s: s["fields"][0].update(minimum="0"), "of the wrong type"),
    ],
)
def test_a_schema_with_a_fault_is_named_with_it(tmp_path: Path, edit: Change, fault: str) -> None:
    root = copied_schemas(tmp_path)
    change(root, "commands/Tick.avsc", edit)
    assert any("commands/Tick.avsc" in line and fault in line for line in lint(root)), lint(root)


def test_an_enum_without_default_is_named(tmp_path: Path) -> None:
    root = copied_schemas(tmp_path)
    change(root, "types/Reason.avsc", lambda schema: schema.pop("default"))
    assert any("Reason.avsc: an enum needs a default" in line for line in lint(root))


def test_two_schemas_in_a_circle_are_named(tmp_path: Path) -> None:
    root = copied_schemas(tmp_path)
    change(root, "types/SeatRange.avsc", with_type("io.seatstream.types.SeatPosition"))
    change(root, "types/SeatPosition.avsc", with_type("io.seatstream.types.SeatRange"))
    assert any("recursive" in line for line in lint(root))


def test_a_missing_and_a_superfluous_file_are_named(tmp_path: Path) -> None:
    root = copied_schemas(tmp_path)
    (root / "commands" / "Tick.avsc").rename(root / "commands" / "Tock.avsc")
    change(root, "commands/Tock.avsc", lambda schema: schema.update(name="Tock"))
    faults = lint(root)
    assert "topics.py: io.seatstream.commands.Tick has no file" in faults
    assert "topics.py: no topic uses io.seatstream.commands.Tock" in faults


def test_a_file_that_is_no_json_is_a_fault(tmp_path: Path) -> None:
    root = copied_schemas(tmp_path)
    (root / "commands" / "Tick.avsc").write_text("{", encoding="utf-8")
    assert "not JSON" in lint(root)[0]
