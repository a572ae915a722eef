"""What a schema must not contain, since decoding its records could crash, hang or fill the memory.

The rules hold for our own files (`scripts/lint_schemas.py`) and for schemas from a registry.
"""

from typing import Any

from serdes.avro.schema_files import Schema, name_of

_PRIMITIVES = frozenset({"boolean", "int", "long", "bytes", "string"})
_FLOATS = frozenset({"float", "double"})
_ENUM_SYMBOLS_MAX = 64
_DEPTH_MAX = 16


def faults_of(schema: Schema) -> list[str]:
    """Return what is wrong with a self-contained record schema; empty where nothing is."""
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return ["not a record"]
    faults: list[str] = []
    _walk(schema, str(schema.get("name")), (), set(), faults)
    return faults


def _walk(
    schema: Schema, path: str, open_names: tuple[str, ...], known: set[str], faults: list[str]
) -> None:
    if len(open_names) > _DEPTH_MAX:
        faults.append(f"{path}: deeper than {_DEPTH_MAX} records")
    elif isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null" or schema[1] == "null":
            faults.append(f"{path}: a union other than [null, X]")
        else:
            _walk(schema[1], path, open_names, known, faults)
    elif isinstance(schema, str):
        if schema in open_names:
            faults.append(f"{path}: recursive")
        elif schema in _FLOATS:
            faults.append(f"{path}: a float")
        elif schema not in _PRIMITIVES | known:
            faults.append(f"{path}: unknown type {schema}")
    elif isinstance(schema, dict):
        _walk_complex(schema, path, open_names, known, faults)
    else:
        faults.append(f"{path}: not a schema")


def _walk_complex(
    schema: dict[str, Any],
    path: str,
    open_names: tuple[str, ...],
    known: set[str],
    faults: list[str],
) -> None:
    match schema.get("type"):
        case "record":
            if not _is_named(schema) or not schema.get("fields"):
                faults.append(f"{path}: a record without namespace, name or fields")
                return
            full_name = name_of(schema)
            for field in schema["fields"]:
                inner = f"{path}.{field['name']}"
                if not _has_fit_rules(field):
                    faults.append(f"{inner}: charset or bounds of the wrong type")
                _walk(field["type"], inner, (*open_names, full_name), known, faults)
            known.add(full_name)
        case "enum":
            if not _is_named(schema) or not schema.get("symbols"):
                faults.append(f"{path}: an enum without namespace, name or symbols")
                return
            # Generated code reads the index of an enum as one byte.
            if len(schema["symbols"]) > _ENUM_SYMBOLS_MAX:
                faults.append(f"{path}: more than {_ENUM_SYMBOLS_MAX} symbols")
            known.add(name_of(schema))
        case "array":
            # A null takes no byte, so that seven bytes could declare an array of 2^40 items.
            if schema.get("items") == "null":
                faults.append(f"{path}: an array of null")
            else:
                _walk(schema.get("items"), f"{path}[]", open_names, known, faults)
        case str() as primitive:
            if "logicalType" in schema:
                faults.append(f"{path}: a logical type")
            _walk(primitive, path, open_names, known, faults)
        case other:
            faults.append(f"{path}: no type {other!r}")


def _is_named(schema: dict[str, Any]) -> bool:
    return bool(schema.get("name")) and bool(schema.get("namespace"))


def _has_fit_rules(field: dict[str, Any]) -> bool:
    """Return whether the attributes that `field_rules` reads are of the types it expects."""
    charset = field.get("charset", "")
    bounds = [field.get(name, 0) for name in ("minBytes", "maxBytes", "minimum")]
    return (
        isinstance(charset, str)
        and charset.isascii()
        and all(isinstance(bound, int) for bound in bounds)
    )
