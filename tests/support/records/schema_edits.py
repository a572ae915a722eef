"""A copy of the schemas to edit: what a careless change would look like."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serdes.avro.schema_files import SCHEMA_ROOT

Change = Callable[[dict[str, Any]], object]


def copied_schemas(tmp_path: Path) -> Path:
    """Return the folder of a copy, releases included."""
    return Path(shutil.copytree(SCHEMA_ROOT, tmp_path / "schemas"))


def change(root: Path, name: str, edit: Change) -> None:
    """Edit one schema file of the copy."""
    path = root / name
    schema = json.loads(path.read_text(encoding="utf-8"))
    edit(schema)
    path.write_text(json.dumps(schema), encoding="utf-8")
