"""A release behind this one: a copy of the product in which two records have a field more.

One is written by producers of commands and read by workers, one is written by workers and read by
pods. Each edit is what a release would do: the schema, the names of its fields, who writes it.
"""

import json
import shutil
from pathlib import Path

from infra.paths import ROOT

PARTS = ("api", "infra", "schemas", "scripts", "serdes", "state", "streams")

HOLD = "commands/HoldBestAvailable.avsc"
STATUS = "status/SectionStatusEvent.avsc"

FIELDS: dict[str, dict[str, str | int]] = {
    HOLD: {"name": "channel", "type": "string", "doc": "Where the buyer asked.", "default": ""},
    STATUS: {"name": "soldCount", "type": "int", "doc": "Seats sold.", "default": 0},
}

_NAMES = "        seat_count: int\n\n\nclass HoldInPieces".replace("        ", "    ", 1)
_READ = "event_id, name, free, as_of_ms, version, held, largest_block = "

# File, what stands there, what takes its place.
EDITS = (
    (
        "state/records/names.py",
        _NAMES,
        _NAMES.replace("int\n", 'int\n    channel: bytes = b""\n', 1),
    ),
    (
        "state/records/commands.py",
        "self._best(identity, count)",
        'self._best(identity, count, b"web")',
    ),
    (
        "streams/change_sections/decide.py",
        "section_id, event_id, request, count = fields",
        "section_id, event_id, request, count, _channel = fields",
    ),
    (
        "streams/change_sections/statuses.py",
        "section.largest_block(),\n",
        "section.largest_block(),\n        section.sold_count,\n",
    ),
    ("state/views/availability/contents.py", _READ, _READ.replace("block", "block, _sold")),
)


def next_release(directory: Path) -> Path:
    """Return the folder of the release, made below a directory."""
    root = directory / "next"
    for part in PARTS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, root / part, ignore=ignored, symlinks=True)
    shutil.copy(ROOT / "topology.py", root)
    for name, field in FIELDS.items():
        path = root / "schemas" / name
        schema = json.loads(path.read_text(encoding="utf-8"))
        schema["fields"].append(field)
        path.write_text(json.dumps(schema, indent=2), encoding="utf-8")
    for name, before, after in EDITS:
        path = root / name
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{name} has changed: the next release is another one"
        path.write_text(text.replace(before, after), encoding="utf-8")
    return root
