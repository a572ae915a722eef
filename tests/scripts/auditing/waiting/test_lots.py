"""Whoever reads the topic finds that nobody chose the order, or how somebody did."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from schemas.topics import WAITING_TURNS
from scripts.auditing.topics import LogRecord
from scripts.auditing.waiting import lots as verifying
from scripts.auditing.waiting.lots import NotShown, judge
from scripts.brokers.addresses import Servers
from scripts.history.reading import Unread
from scripts.program.main import run
from state.domain.waiting.lots import commitment_of, first_turn, lot_of, turn_by_lot, undrawn_turn

EVENT = 7
OPENS_MS = 1_900_000_000_000
SEED, OTHER = bytes(range(32)), bytes(32)
NAMES = ("ann", "ben", "Ænne", "cy")
Told = tuple[str, dict[str, Any]]


def given(user: str, turn: int | None = None, step: str = "GIVEN", event: int = EVENT) -> Told:
    turn = turn_by_lot(SEED, OPENS_MS, user) if turn is None else turn
    return "TurnChanged", {
        "eventId": event, "userId": user, "turn": turn, "step": step, "lastMs": 0
    }  # fmt: skip


def seed(told: bytes = b"", of: bytes = SEED, opens_ms: int = OPENS_MS) -> Told:
    return "SeedTold", {
        "eventId": EVENT, "opensMs": opens_ms, "commitment": commitment_of(of), "seed": told.hex()
    }  # fmt: skip


HONEST: list[Told] = [
    seed(of=OTHER, opens_ms=OPENS_MS + 1),
    seed(),
    *(given(name) for name in NAMES),
    given("late", first_turn(OPENS_MS) + 5),
    given("cy", step="ENDED"),
    given("elsewhere", 1, event=8),
    seed(SEED),
    given("cy", first_turn(OPENS_MS) + 6),
]


def records(told: Iterable[Told], partition: int = 0) -> list[Any]:
    return [
        (partition, LogRecord(offset, 0, b"", b""), name, fields)
        for offset, (name, fields) in enumerate(told)
    ]


def test_d31_an_honest_order_is_proved_with_the_place_of_everybody() -> None:
    [opening] = judge(records(HONEST), EVENT)
    drawn = sorted(NAMES, key=lambda name: lot_of(SEED, name))
    assert opening.faults == []
    assert opening.places == {name: place for place, name in enumerate(drawn, 1)}
    assert (opening.by_lot, opening.behind_the_seed) == (4, 0)
    # Where it lies on several partitions, each has the commitment before whoever enters.
    halves = [*records([seed(), given("ann"), seed(SEED)]), *records([seed(), given("ben")], 1)]
    [opening] = judge(halves, EVENT)
    assert (opening.faults, opening.by_lot) == ([], 2)
    # What is written again behind the seed is told, and no fault: Kafka keeps the last alone.
    [opening] = judge(records([*HONEST, given("ann")]), EVENT)
    assert (opening.faults, opening.behind_the_seed) == ([], 1)


@pytest.mark.parametrize(
    ("forge", "fault"),
    [
        (lambda told: [*told[:1], given("eve"), *told[1:]], "eve entered before the commitment"),
        (lambda told: [one for one in told if one != seed()], "entered before the commitment"),
        (
            lambda told: [*told, given("eve", undrawn_turn(OPENS_MS) + 1)],
            "eve stands at turn",
        ),
        (lambda told: [*told, given("eve", 5)], "eve stands before all lots"),
        (lambda told: [*told, seed(OTHER)], "two seeds"),
        (lambda _: [seed(), given("ann"), seed(OTHER)], "not the one that was committed to"),
        (lambda _: [seed(), given("ann"), seed(SEED[:5])], "not the one that was committed to"),
        (lambda told: [*told, seed(opens_ms=OPENS_MS + 1_000)], "two openings"),
    ],
)
def test_d31_each_way_to_have_chosen_the_order_is_found(
    forge: Callable[[list[Told]], list[Told]], fault: str
) -> None:
    [opening] = judge(records(forge(HONEST)), EVENT)
    assert any(fault in one for one in opening.faults), opening.faults


def test_d31_who_stood_there_before_and_has_gone_stands_before_nobody() -> None:
    former = [given("eve", 5), given("eve", 5, "ENDED")]
    [opening] = judge(records([*former, *HONEST]), EVENT)
    assert opening.faults == []


def test_d31_before_the_opening_and_without_lots_nothing_is_said() -> None:
    for told, why in (([seed(), given("ann")], "not told yet"), ([given("ann", 5)], "nobody")):
        with pytest.raises(NotShown, match=why):
            judge(records(told), EVENT)


def test_d31_what_an_auditor_types(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told, unreadable = HONEST, 0

    def read(_: Servers, event: int, unread: Unread) -> list[Any]:
        assert event == EVENT
        for at in range(unreadable):
            unread.note(WAITING_TURNS, 0, at, "no schema")
        return records(told)

    monkeypatch.setattr(verifying, "servers", lambda: Servers("localhost:1", ""))
    monkeypatch.setattr(verifying, "read", read)
    words = ["waiting-room", "verify", str(EVENT)]
    place = sorted(NAMES, key=lambda name: lot_of(SEED, name)).index("ben") + 1
    assert run([*words, "--user", "ben"]) == 0
    said = capsys.readouterr().out
    assert f"ben: place {place}\n" in said
    assert "nobody chose this order" in said
    assert run([*words, "--json", "--user", "ben"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["proved"]
    assert document["openings"][0]["place"] == place
    told = [*HONEST, given("eve", 5)]
    assert run(words) == 1
    assert "not so: eve stands before all lots" in capsys.readouterr().out
    told = [seed()]
    assert run(words) == 2
    told, unreadable = HONEST, 2
    assert run(words) == 2
    assert "2 cannot be read" in capsys.readouterr().err
    assert run([*words, "--despite-unreadable"]) == 0
