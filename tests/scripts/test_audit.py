"""The command's exit code is its verdict, and its output is for people or for machines."""

import json
from pathlib import Path

import pytest
from support.logs.audit_logs import sound_log

from scripts import audit as command
from scripts.auditing.checks import audit
from scripts.auditing.log import Log
from scripts.auditing.report import Report
from scripts.auditing.topics import CannotRead
from scripts.brokers import addresses
from scripts.brokers.addresses import Servers


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Return what is read in place of a broker's topics."""
    made = sound_log(7, 60)
    monkeypatch.setattr(command, "servers", lambda: Servers("nowhere:1", "http://nowhere"))

    def audited(*_: object, allow_repeats: bool, processes: int) -> Report:
        return audit(made, allow_repeats=allow_repeats)

    monkeypatch.setattr(command, "audit_apart", audited)
    return made


def test_a_sound_log_ends_with_0(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    assert "verdict: exact" in capsys.readouterr().out
    assert log.commands


def test_a_log_with_a_fault_ends_with_1_and_shows_its_records(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    partition = next(part for part, records in log.outcomes.items() if records)
    del log.outcomes[partition][0]
    assert command.main(["--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["lost"]) == ("wrong", 1)
    assert document["excerpts"]["I8 lost write"]


def test_a_log_that_is_not_at_rest_ends_with_2(log: Log) -> None:
    partition = next(part for part, records in log.commands.items() if records)
    opened = log.commands[partition][0]
    end = log.commands[partition][-1].offset + 1
    log.commands[partition].append(type(opened)(end, opened.timestamp, opened.key, opened.value))
    assert command.main([]) == 2


def test_outcomes_that_come_again_are_allowed_when_told_so(log: Log) -> None:
    partition = next(part for part, records in log.outcomes.items() if records)
    log.outcomes[partition].append(log.outcomes[partition][-1])
    assert command.main([]) == 1
    assert command.main(["--allow-repeats"]) == 0


def test_a_log_that_cannot_be_read_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreadable(*_: object, **__: object) -> Report:
        raise CannotRead("no end in sight")

    monkeypatch.setattr(command, "servers", lambda: Servers("nowhere:1", "http://nowhere"))
    monkeypatch.setattr(command, "audit_apart", unreadable)
    assert command.main([]) == 3
    assert capsys.readouterr().out == "no end in sight\n"
    assert command.main(["--json"]) == 3
    assert json.loads(capsys.readouterr().out) == {"error": "no end in sight"}


def test_without_a_broker_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(addresses, "STACK_HOME", tmp_path)
    assert command.main([]) == 3
    assert "no broker" in capsys.readouterr().out
