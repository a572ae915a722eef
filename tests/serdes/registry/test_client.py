"""Ids come from the registry, else from a file that fits; unknown ids are asked for.

A registry of our own over HTTP plays the faults; one test asks the real one.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.records.registry_fake import FakeRegistry, fake_registry

from schemas.topics import SECTION_COMMANDS, subject, subjects
from scripts.contracts.registering import differences, register
from serdes.avro.schema_files import current
from serdes.decoding import FOREIGN_SUBJECT, Decoded, TopicDecoder, Undecodable, UnknownSchema
from serdes.encoding import encoders
from serdes.registry.client import (
    NotRegisteredError,
    Registry,
    RegistryUnavailableError,
    fetch_ids,
)
from serdes.registry.id_files import PINS_FILE, read_ids, write_ids
from serdes.registry.ids import SchemaIds, counted_ids
from serdes.schema_source import SchemaSource
from serdes.wire import header_of

TICK = "io.seatstream.commands.Tick"
TICK_SUBJECT = subject(SECTION_COMMANDS, TICK)


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry(first_id=40) as registry:
        yield registry


def filled(fake: FakeRegistry) -> Registry:
    registry = Registry(fake.url, timeout_s=5)
    register(registry)
    return registry


def test_ids_are_those_of_our_exact_texts(fake: FakeRegistry) -> None:
    fake.add("a-subject-of-others", '"string"')
    registry = filled(fake)
    ids = fetch_ids(registry)
    assert ids.id_by_subject.keys() == subjects().keys()
    for name, schema_id in ids.id_by_subject.items():
        assert fake.texts[schema_id] == current().text(subjects()[name])
    assert ids.source == f"registry {fake.url}"


def test_asking_for_ids_registers_nothing(fake: FakeRegistry) -> None:
    with pytest.raises(NotRegisteredError, match="section-commands-"):
        fetch_ids(Registry(fake.url))
    assert fake.versions == {}
    assert all(request.startswith("POST /subjects/") for request in fake.requests)
    assert not any(request.endswith("/versions") for request in fake.requests)


def test_f85_a_registry_that_is_down_is_replaced_by_the_last_answer(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    cache = tmp_path / "data" / "schema_ids.json"
    filled(fake)
    first = SchemaSource(fake.url, cache)
    known = first.ids()
    first.confirm()
    fake.answers = (503, b"down")
    again = SchemaSource(fake.url, cache).ids()
    assert again.id_by_subject == known.id_by_subject
    assert again.source == f"cache {cache}"


def test_without_a_cache_the_pins_serve(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.answers = (503, b"down")
    ids = SchemaSource(fake.url, tmp_path / "none.json").ids()
    assert ids == SchemaIds(read_ids(PINS_FILE))
    assert ids.source == f"pins {PINS_FILE}"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"a": 1}'])
def test_a_damaged_file_of_ids_is_not_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ids.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError):
        read_ids(path)


def test_ids_of_another_version_of_a_schema_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    write_ids(path, counted_ids())
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries[TICK_SUBJECT]["digest"] = "0" * 64
    path.write_text(json.dumps(entries), encoding="utf-8")
    with pytest.raises(ValueError, match=r"another version of .*Tick"):
        read_ids(path)


def test_the_pins_of_the_repository_are_of_the_current_schemas() -> None:
    assert read_ids(PINS_FILE).keys() == subjects().keys()


@pytest.mark.parametrize(
    "answer",
    [
        (404, b"<html>no such page"),
        (404, b"{}"),
        (500, b"oops"),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"id": "x"}'),
        (200, b""),
        # A library that reads it level by level has no more room for its own calls.
        (200, b"[" * 100_000),
        (404, b"[" * 100_000),
    ],
)
def test_an_answer_that_is_none_counts_as_down(
    fake: FakeRegistry, answer: tuple[int, bytes]
) -> None:
    fake.answers = answer
    with pytest.raises(RegistryUnavailableError):
        fetch_ids(Registry(fake.url))
    with pytest.raises(RegistryUnavailableError):
        Registry(fake.url).schema_of(1)


def test_a_registry_that_hangs_counts_as_down_after_its_time(fake: FakeRegistry) -> None:
    fake.hangs = True
    with pytest.raises(RegistryUnavailableError, match="timed out"):
        Registry(fake.url, timeout_s=0.2).schema_of(1)


def test_a_port_where_nobody_listens_counts_as_down() -> None:
    with fake_registry() as gone:
        pass
    with pytest.raises(RegistryUnavailableError):
        Registry(gone.url).schema_of(1)


def test_b06_an_unknown_id_is_asked_for_and_then_decoded(fake: FakeRegistry) -> None:
    registry = filled(fake)
    schema_id = fetch_ids(registry).id_by_subject[TICK_SUBJECT]
    decoder = TopicDecoder(SECTION_COMMANDS, counted_ids(first=1000))
    value = header_of(schema_id) + b"\x02"
    assert decoder.decode(value) == UnknownSchema(schema_id)
    found = registry.schema_of(schema_id)
    assert found is not None
    decoder.learn(schema_id, found)
    assert decoder.decode(value) == Decoded(TICK, (1,))


def test_b06_an_id_that_the_registry_does_not_know_stays_unknown(fake: FakeRegistry) -> None:
    assert filled(fake).schema_of(7) is None


def test_b07_an_id_of_a_subject_of_others_is_foreign(fake: FakeRegistry) -> None:
    registry = filled(fake)
    foreign = fake.add("a-subject-of-others", '"string"')
    decoder = TopicDecoder(SECTION_COMMANDS, fetch_ids(registry))
    found = registry.schema_of(foreign)
    assert found is not None
    decoder.learn(foreign, found)
    verdict = decoder.decode(header_of(foreign) + b"\x02")
    assert isinstance(verdict, Undecodable)
    assert verdict.reason == FOREIGN_SUBJECT


def test_encoders_write_our_ids(fake: FakeRegistry) -> None:
    ids = fetch_ids(filled(fake))
    value = encoders(SECTION_COMMANDS, ids)[TICK](1)
    assert value == header_of(ids.id_by_subject[TICK_SUBJECT]) + b"\x02"


@pytest.mark.kafka
def test_the_real_registry_gives_ids_and_schemas(registry_url: str) -> None:
    registry = Registry(registry_url)
    done = register(registry)
    assert all(each.schema_id is not None for each in done), done
    ids = fetch_ids(registry)
    assert ids == SchemaIds({each.subject: each.schema_id or 0 for each in done})
    assert {each.state for each in register(registry)} == {"registered"}
    assert differences(registry) == []
    tick_id = ids.id_by_subject[TICK_SUBJECT]
    found = registry.schema_of(tick_id)
    assert found is not None
    assert TICK_SUBJECT in found.subjects
    assert registry.schema_of(2**31 - 1) is None
    decoder = TopicDecoder(SECTION_COMMANDS, counted_ids(first=10_000))
    decoder.learn(tick_id, found)
    assert decoder.decode(header_of(tick_id) + b"\x02") == Decoded(TICK, (1,))


@pytest.mark.kafka
def test_the_real_registry_refuses_what_breaks_readers(registry_url: str) -> None:
    registry = Registry(registry_url)
    register(registry)
    broken = current().text(TICK).replace("timerMs", "clockMs")
    path = f"subjects/{TICK_SUBJECT}/versions"
    with pytest.raises(Exception, match="409"):
        registry.call("POST", path, {"schema": broken})
