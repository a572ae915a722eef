"""A charset names each byte it allows, and a field without rules allows all."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serdes.avro.field_rules import FREE, FieldRules, expand, rules_of
from serdes.avro.schema_files import current
from serdes.avro.schema_rules import faults_of

ASCII = st.characters(min_codepoint=32, max_codepoint=126)


@pytest.mark.parametrize(
    ("charset", "allowed"),
    [
        ("", b""),
        ("abc", b"abc"),
        ("a-e", b"abcde"),
        ("A-C0-2_", b"ABC012_"),
        ("a-", b"a-"),
        ("-a", b"-a"),
        ("-", b"-"),
        ("a-c-", b"abc-"),
        ("+--", b"+,-"),
        ("a-a", b"a"),
        # From the later to the earlier there is nothing.
        ("c-a", b""),
    ],
)
def test_a_charset_by_hand(charset: str, allowed: bytes) -> None:
    assert expand(charset) == allowed


@given(st.lists(st.tuples(ASCII, ASCII).map(sorted), max_size=4), ASCII)
def test_ranges_allow_what_a_regular_expression_of_them_allows(
    ranges: list[list[str]], character: str
) -> None:
    charset = "".join(f"{low}-{high}" for low, high in ranges)
    pattern = "|".join(f"[{re.escape(low)}-{re.escape(high)}]" for low, high in ranges)
    is_allowed = bool(ranges) and re.fullmatch(pattern, character) is not None
    assert (character.encode() in expand(charset)) == is_allowed


def test_a_field_without_rules_is_free() -> None:
    assert rules_of({"name": "f", "type": "string", "doc": "any"}) == FREE


def test_each_rule_is_read_from_its_attribute() -> None:
    field = {"charset": "a-b", "minBytes": 1, "maxBytes": 9, "minimum": -3}
    assert rules_of(field) == FieldRules(b"ab", 1, 9, -3)
    # Nothing is allowed at all, which is not the same as no rule.
    assert rules_of({"charset": ""}).charset == b""


def test_a_charset_of_other_letters_is_refused_here_and_by_the_rules_for_schemas() -> None:
    with pytest.raises(UnicodeEncodeError):
        expand("ä")
    field = {"name": "f", "type": "string", "charset": "ä"}
    record = {"type": "record", "name": "R", "namespace": "x", "fields": [field]}
    assert faults_of(record) == ["R.f: charset or bounds of the wrong type"]


def test_every_rule_of_our_schemas_can_be_kept() -> None:
    for schema in current().by_name.values():
        for field in schema.get("fields", ()):
            rules = rules_of(field)
            assert rules.bytes_max is None or rules.bytes_min <= rules.bytes_max
            assert rules.charset is None or rules.charset or not rules.bytes_min
