"""Schemas are registered in one order and with full compatibility; a release never changes."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.records.registry_fake import FakeRegistry, fake_registry
from support.records.schema_edits import change, copied_schemas

from schemas.topics import subjects
from scripts.contracts.registering import COMPATIBILITY, differences, register, release
from scripts.register_schemas import main
from serdes.avro.schema_files import load
from serdes.registry.client import Registry

HOLD = "commands/HoldBestAvailable.avsc"


def test_a_release_is_a_copy_that_never_changes(tmp_path: Path) -> None:
    root = copied_schemas(tmp_path)
    folder = release(root, "v90")
    assert load(folder).by_name == load(root).by_name
    with pytest.raises(ValueError, match="exists"):
        release(root, "v90")


@pytest.mark.parametrize("version", ["2", "v0", "v1.1", "../v2"])
def test_a_release_has_a_plain_version(tmp_path: Path, version: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        release(copied_schemas(tmp_path), version)


def test_what_breaks_readers_is_not_released(tmp_path: Path) -> None:
    root = copied_schemas(tmp_path)
    change(root, HOLD, lambda schema: schema["fields"].pop())
    with pytest.raises(ValueError, match="not released"):
        release(root, "v90")
    assert main(["release", "v90", "--root", str(root)]) == 2


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry(first_id=40) as registry:
        yield registry


def filled(fake: FakeRegistry) -> Registry:
    registry = Registry(fake.url, timeout_s=60)
    register(registry)
    return registry


def test_registering_demands_full_compatibility_first(fake: FakeRegistry) -> None:
    filled(fake)
    assert fake.levels == dict.fromkeys(subjects(), COMPATIBILITY)
    first = next(name for name, _ in subjects().items())
    at = [request for request in fake.requests if first in request]
    # Before the text comes, but for what nothing is given.
    assert at[-1] == f"POST /subjects/{first}/versions"
    assert f"PUT /config/{first}" in at


def test_an_empty_registry_is_asked_for_nothing_that_it_cannot_have(fake: FakeRegistry) -> None:
    filled(fake)
    assert Counter(request.split("/")[0] for request in fake.requests) == {
        "GET ": 1,
        "PUT ": len(subjects()),
        "POST ": len(subjects()),
    }


def test_a_registry_that_does_not_list_its_subjects_is_filled_as_well(fake: FakeRegistry) -> None:
    fake.unlisted = True
    registry = filled(fake)
    assert {each.state for each in register(registry)} == {"registered"}
    assert fake.versions.keys() == subjects().keys()


def test_registering_twice_changes_nothing(fake: FakeRegistry) -> None:
    registry = filled(fake)
    texts = dict(fake.texts)
    assert {each.state for each in register(registry)} == {"registered"}
    assert fake.texts == texts
    assert differences(registry) == []


def test_a_registry_that_orders_attributes_in_its_own_way_differs_in_nothing(
    fake: FakeRegistry,
) -> None:
    registry = filled(fake)
    for schema_id, text in fake.texts.items():
        fake.texts[schema_id] = json.dumps(json.loads(text), sort_keys=True)
    assert differences(registry) == []


def test_a_dry_run_writes_nothing(fake: FakeRegistry) -> None:
    states = {each.state for each in register(Registry(fake.url), dry_run=True)}
    assert states == {"would register"}
    assert (fake.versions, fake.levels) == ({}, {})
