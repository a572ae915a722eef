"""A target gets what it lacks, in order, or nothing at all where it says something else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.registry_fake import FakeRegistry, fake_registry

from schemas.topics import subjects
from scripts.contracts.promoting import (
    planned,
    promote,
    release_of,
    versions_in,
)
from scripts.contracts.registering import COMPATIBILITY
from serdes.avro.schema_files import current, releases
from serdes.registry.client import Registry, Version, fetch_ids
from serdes.registry.ids import meaning_of

NAMES = ("a", "b", "c")
SUBJECT, RECORD = next(iter(subjects().items()))


def text(number: int) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": [], "doc": f"version {number}"})


def listed(*numbers: int) -> list[Version]:
    return [Version(at, at + 100, text(number)) for at, number in enumerate(numbers, start=1)]


versions_ = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.integers(0, 3), max_size=4).map(lambda it: listed(*it))
)


def texts(versions: list[Version]) -> list[str]:
    return [one.text for one in versions]


@given(versions_, versions_)
def test_what_is_there_and_what_it_lacks_are_the_source_or_it_is_contradicted(
    source: dict[str, list[Version]], target: dict[str, list[Version]]
) -> None:
    for promotion in planned(source, target):
        here, there = source[promotion.subject], target.get(promotion.subject, [])
        is_beginning = texts(there) == texts(here)[: len(there)]
        assert (not promotion.why) == is_beginning
        if is_beginning:
            assert texts(there) + texts([*promotion.lacks]) == texts(here)
        else:
            assert promotion.lacks == ()


def test_two_spellings_of_one_schema_have_one_meaning_and_another_default_has_not() -> None:
    short = '{"type":"record","name":"x.R","fields":[{"name":"f","type":"int","default":0}]}'
    spelled = json.dumps(
        {
            "type": "record",
            "name": "R",
            "namespace": "x",
            "fields": [{"name": "f", "type": "int", "default": 0}],
        }
    )
    assert meaning_of(short) == meaning_of(spelled)
    assert meaning_of(short) != meaning_of(short.replace('"default":0', '"default":1'))
    assert meaning_of("no schema") != meaning_of("none")


def both(source: FakeRegistry, target: FakeRegistry) -> tuple[Registry, Registry]:
    return Registry(source.url, timeout_s=20.0), Registry(target.url, timeout_s=20.0)


def test_a_registry_gets_all_versions_in_order_under_ids_of_its_own_and_nothing_twice() -> None:
    with fake_registry() as source, fake_registry() as target:
        target.first_id = 900
        for number in (1, 2, 3):
            source.add(SUBJECT, text(number))
        target.add(SUBJECT, text(1))
        here, there = both(source, target)
        names = list(subjects())[:2]
        promotions = planned(versions_in(here, names), versions_in(there, names))
        done = promote(there, promotions)
        assert [(subject, version.number) for subject, version, _ in done] == [
            (SUBJECT, 2),
            (SUBJECT, 3),
        ]
        assert [target.texts[at] for at in target.versions[SUBJECT]] == [text(1), text(2), text(3)]
        assert target.levels == {SUBJECT: COMPATIBILITY}
        again = planned(versions_in(here, names), versions_in(there, names))
        assert promote(there, again) == []


def test_a_version_is_known_by_the_release_that_wrote_it_first() -> None:
    first = next(files for files in releases() if RECORD in files.path_by_name)
    number = releases().index(first) + 1
    assert release_of(SUBJECT, first.text(RECORD)) == f"v{number}"
    assert release_of(SUBJECT, text(1)) == ""
    assert release_of("nobody", current().text(RECORD)) == ""


def in_other_order(text: str) -> str:
    """Return a schema as Karapace keeps it."""
    return json.dumps(json.loads(text), sort_keys=True)


def without_namespaces(text: str) -> str:
    """Return a schema without the namespaces that are those of the definition around."""

    def shorter(part: Any, namespace: str) -> Any:
        if isinstance(part, list):
            return [shorter(one, namespace) for one in part]
        if not isinstance(part, dict):
            return part
        own = part.get("namespace", namespace)
        return {
            name: shorter(value, own)
            for name, value in part.items()
            if name != "namespace" or own != namespace
        }

    return json.dumps(shorter(json.loads(text), ""))


@pytest.mark.parametrize("writes", [in_other_order, without_namespaces])
@pytest.mark.parametrize("is_source", [True, False])
def test_a_registry_that_writes_schemas_otherwise_lacks_nothing_once_it_was_given_all(
    writes: Callable[[str], str], is_source: bool
) -> None:
    """As Karapace 6.2 and Apicurio 2.6 do: of neither a text is found by its bytes."""
    with fake_registry() as source, fake_registry() as target:
        (source if is_source else target).writes = writes
        target.first_id = 900
        for subject, record in subjects().items():
            source.add(subject, current().text(record))
        here, there = both(source, target)
        promote(there, planned(versions_in(here, subjects()), versions_in(there, subjects())))
        again = planned(versions_in(here, subjects()), versions_in(there, subjects()))
        assert [one for one in again if one.lacks or one.why] == []
        # What a worker asks at its start.
        ids = fetch_ids(there).id_by_subject
        assert ids == {subject: target.versions[subject][-1] for subject in subjects()}
