"""`seatstream tables rebuild` says what it lacks, and asks before it deletes."""

import pytest
from click.testing import CliRunner

from scripts.tables.commands import _told, rebuild
from scripts.tables.reading import Found

ADDRESSES = {"KAFKA_BROKERS": "127.0.0.1:1", "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"}


def test_without_a_database_it_names_the_setting() -> None:
    done = CliRunner().invoke(rebuild, ["--yes"], env=ADDRESSES)
    assert done.exit_code != 0
    assert "DATABASE_URL: who makes the tables anew" in done.output


def test_nothing_is_deleted_without_being_asked() -> None:
    environment = {**ADDRESSES, "DATABASE_URL": "postgresql://ann:secret@127.0.0.1:1/d"}
    done = CliRunner().invoke(rebuild, [], env=environment)
    assert done.exit_code != 0
    assert "give --yes" in done.output
    done = CliRunner().invoke(rebuild, ["--yes"], env=environment)
    assert done.exit_code != 0
    assert "127.0.0.1" in done.output
    assert "secret" not in done.output


def test_what_was_left_out_is_told_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found()
    found.rows.update(["purchases", "orders", "orders"])
    assert _told(found, "written", as_json=False) == 0
    assert capsys.readouterr().out == "written: 1 purchases, 2 orders, 0 allocations\n"
    found.left_out, found.first = 1, "issued-changelog-0, offset 3: no envelope"
    assert _told(found, "written", as_json=True) == 1
    assert '"left_out": 1' in capsys.readouterr().out
    assert _told(Found(), "would be written", as_json=False) == 1
