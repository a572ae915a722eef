"""The named tuples name the fields that decoders return, in their order."""

import re
from typing import Any

import pytest

from serdes.avro.codegen import decoder
from serdes.avro.field_names import field_names
from serdes.avro.schema_files import current
from state.records import names

NAMED = {
    kind.__name__: kind
    for name, kind in vars(names).items()
    # What several records begin with is none itself.
    if not name.startswith("_")
    and isinstance(kind, type)
    and issubclass(kind, tuple)
    and hasattr(kind, "_fields")
}
FULL_NAMES = {full_name.rpartition(".")[2]: full_name for full_name in current().by_name}


def snake(name: str) -> str:
    return re.sub("([A-Z])", lambda match: "_" + match[1].lower(), name)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_each_record_has_its_fields_named_in_order(name: str) -> None:
    kind: Any = NAMED[name]
    assert [snake(field) for field in field_names(FULL_NAMES[name])] == list(kind._fields)


def test_a_stored_layout_has_the_own_fields_of_the_command_that_opens_it() -> None:
    stored, command = (
        field_names(FULL_NAMES[name])[names.OWN_FIELDS :]
        for name in ("SectionLayout", "OpenSection")
    )
    assert stored == command


def test_the_identity_stands_before_its_encoded_form() -> None:
    value = names.HoldBestAvailable._make(
        decoder("io.seatstream.commands.HoldBestAvailable")(b"\x06r-1\x04u1\x00\x06A-1\x02\x04", 0)
    )
    assert value[: names.IDENTITY_FIELDS] == (b"r-1", b"u1", b"", b"A-1", 1)
    assert value[names.RESERVATION_ID] == value.reservation_id == b"r-1"
    assert value.request == b"\x06r-1\x04u1\x00\x06A-1\x02"
    assert value[names.OWN_FIELDS :] == (value.seat_count,) == (2,)
