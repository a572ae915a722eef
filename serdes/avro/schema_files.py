"""Schema files in; self-contained Avro schemas, their registered text and fingerprint out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import fastavro

import schemas

Schema = Any  # A JSON value: str for a name or primitive, list for a union, dict for the rest.

SCHEMA_ROOT = Path(schemas.__file__).parent
HISTORY = "history"

_NAMED = ("record", "enum", "fixed")
_PRIMITIVES = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
    | {"array", "map", *_NAMED}
)


@dataclass(frozen=True, slots=True)
class SchemaFiles:
    """The schemas of one folder.

    by_name:      by full name, the schema as its file has it; it refers to other files' schemas by
                  their full names.
    path_by_name: by full name, the file.
    """

    by_name: Mapping[str, dict[str, Any]]
    path_by_name: Mapping[str, Path]
    # Asked for with every decoder that is made.
    _text_by_name: dict[str, str] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def inlined(self, full_name: str) -> dict[str, Any]:
        """Return the schema made self-contained: each name is defined where it is first used.

        Raises KeyError where no file defines `full_name`.
        """
        seen: set[str] = set()

        def resolve(schema: Schema) -> Schema:
            if isinstance(schema, str):
                if schema in seen or schema not in self.by_name:
                    return schema
                return resolve(self.by_name[schema])
            if isinstance(schema, list):
                return [resolve(branch) for branch in schema]
            if schema["type"] in _NAMED:
                seen.add(name_of(schema))
            resolved = dict(schema)
            if schema["type"] == "record":
                resolved["fields"] = [
                    {**field, "type": resolve(field["type"])} for field in schema["fields"]
                ]
            elif schema["type"] == "array":
                resolved["items"] = resolve(schema["items"])
            return resolved

        result: dict[str, Any] = resolve(self.by_name[full_name])
        return result

    def text(self, full_name: str) -> str:
        """Return the text that goes to the registry: compact JSON, keys in the file's order."""
        text = self._text_by_name.get(full_name)
        if text is None:
            text = self._text_by_name[full_name] = text_of(self.inlined(full_name))
        return text

    def fingerprint(self, full_name: str) -> str:
        """Return the fingerprint of a schema of these files, as `fingerprint_of`."""
        return fingerprint_of(self.inlined(full_name))


def name_of(schema: Mapping[str, Any]) -> str:
    """Return the full name of a named schema."""
    return f"{schema['namespace']}.{schema['name']}"


def qualified(schema: Schema, namespace: str = "") -> Schema:
    """Return a schema in which every definition and every reference has its full name.

    Registries and other languages leave the namespace out where it is the enclosing definition's.
    """
    if isinstance(schema, str):
        is_short = schema not in _PRIMITIVES and "." not in schema and namespace
        return f"{namespace}.{schema}" if is_short else schema
    if isinstance(schema, list):
        return [qualified(branch, namespace) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "name" and isinstance(value, str) and schema.get("type") in _NAMED:
            before, _, result["name"] = value.rpartition(".")
            namespace = result["namespace"] = before or schema.get("namespace", namespace)
        elif (key == "type" and value not in _NAMED) or key == "items":
            result[key] = qualified(value, namespace)
        elif key != "namespace":
            result[key] = value
    if isinstance(result.get("fields"), list):
        result["fields"] = [qualified(field, namespace) for field in result["fields"]]
    return result


def text_of(schema: Schema) -> str:
    """Return compact JSON that keeps the order of keys."""
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


def fingerprint_of(schema: Schema) -> str:
    """Return the SHA-256 (hex) of the parsing canonical form; equal for equal wire formats."""
    return fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(schema), "sha256")


def digest_of(text: str) -> str:
    """Return the SHA-256 (hex) of a schema's text, which docs and defaults change as well."""
    return hashlib.sha256(text.encode()).hexdigest()


def load(root: Path) -> SchemaFiles:
    """Read every `.avsc` below a folder, except the releases under its `history/`.

    Raises ValueError for a file that is not JSON, and for a name that two files define.
    """
    by_name: dict[str, dict[str, Any]] = {}
    path_by_name: dict[str, Path] = {}
    for path in sorted(root.rglob("*.avsc")):
        if HISTORY in path.relative_to(root).parts:
            continue
        try:
            schema = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: not JSON: {error}") from error
        full_name = name_of(schema)
        if full_name in by_name:
            raise ValueError(f"{path}: {full_name} is also in {path_by_name[full_name]}")
        by_name[full_name] = schema
        path_by_name[full_name] = path
    return SchemaFiles(by_name, path_by_name)


@cache
def current() -> SchemaFiles:
    """Return the schemas that this code writes."""
    return load(SCHEMA_ROOT)


def release_paths(root: Path) -> list[Path]:
    """Return the folders of all releases below a folder of schemas, oldest first."""
    return sorted(
        (path for path in (root / HISTORY).glob("v*") if path.is_dir()),
        key=lambda path: int(path.name[1:]),
    )


@cache
def releases() -> tuple[SchemaFiles, ...]:
    """Return the schemas of each release of ours, oldest first."""
    return tuple(map(load, release_paths(SCHEMA_ROOT)))


def inlined(full_name: str) -> dict[str, Any]:
    """Return one of the current schemas, self-contained."""
    return current().inlined(full_name)


@cache
def parsed(full_name: str) -> Any:
    """Return one of the current schemas, ready for fastavro."""
    return fastavro.parse_schema(inlined(full_name))


def enum_symbols(full_name: str) -> tuple[str, ...]:
    """Return the symbols of a current enum; decoders return a symbol's index among them."""
    return tuple(current().by_name[full_name]["symbols"])
