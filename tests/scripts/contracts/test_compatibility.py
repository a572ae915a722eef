"""The offline gate: every release and the current schemas read each other."""

import shutil
from pathlib import Path

import pytest
from support.records.schema_edits import Change, change, copied_schemas

from scripts.contracts.compatibility import incompatibilities
from scripts.contracts.registering import release
from scripts.register_schemas import main
from serdes.avro.schema_files import SCHEMA_ROOT, release_paths

HOLD = "commands/HoldBestAvailable.avsc"
REASON = "types/Reason.avsc"
OPTIONAL = {"name": "n", "type": ["null", "long"], "default": None, "doc": "A number."}
REQUIRED = {"name": "n", "type": "long", "doc": "A number."}


def test_the_current_schemas_and_every_release_read_each_other() -> None:
    assert incompatibilities(SCHEMA_ROOT) == []
    assert main(["check"]) == 0


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        (HOLD, lambda schema: schema["fields"].append(OPTIONAL)),
        (HOLD, lambda schema: schema["fields"].insert(0, OPTIONAL)),
        (HOLD, lambda schema: schema.update(doc="Other words.")),
        ("commands/OpenSection.avsc", lambda schema: schema["fields"].pop()),
        (REASON, lambda schema: schema["symbols"].append("TOO_EARLY")),
    ],
    ids=["optional field", "optional field first", "doc", "optional field gone", "symbol"],
)
def test_a_compatible_change_passes(tmp_path: Path, name: str, edit: Change) -> None:
    root = copied_schemas(tmp_path)
    change(root, name, edit)
    assert incompatibilities(root) == []


@pytest.mark.parametrize(
    ("name", "edit", "direction"),
    [
        (HOLD, lambda schema: schema["fields"].append(REQUIRED), "cannot read the released"),
        (HOLD, lambda schema: schema["fields"].pop(), "cannot be read by it"),
        (HOLD, lambda schema: schema["fields"][1].update(type="int"), "cannot read the released"),
        (HOLD, lambda schema: schema["fields"][1].update(name="count"), "cannot be read by it"),
        ("commands/Tick.avsc", lambda schema: schema.update(name="Tock"), "is gone"),
        (
            "commands/ExtendHold.avsc",
            lambda schema: schema["fields"][1].update(type="long"),
            "cannot be read by it",
        ),
        (
            "types/Reason.avsc",
            lambda schema: (schema["symbols"].append("X"), schema.pop("default")),
            "cannot be read by it",
        ),
    ],
    ids=["required", "gone", "narrower", "renamed", "record", "wider", "symbol, no default"],
)
def test_an_incompatible_change_is_named(
    tmp_path: Path, name: str, edit: Change, direction: str
) -> None:
    root = copied_schemas(tmp_path)
    change(root, name, edit)
    if name == REASON:
        # Neither version may have the default: the released one reads by its own.
        change(root / "history" / "v1", name, lambda schema: schema.pop("default"))
    assert any(direction in line for line in incompatibilities(root)), incompatibilities(root)
    assert main(["check", "--root", str(root)]) == 1


def test_a_newer_release_is_compared_after_an_older_one(tmp_path: Path) -> None:
    root = copied_schemas(tmp_path)
    change(root, HOLD, lambda schema: schema["fields"].append(OPTIONAL))
    first = len(release_paths(root)) + 1
    release(root, f"v{first}")
    for number in range(first + 1, 11):
        shutil.copytree(root / "history" / f"v{first}", root / "history" / f"v{number}")
    change(root, HOLD, lambda schema: schema["fields"][-1].update(type="string", default=""))
    versions = [line.partition(":")[0] for line in incompatibilities(root)]
    assert list(dict.fromkeys(versions)) == [f"v{number}" for number in range(first, 11)]
