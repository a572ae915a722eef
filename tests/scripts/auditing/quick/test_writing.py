"""What is written quickly is what fastavro writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import AVRO, identity
from support.records.avro_values import RECORDS, values

from scripts.auditing.quick.source import REMEMBERED_MAX, Unusual
from scripts.auditing.quick.writing import Numbers, varint, writer_of


@pytest.mark.parametrize("full_name", RECORDS)
@given(st.data())
def test_each_record_is_written_as_by_fastavro(full_name: str, data: st.DataObject) -> None:
    name = full_name.rpartition(".")[2]
    value = data.draw(values(full_name))
    quick = AVRO.quick_writer(name)
    assert quick is not None
    assert quick(value) == AVRO.encode_plainly(name, value) == AVRO.encode(name, value)


def test_what_lacks_a_field_is_for_fastavro() -> None:
    lacking = {"request": identity("r", "u", "A", 1)}
    quick = AVRO.quick_writer("HoldBestAvailable")
    assert quick is not None
    with pytest.raises(KeyError):
        quick(lacking)
    with pytest.raises(ValueError, match="no value"):
        AVRO.encode("HoldBestAvailable", lacking)


def test_what_is_no_long_is_for_fastavro() -> None:
    for number in (2**63, -(2**63) - 1, 1.5, "1"):
        with pytest.raises(Unusual):
            varint(number)  # type: ignore[arg-type]


def test_remembered_numbers_are_bounded() -> None:
    numbers = Numbers()
    for number in range(REMEMBERED_MAX + 10):
        assert numbers[number] == varint(number)
    assert len(numbers) == 10


def test_a_schema_with_something_unusual_has_no_writer() -> None:
    for kind in ("double", ["int", "null"], ["null", "int", "long"]):
        schema = {"type": "record", "name": "A", "fields": [{"name": "a", "type": kind}]}
        assert writer_of(schema, {}) is None
