"""What the schema files must not say, and what they must."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro

from schemas.topics import KEPT_BY_THE_RUNTIME, TOPICS, subjects
from serdes.avro.generated_source import named_types
from serdes.avro.schema_files import SchemaFiles, load, release_paths
from serdes.avro.schema_rules import faults_of

_NAMESPACE = re.compile(r"[a-z]+(\.[a-z][a-z0-9_]*)+")


def lint(root: Path) -> list[str]:
    """Return every fault of the schemas below a folder, each as `file: fault`."""
    try:
        files = load(root)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{root}: {type(error).__name__}: {error}"]
    releases = [load(path) for path in release_paths(root)]
    faults: list[str] = []
    for name, schema in files.by_name.items():
        path = files.path_by_name[name]
        found = [
            *_faults_of_file(path, schema),
            *_faults_of_shape(files, name),
            *_fields_without_default(name, schema, releases),
        ]
        faults += [f"{path.relative_to(root)}: {fault}" for fault in found]
    return faults + [f"topics.py: {fault}" for fault in _faults_of_use(files)]


def _faults_of_file(path: Path, schema: dict[str, Any]) -> Iterator[str]:
    if path.stem != schema["name"]:
        yield f"is named {schema['name']} inside"
    if not _NAMESPACE.fullmatch(schema["namespace"]):
        yield f"namespace {schema['namespace']} is not a reverse domain name"
    if path.parent.name != schema["namespace"].rpartition(".")[2]:
        yield f"namespace {schema['namespace']} does not end in its folder's name"
    if not schema.get("doc"):
        yield "has no doc"
    if schema["type"] == "enum" and schema.get("default") not in schema["symbols"]:
        yield "an enum needs a default for symbols that a reader does not know"
    for field in schema.get("fields", ()):
        if not field.get("doc"):
            yield f"{field['name']} has no doc"


def _faults_of_shape(files: SchemaFiles, name: str) -> list[str]:
    try:
        schema = files.inlined(name)
    except RecursionError:
        return ["recursive"]
    if schema["type"] != "record":
        return []
    faults = faults_of(schema)
    if not faults:
        try:
            fastavro.parse_schema(schema)
        except (fastavro.schema.SchemaParseException, ValueError) as error:
            faults.append(str(error))
    return faults


def _fields_without_default(
    name: str, schema: dict[str, Any], releases: list[SchemaFiles]
) -> Iterator[str]:
    """Yield fields that an old record lacks and that a reader cannot fill in."""
    for release in releases:
        if name not in release.by_name or schema["type"] != "record":
            continue
        released = {field["name"] for field in release.by_name[name]["fields"]}
        for field in schema["fields"]:
            if field["name"] not in released and "default" not in field:
                yield f"{field['name']} was added after a release and has no default"


def _faults_of_use(files: SchemaFiles) -> Iterator[str]:
    used: set[str] = set()
    headers = [topic.headers for topic in TOPICS if topic.headers]
    for record in (*subjects().values(), *headers, *KEPT_BY_THE_RUNTIME):
        if record not in files.by_name:
            yield f"{record} has no file"
        else:
            used |= named_types(files.inlined(record)).keys()
    for name in files.by_name.keys() - used:
        yield f"no topic uses {name}"
