"""The table of keys in docs/redis-keys.md, and keys found in Redis as rows of it."""

import re
from collections.abc import Mapping

from support.pages.document_pages import DOCS, code_in

PAGE = DOCS / "redis-keys.md"
_PLACE = re.compile(r"\{[a-z-]+\}")


def documented() -> dict[str, str]:
    """Return type by pattern of the key."""
    text = PAGE.read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `seatstream:")]
    return {code_in(row[1])[0]: row[2].strip() for row in rows}


def form_of(pattern: str) -> re.Pattern[str]:
    """Return what a key of this pattern looks like."""
    plain = map(re.escape, _PLACE.split(pattern))
    return re.compile(r"(?:\{[^{}:]+\}|[^{}:]+)".join(plain))


def rows_met(found: Mapping[str, str]) -> set[str]:
    """Return the patterns of the table that keys have; each has one, and is of its type.

    found: type by name of the key.
    """
    table = {pattern: (form_of(pattern), kind) for pattern, kind in documented().items()}
    met = set[str]()
    for name, kind in found.items():
        rows = [pattern for pattern, (form, _) in table.items() if form.fullmatch(name)]
        assert len(rows) == 1, f"{name} is in {len(rows)} rows of {PAGE.name}"
        assert table[rows[0]][1] == kind, name
        met.add(rows[0])
    return met
