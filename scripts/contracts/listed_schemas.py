"""Fills an empty registry so that every schema has the id that the log's records have.

Registries count their ids from 1 and cannot be told which to give. So the schemas are registered
in the order of their ids in the topic `schema-ids`, and where the list has none, a placeholder
takes the number: whose it was is not ours to know.
"""

from collections.abc import Iterable

from schemas.topics import subjects
from serdes.avro.schema_files import HISTORY, SCHEMA_ROOT, SchemaFiles, current, load
from serdes.registry.client import Registry, quoted
from serdes.registry.known_ids import KnownId

IDS_MAX = 10_000
PLACEHOLDER = "placeholder-of-id-"


class CannotList(Exception):
    """The ids of the list cannot be given by this registry.

    Operator action: as the message says; an empty registry may be filled again from the begin.
    """


def texts_of(listed: Iterable[KnownId]) -> dict[int, tuple[str, str]]:
    """Return record and schema text for each listed id; raise CannotList for one without.

    The texts are those of this code and of every released version.
    """
    files: list[SchemaFiles] = [current()]
    history = SCHEMA_ROOT / HISTORY
    files += [load(folder) for folder in sorted(history.iterdir())] if history.is_dir() else []
    found: dict[int, tuple[str, str]] = {}
    for one in listed:
        texts = [
            each.text(one.record)
            for each in files
            if one.record in each.by_name and each.fingerprint(one.record) == one.fingerprint
        ]
        if one.schema_id > IDS_MAX:
            raise CannotList(
                f"the list has the id {one.schema_id}: more than {IDS_MAX} placeholders are no "
                "way to it. Use the import mode of your registry, with the ids of the list"
            )
        if not texts:
            raise CannotList(
                f"no schema here is what {one.source} says of id {one.schema_id}, a {one.record}: "
                "run the newest version that wrote to this log"
            )
        found[one.schema_id] = one.record, texts[0]
    return found


def register_listed(registry: Registry, listed: Iterable[KnownId]) -> list[tuple[int, str]]:
    """Give every listed id its schema; return id and subject of each, in order.

    Raises CannotList before anything is written where the registry has subjects already, and
    where it gives another number than the next; and as `Registry.call`.
    """
    text_by_id = texts_of(listed)
    has = registry.call("GET", "subjects")
    if has:
        raise CannotList(
            f"{registry.url} is not empty, it has {len(has)} subjects: ids can only be given in "
            "order. Start one over an empty store"
        )
    done: list[tuple[int, str]] = []
    for schema_id in range(1, max(text_by_id, default=0) + 1):
        record, text = text_by_id.get(schema_id, ("", _placeholder(schema_id)))
        for subject in _subjects_of(record) or [f"{PLACEHOLDER}{schema_id}"]:
            path = f"subjects/{quoted(subject)}/versions"
            given = registry.call("POST", path, {"schema": text})["id"]
            if given != schema_id:
                raise CannotList(
                    f"{registry.url} gave {subject} the id {given} and not {schema_id}: it does "
                    "not count from 1. Use its import mode, with the ids of the list"
                )
            if record:
                done.append((schema_id, subject))
    return done


def _placeholder(schema_id: int) -> str:
    return f'{{"type":"fixed","name":"Placeholder{schema_id}","size":1}}'


def _subjects_of(record: str) -> list[str]:
    return [subject for subject, name in subjects().items() if name == record]
