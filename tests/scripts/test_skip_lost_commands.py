"""What is lost is told with its offsets, for people and for machines."""

import json

from scripts.brokers.lost_commands import SEATS, Lost
from scripts.skip_lost_commands import as_json, told
from state.stores.memory import MemoryStore

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
