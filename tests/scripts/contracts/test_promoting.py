"""A target gets what it lacks, in order, or nothing at all where it says something else."""

import json

from hypothesis import given
from hypothesis import strategies as st
from support.records.registry_fake import FakeRegistry, fake_registry

from schemas.topics import subjects
from scripts.contracts.promoting import (
    Version,
    meaning_of,
    planned,
    promote,
    release_of,
    versions_in,
)
from scripts.contracts.registering import COMPATIBILITY
from serdes.avro.schema_files import current, releases
from serdes.registry.client import Registry

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
