"""What is lost is told with its offsets, for people and for machines."""

import json

import pytest

from scripts.brokers.lost_commands import Lost
from scripts.brokers.roles import ROLES
from scripts.skip_lost_commands import as_json, main, told, topics_of
from state.stores.memory import MemoryStore

SEATS = topics_of("seats")
LOST = [Lost(3, 10, 15, "worker-1", MemoryStore(3)), Lost(8, 0, 1, "", MemoryStore(8))]


def test_offsets_are_told_from_the_first_to_the_last_that_is_lost() -> None:
    assert told(LOST, SEATS, is_done=False).splitlines() == [
        "section-commands-3: offsets 10 to 14 (5) are lost",
        "section-commands-8: offsets 0 to 0 (1) are lost",
        "nothing was changed; --yes gives them up",
    ]


def test_what_was_given_up_is_told_as_done() -> None:
    lines = told(LOST, SEATS, is_done=True).splitlines()
    assert lines[0] == "section-commands-3: offsets 10 to 14 (5) were given up"
    assert len(lines) == 2


def test_where_nothing_is_lost_nothing_was_given_up() -> None:
    assert told([], SEATS, is_done=True).startswith("nothing is lost")
    assert json.loads(as_json([], SEATS, is_done=True)) == {"lost": [], "given_up": False}


def test_machines_get_the_first_offset_and_the_one_behind_the_last() -> None:
    told_to_machines = json.loads(as_json(LOST[:1], SEATS, is_done=True))
    first = {"topic": "section-commands", "partition": 3, "first": 10, "behind": 15}
    assert told_to_machines == {"lost": [first], "given_up": True}


@pytest.mark.parametrize("role", ROLES)
def test_what_a_worker_of_any_role_tells_an_operator_to_run_runs(
    role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to the brokers, which are none here; its wrong usage would be said before."""
    monkeypatch.delenv("KAFKA_BROKERS", raising=False)
    assert topics_of(role).changelog == ROLES[role].changelog.name
    assert main(["--role", role]) == 2
    assert "set KAFKA_BROKERS" in capsys.readouterr().err


def test_a_topic_that_two_groups_read_says_not_whose_state_is_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--topic", "purchase-created", "--brokers", "127.0.0.1:1"])
    assert ended.value.code == 2
    assert (
        "allocate_purchases and invalidate_caches and purchase_tables: name one with --role"
        in (capsys.readouterr().err)
    )
