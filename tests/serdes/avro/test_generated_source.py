"""Generated functions get their constants and names, and can be found by whoever debugs them."""

import inspect
import traceback
from typing import Any

import pytest

from serdes.avro.generated_source import IDENTITY, Source, named_types
from serdes.avro.schema_files import current, inlined, name_of

TICK = "io.seatstream.commands.Tick"


def source(*lines: str) -> Source:
    made = Source(inlined(TICK))
    for line in lines:
        made.line(line)
    return made


@pytest.mark.parametrize("name", sorted(current().by_name))
def test_every_type_of_a_schema_is_found_by_its_full_name(name: str) -> None:
    schema = inlined(name)
    found = named_types(schema)
    assert found[name] is schema
    assert all(name_of(part) == full_name for full_name, part in found.items())
    # Slowly, by the text of the schema: a type is defined where it is first named.
    assert set(found) == {known for known in current().by_name if defines(schema, known)}


def defines(schema: Any, full_name: str) -> bool:
    if isinstance(schema, dict):
        is_it = "namespace" in schema and name_of(schema) == full_name
        return is_it or any(defines(part, full_name) for part in schema.values())
    return isinstance(schema, list) and any(defines(part, full_name) for part in schema)


def test_lines_are_indented_as_they_were_written() -> None:
    made = source("if True:")
    made.indent()
    made.line("a = 1")
    former = made.reset_depth(0)
    made.line("b = 2")
    assert made.reset_depth(former) == 0
    made.line("c = 3")
    made.dedent()
    made.line("d = 4")
    assert made.lines == ["if True:", "    a = 1", "b = 2", "    c = 3", "d = 4"]


def test_no_two_names_and_no_two_constants_are_the_same() -> None:
    made = source()
    names = [made.fresh("value") for _ in range(100)]
    constants = [made.constant("allowed", at) for at in range(100)]
    assert len({*names, *constants}) == 200
    assert [made.constants[name] for name in constants] == list(range(100))


def test_a_function_sees_its_constants_and_helpers_and_nothing_else() -> None:
    made = source()
    constant = made.constant("answer", 42)
    made.functions.append("def half(value):\n    return value // 2")
    for line in ("def decode(data, at):", f"    return half({constant}), os"):
        made.line(line)
    with pytest.raises(NameError, match="os"):
        made.compiled("decode")(b"", 0)


def test_two_functions_of_one_source_share_no_constants() -> None:
    def made(value: int) -> Any:
        one = source()
        one.line("def decode(data, at):")
        one.line(f"    return {one.constant('answer', value)}")
        return one.compiled("decode")

    first, second = made(1), made(2)
    assert (first(b"", 0), second(b"", 0)) == (1, 2)


def test_the_source_is_found_by_tracebacks_and_inspection() -> None:
    made = source("def decode(data, at):", "    raise Refused('by hand')")
    decode = made.compiled("decode")
    assert inspect.getsource(decode) == "def decode(data, at):\n    raise Refused('by hand')\n"
    with pytest.raises(ValueError, match="by hand") as raised:
        decode(b"", 0)
    assert "raise Refused('by hand')" in "".join(traceback.format_exception(raised.value))
    assert f"<decode {TICK}" in decode.__code__.co_filename


def test_a_reference_stands_for_its_definition_and_a_primitive_for_itself() -> None:
    made = Source(inlined("io.seatstream.commands.HoldBestAvailable"))
    assert made.is_identity(made.definition(IDENTITY))
    assert made.definition("int") == "int"
    assert made.definition(["null", "int"]) == ["null", "int"]
    assert not made.is_identity(made.schema)
    assert not made.is_identity("int")
    assert not made.is_identity({"type": "array", "items": "int"})
