"""What ids stand for is told from our own schemas, and of any other text without an error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import TOPICS, subject, subjects
from serdes.avro.schema_files import current, digest_of, inlined, text_of
from serdes.registry.ids import (
    RegisteredSchema,
    SchemaIds,
    counted_ids,
    meaning_of,
    schema_identity,
)

TICK = "io.seatstream.commands.Tick"


def test_a_subject_is_found_again_by_the_id_of_its_text() -> None:
    found = counted_ids(first=7).by_id()
    for schema_id, registered in found.items():
        (name,) = registered.subjects
        assert registered.text == current().text(subjects()[name])
        assert counted_ids(first=7).id_by_subject[name] == schema_id
    assert len(found) == len(subjects())


def test_one_id_may_stand_for_the_same_text_under_several_subjects() -> None:
    names = [subject(topic, name) for topic in TOPICS for name in topic.records][:2]
    found = SchemaIds(dict.fromkeys(names, 5)).by_id()
    assert found[5].subjects == tuple(names)


def test_ids_are_counted_in_the_order_of_registration() -> None:
    assert list(counted_ids(first=40).id_by_subject) == list(subjects())
    assert list(counted_ids(first=40).id_by_subject.values()) == [*range(40, 40 + len(subjects()))]


def test_where_ids_come_from_makes_them_no_other_ids() -> None:
    assert SchemaIds({"s": 1}, "cache x") == SchemaIds({"s": 1}, "registry")
    assert SchemaIds({"s": 1}) != SchemaIds({"s": 2})


def test_what_ids_say_of_themselves_names_record_fingerprint_and_source() -> None:
    ids = SchemaIds({**counted_ids(first=7).id_by_subject, "a-subject-of-others": 99}, "pins")
    said = {one.schema_id: one for one in ids.known()}
    assert 99 not in said
    assert len(said) == len(subjects())
    (tick,) = (one for one in said.values() if one.record == TICK)
    assert (tick.fingerprint, tick.source) == (current().fingerprint(TICK), "pins")


def test_other_words_and_a_shorter_spelling_of_a_schema_are_the_same_schema() -> None:
    other = {**inlined(TICK), "doc": "Other words.", "name": TICK}
    del other["namespace"]
    known = RegisteredSchema(("s",), text_of(other)).known_as(7, "registry")
    assert (known.record, known.fingerprint) == (TICK, current().fingerprint(TICK))


def test_a_changed_field_is_another_schema_of_the_same_name() -> None:
    other = inlined(TICK)
    other["fields"][0]["type"] = "int"
    name, fingerprint = schema_identity(other)
    assert name == TICK
    assert fingerprint != current().fingerprint(TICK)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["record", "int", "a.B", TICK]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "name", "namespace", "fields", "symbols", "items"]), inner
        )
    ),
    max_leaves=8,
)


@given(JSON | st.text(max_size=9))
def test_any_text_says_something_of_an_id(value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    known = RegisteredSchema(("a", "b"), text).known_as(7, "registry")
    assert known == RegisteredSchema(("a", "b"), text).known_as(7, "registry")
    assert (known.schema_id, known.source) == (7, "registry")
    assert known.record
    assert len(known.fingerprint) == 64


@pytest.mark.parametrize(
    "text",
    [
        '"string"',
        "not JSON",
        "[" * 100_000,
        '{"type":"enum","name":"E","namespace":"x","symbols":["a","a"]}',
    ],
)
def test_a_text_that_is_no_schema_of_ours_is_known_by_its_digest(text: str) -> None:
    known = RegisteredSchema(("a", "b"), text).known_as(7, "registry")
    assert (known.record, known.fingerprint) == ("a text of a, b", digest_of(text))


def test_two_spellings_have_one_meaning_and_docs_count_only_where_they_are_to() -> None:
    text = '{"type":"record","name":"x.R","doc":"d","fields":[{"name":"doc","type":"int"}]}'
    schema = json.loads(text)
    other = json.dumps(schema | {"name": "R", "namespace": "x"}, sort_keys=True)
    assert meaning_of(other) == meaning_of(text)
    told = json.dumps(schema | {"doc": "another"})
    assert meaning_of(told) != meaning_of(text)
    assert meaning_of(told, docs=False) == meaning_of(text, docs=False)
    renamed = text.replace('"name":"doc"', '"name":"dog"')
    assert meaning_of(renamed, docs=False) != meaning_of(text, docs=False)
