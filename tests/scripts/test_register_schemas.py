"""The command registers, compares, and says what it could not do."""

import json
from collections.abc import Iterator

import pytest
from support.records.registry_fake import FakeRegistry, fake_registry

from schemas.topics import SECTION_COMMANDS, subject, subjects
from scripts.register_schemas import main
from serdes.avro.schema_files import current

TICK = "io.seatstream.commands.Tick"
TICK_SUBJECT = subject(SECTION_COMMANDS, TICK)


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry(first_id=400) as registry:
        yield registry


@pytest.mark.parametrize("compares_all", [True, False])
def test_an_incompatible_schema_is_named_whatever_the_registry_compares_at_once(
    fake: FakeRegistry, compares_all: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.compares_all = compares_all
    fake.add(TICK_SUBJECT, current().text(TICK).replace("timerMs", "clockMs"))
    fake.incompatible.add(TICK_SUBJECT)
    for arguments in (["register", "--dry-run"], ["register"]):
        assert main([*arguments, "--registry", fake.url]) == 1
        assert f"incompatible    {TICK_SUBJECT}" in capsys.readouterr().out
    assert main(["diff", "--registry", fake.url]) == 1
    assert '-      "name": "clockMs",' in capsys.readouterr().out


def test_no_registry_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_registry() as gone:
        pass
    assert main(["register", "--registry", gone.url, "--wait", "0"]) == 2
    told = capsys.readouterr().err
    assert gone.url in told
    assert "--wait" in told


def test_f7_a_registry_that_is_busy_is_asked_again(
    fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answers = (503, b"busy")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        fake.answers = None

    monkeypatch.setattr("scripts.contracts.patient_registry.time.sleep", pause)
    assert main(["register", "--registry", fake.url]) == 0
    assert pauses
    assert "new" in capsys.readouterr().out


def test_registered_ids_are_printed_as_json(
    fake: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["register", "--json", "--registry", fake.url]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {each["subject"]: each["schema_id"] for each in printed} == {
        name: 400 + index for index, name in enumerate(subjects())
    }


def test_a_dry_run_ends_with_1_until_all_is_registered(fake: FakeRegistry) -> None:
    dry = ["register", "--dry-run", "--registry", fake.url]
    assert main(dry) == 1
    assert main(["register", "--registry", fake.url]) == 0
    assert main(dry) == 0


def test_a_difference_in_documentation_alone_is_one_and_is_told_as_such(
    fake: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["register", "--registry", fake.url]) == 0
    told = json.loads(current().text(TICK))
    fake.add(TICK_SUBJECT, json.dumps(told | {"doc": "Another word."}))
    capsys.readouterr()
    assert main(["diff", "--registry", fake.url]) == 1
    assert f"{TICK_SUBJECT}: only documentation differs" in capsys.readouterr().out
