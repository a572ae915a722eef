"""Whether two versions of a schema can read each other, offline: FULL_TRANSITIVE."""

import copy
import json
from pathlib import Path
from typing import Any

from serdes.avro.generated_source import named_types
from serdes.avro.schema_files import Schema, SchemaFiles, load, release_paths


def incompatibilities(root: Path) -> list[str]:
    """Return what the schemas of a folder and all its releases cannot read of one another."""
    current = load(root)
    return [
        f"{path.name}: {fault}"
        for path in release_paths(root)
        for fault in _between(current, load(path))
    ]


def _between(current: SchemaFiles, release: SchemaFiles) -> list[str]:
    faults: list[str] = []
    for name, schema in release.by_name.items():
        if schema["type"] != "record":
            continue
        if name not in current.by_name:
            faults.append(f"{name} is gone, but its records are kept in topics and stores")
            continue
        old, new = release.inlined(name), current.inlined(name)
        if old == new:
            continue
        faults += [f"{name} cannot read the released one: {why}" for why in misreadings(new, old)]
        faults += [f"{name} cannot be read by it: {why}" for why in misreadings(old, new)]
    return faults


def misreadings(reader: Schema, writer: Schema) -> list[str]:
    """Return why a reader cannot read what a writer writes; an empty list where it can.

    Needs the package avro, which is one of development.
    """
    # Registries are asked on machines that release nothing.
    import avro.schema  # noqa: PLC0415
    from avro.compatibility import (  # noqa: PLC0415
        ReaderWriterCompatibilityChecker,
        SchemaCompatibilityType,
    )

    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    result = checker.get_compatibility(
        avro.schema.parse(json.dumps(_with_unknown_symbols(reader, writer))),
        avro.schema.parse(json.dumps(writer)),
    )
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    return sorted(str(message) for message in result.messages)


def _with_unknown_symbols(reader: Schema, writer: Schema) -> Schema:
    """Return the reader with the writer's symbols in every enum that has a default.

    By the specification such an enum reads unknown symbols as its default; the checker of the
    avro package does not know that yet.
    """
    tolerant: dict[str, Any] = copy.deepcopy(reader)
    written = named_types(writer)
    for name, part in named_types(tolerant).items():
        if part["type"] == "enum" and "default" in part and name in written:
            unknown = [s for s in written[name]["symbols"] if s not in part["symbols"]]
            part["symbols"] = [*part["symbols"], *unknown]
    return tolerant
