"""A copy of the schemas to edit: what a careless change would look like."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serdes.avro.schema_files import HISTORY, SCHEMA_ROOT, release_paths

Change = Callable[[dict[str, Any]], object]


def copied_schemas(tmp_path: Path) -> Path:
    """Return the folder of a copy; its releases are links to ours until one of them is edited."""
    current = shutil.ignore_patterns(HISTORY, "__pycache__")
    root = Path(shutil.copytree(SCHEMA_ROOT, tmp_path / "schemas", ignore=current))
    (root / HISTORY).mkdir()
    for path in release_paths(SCHEMA_ROOT):
        (root / HISTORY / path.name).symlink_to(path)
    return root


def change(root: Path, name: str, edit: Change) -> None:
    """Edit one schema file of the copy, or of a release below it."""
    if root.is_symlink():
        released = root.resolve()
        root.unlink()
        shutil.copytree(released, root)
    path = root / name
    schema = json.loads(path.read_text(encoding="utf-8"))
    edit(schema)
    path.write_text(json.dumps(schema), encoding="utf-8")
