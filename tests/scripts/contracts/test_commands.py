"""What an operator types about two registries, from the words to the exit code."""

import json
from collections.abc import Iterator

import pytest
from support.records.registry_fake import FakeRegistry, fake_registry

from schemas.topics import subjects
from scripts.program.main import run
from serdes.avro.schema_files import current

Registries = tuple[FakeRegistry, FakeRegistry]


@pytest.fixture
def registries() -> Iterator[Registries]:
    with fake_registry() as source, fake_registry() as target:
        for subject, record in subjects().items():
            source.add(subject, current().text(record))
        target.first_id = 500
        yield source, target


def promote(registries: Registries, *more: str) -> int:
    source, target = registries
    return run(["schemas", "promote", "--from", source.url, "--to", target.url, *more])


def test_all_of_ours_is_carried_over_once(
    registries: Registries, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = registries
    assert promote(registries, "--dry-run") == 1
    assert target.versions == {}
    assert promote(registries, "--yes") == 0
    assert target.versions.keys() == source.versions.keys()
    capsys.readouterr()
    assert promote(registries, "--yes") == 0
    assert capsys.readouterr().out == "the target has all of them\n"
    assert run(["schemas", "versions", "--registry", target.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == subjects().keys()


def test_a_target_that_says_something_else_gets_nothing(
    registries: Registries, capsys: pytest.CaptureFixture[str]
) -> None:
    _, target = registries
    subject = list(subjects())[3]
    target.add(subject, '{"type": "record", "name": "Other", "fields": []}')
    before = dict(target.versions)
    assert promote(registries, "--yes") == 2
    assert f"{subject}: its version 1 says something else" in capsys.readouterr().err
    assert target.versions == before


def test_a_source_that_has_none_of_ours_is_the_wrong_one(
    registries: Registries, capsys: pytest.CaptureFixture[str]
) -> None:
    _, target = registries
    with fake_registry() as empty:
        for one in (target.url, empty.url):
            words = ["schemas", "promote", "--from", empty.url, "--to", one, "--yes"]
            assert run(words) == 2
    assert "has none of our subjects" in capsys.readouterr().err


def test_a_subject_that_the_source_lacks_is_said_and_ends_with_1(
    registries: Registries, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = registries
    subject = list(subjects())[3]
    del source.versions[subject]
    for _ in range(2):
        assert promote(registries, "--yes") == 1
        assert f"{subject}: the source does not have it" in capsys.readouterr().out
    assert target.versions.keys() == source.versions.keys()


def test_nothing_is_registered_without_a_yes(
    registries: Registries,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert promote(registries) == 2
    assert "--yes" in capsys.readouterr().err
    assert registries[1].versions == {}


def test_a_registry_that_lacks_a_subject_ends_with_1_and_one_that_is_away_with_2(
    registries: Registries,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["schemas", "versions", "--registry", registries[1].url]) == 1
    assert "not registered" in capsys.readouterr().out
    nowhere = ["--registry", "http://127.0.0.1:1", "--wait", "0"]
    assert run(["schemas", "versions", *nowhere]) == 2
    monkeypatch.delenv("SCHEMA_REGISTRY_URL", raising=False)
    assert run(["schemas", "versions"]) == 2
    assert "SCHEMA_REGISTRY_URL" in capsys.readouterr().err
