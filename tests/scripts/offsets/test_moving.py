"""What is written down of a move names all of it, and the owner stays named.

That the broker refuses a group with members is shown in
`tests/integration/test_scripts_on_a_broker.py`.
"""

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from scripts.offsets.moving import action_of, positions_of, settings_for
from scripts.offsets.plan import Move

MOVE = Move(("section-commands", 7), 50, 10, "seats-w1-3")


def test_the_owner_stays_named_so_that_it_is_fenced() -> None:
    assert positions_of([MOVE]) == {
        TopicPartition("section-commands", 7): OffsetAndMetadata(10, "seats-w1-3")
    }


def test_what_is_written_down_names_group_place_from_to_who_and_why() -> None:
    told = dict(action_of(MOVE, "seatstream-seats", "ann", "backup\n", 99))
    assert told["operator-action"] == b"set-offset"
    assert {
        told[f"operator-{name}"] for name in ("group", "place", "was", "to", "by", "at-ms")
    } == {*(b"seatstream-seats", b"section-commands-7", b"50", b"10", b"ann", b"99")}


def test_the_group_is_that_of_the_workers() -> None:
    assert settings_for("localhost:1").app_id == "seatstream-seats"
