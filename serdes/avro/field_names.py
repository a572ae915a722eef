"""Where a field stands in a decoded record, by the name that its schema gives it.

The form of a decoded record is told in `codegen`. An identity that begins a record stands as its
own five fields, and then whole, under the name that the record gives it.
"""

from functools import cache

from serdes.avro.generated_source import IDENTITY
from serdes.avro.schema_files import inlined, name_of


@cache
def field_names(full_name: str) -> tuple[str, ...]:
    """Return the names of a decoded record's fields, in their order."""
    fields = inlined(full_name)["fields"]
    names = tuple(field["name"] for field in fields)
    first = fields[0]["type"]
    if isinstance(first, dict) and "name" in first and name_of(first) == IDENTITY:
        return field_names(IDENTITY) + names
    return names


def position(full_name: str, field: str) -> int:
    """Return where a field stands in a decoded record; raises ValueError where it has none."""
    names = field_names(full_name)
    if field not in names:
        raise ValueError(f"{full_name} has no field {field}, but {', '.join(names)}")
    return names.index(field)
