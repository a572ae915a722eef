"""Schema ids in files: the pins of the repository, and what a process remembers of its starts.

    {"<subject>": {"id": 4, "digest": "...", "fingerprint": "..."}, ...,
     "others": [{"id": 3, "record": "...", "fingerprint": "..."}, ...]}

An id is used only while the text of its schema is, to the byte, that of this code (`digest`). To
notice that an id was given to another schema, every entry is compared, also those of schemas of
former versions (`others`).
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.topics import subjects
from serdes.avro.schema_files import SCHEMA_ROOT, current, digest_of
from serdes.registry.ids import SchemaIds
from serdes.registry.known_ids import KnownId
from serdes.wire import checked_id

PINS_FILE = SCHEMA_ROOT / "pinned_ids.json"

_OTHERS = "others"


def write_ids(path: Path, ids: SchemaIds, known: Iterable[KnownId] = ()) -> None:
    """Write ids with the digests of their texts, whole or not at all, also over a power cut.

    known: everything else that is known of ids, such as those of former versions.
    """
    entries: dict[str, Any] = {
        subject: {
            "id": schema_id,
            "digest": digest_of(current().text(subjects()[subject])),
            "fingerprint": current().fingerprint(subjects()[subject]),
        }
        for subject, schema_id in ids.id_by_subject.items()
    }
    ours = set(ids.id_by_subject.values())
    others = [
        {"id": one.schema_id, "record": one.record, "fingerprint": one.fingerprint}
        for one in sorted(known, key=lambda one: one.schema_id)
        if one.schema_id not in ours
    ]
    if others:
        entries[_OTHERS] = others
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(path.name + ".new")
    with written.open("w", encoding="utf-8") as file:
        file.write(json.dumps(entries, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)


def read_ids(path: Path) -> dict[str, int]:
    """Return ids by subject.

    Raises OSError, or ValueError where the file lacks a schema of this code or holds another text.
    """
    entries = _entries(path)
    id_by_subject: dict[str, int] = {}
    for subject, record in subjects().items():
        try:
            entry = entries[subject]
            digest, schema_id = entry["digest"], checked_id(entry["id"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} has no id of {subject}") from error
        if digest != digest_of(current().text(record)):
            raise ValueError(f"{path} is of another version of {record}")
        id_by_subject[subject] = schema_id
    return id_by_subject


def known_in(path: Path) -> list[KnownId]:
    """Return what a file says of every id in it; an empty list where there is no file.

    Raises OSError, or ValueError where the file is damaged.
    """
    try:
        entries = _entries(path)
    except FileNotFoundError:
        return []
    try:
        others = entries.pop(_OTHERS, ())
        known = [_known_of(path, subject, entry) for subject, entry in entries.items()]
        known += (
            KnownId(checked_id(one["id"]), str(one["record"]), str(one["fingerprint"]), str(path))
            for one in others
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no file of schema ids: {error!r}") from error
    return known


def _entries(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply") from error


def _known_of(path: Path, subject: str, entry: Any) -> KnownId:
    # Names of topics have dashes, names of records have none.
    record = subject.rpartition("-")[2]
    fingerprint = str(entry.get("fingerprint", ""))
    if not fingerprint and subject in subjects():
        # Files of former versions have the digest of the text only.
        own = digest_of(current().text(record)) == entry["digest"]
        fingerprint = current().fingerprint(record) if own else ""
    return KnownId(checked_id(entry["id"]), record, fingerprint, str(path))
