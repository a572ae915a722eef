"""`seatstream tables rebuild` says what it lacks, and deletes nothing that it cannot write."""

import json
import re

import pytest
from click.testing import CliRunner

from infra.paths import ROOT
from scripts.brokers.addresses import servers_named
from scripts.rebuilding.one_at_a_time import alone
from scripts.tables import commands
from scripts.tables.commands import rebuild, refusal, tell
from scripts.tables.reading import TABLES, Found

ADDRESSES = {"KAFKA_BROKERS": "127.0.0.1:1", "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"}
BEFORE = {"purchases": 3, "orders": 3, "tickets": 6, "allocations": 1}


@pytest.fixture(autouse=True)
def _brokers_that_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "servers", servers_named)


def found_of(purchases: int, allocations: int, unread: int = 0) -> Found:
    found = Found()
    found.rows.update({"purchases": purchases, "orders": purchases, "allocations": allocations})
    found.values.update({"issued-changelog": purchases, "allocations-changelog": allocations})
    found.values["slots-changelog"] = 1
    for at in range(unread):
        found.unread["issued-changelog", 0, b"%d" % at] = f"issued-changelog-0, offset {at}: bad"
    return found


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


def test_who_comes_second_is_told_so_at_once(redis_url: str) -> None:
    database = {"DATABASE_URL": "postgresql://127.0.0.1:1/d", "REDIS_URL": redis_url}
    with alone("the tables", redis_url):
        done = CliRunner().invoke(rebuild, ["--yes"], env=ADDRESSES | database)
    assert done.exit_code != 0
    assert "somebody is making the tables anew" in done.output


@pytest.mark.parametrize(
    ("found", "table"),
    [
        (found_of(0, 0), "purchases"),
        (found_of(3, 0), "allocations"),
        (found_of(0, 0, 2), "orders"),
    ],
)
def test_it_refuses_where_nothing_was_read_for_a_table_with_rows(found: Found, table: str) -> None:
    before = {table: 7}
    assert f" for {table}, a table with 7 rows" in refusal(found, before, 9)
    # A new database has nothing to lose.
    assert refusal(found, {}, 9) == ""


def test_it_refuses_values_that_nobody_gave_up_by_their_number() -> None:
    found = found_of(3, 1, unread=2)
    for given_up in (0, 1):
        why = refusal(found, BEFORE, given_up)
        assert "2 values cannot be read; the first is issued-changelog-0, offset 0: bad" in why
        assert "--leave-out 2" in why
    assert refusal(found, BEFORE, 2) == refusal(found_of(3, 1), BEFORE, 0) == ""


def test_rows_are_told_as_they_were_and_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    tell(found_of(2, 0), BEFORE, "written", "", as_json=False)
    assert capsys.readouterr().out == (
        "before: 3 purchases, 3 orders, 1 allocations, 0 slots\n"
        "written: 2 purchases, 2 orders, 0 allocations, 0 slots\n"
    )
    tell(found_of(2, 0, unread=1), BEFORE, "would be written", "too few", as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "purchases": 2,
        "orders": 2,
        "allocations": 0,
        "slots": 0,
        "before": {"purchases": 3, "orders": 3, "allocations": 1, "slots": 0},
        "left_out": 1,
        "first_left_out": "issued-changelog-0, offset 0: bad",
        "error": "too few",
    }
    tell(found_of(2, 0, unread=1), BEFORE, "would be written", "too few", as_json=False)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "left out: 1 values; the first is issued-changelog-0, offset 0: bad",
        "Refused: too few",
    ]


def test_the_rights_that_are_listed_are_those_of_the_topics_that_are_read() -> None:
    listed = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    [topics] = re.findall(r"^\| `tables` \| topics (.*) \| `Read` \|$", listed, re.MULTILINE)
    assert set(re.findall(r"`([^`]+)`", topics)) == {topic.name for topic in TABLES.values()}
