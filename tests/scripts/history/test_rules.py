"""Which rules decided is what the ticks of the log say, and nothing else."""

from collections.abc import Callable

import pytest
from support.logs.audit_logs import ID_BY_NAME, value_of

from scripts.auditing.topics import LogRecord
from scripts.brokers.addresses import Servers
from scripts.history import reading
from scripts.history import rules as rules_module
from scripts.history.rules import STRATEGIES, Rules, rules_of
from scripts.history.timeline import Event, Position
from serdes.avro.schema_files import SCHEMA_ROOT
from streams.folding.ticks import GUARDED_TICK_KEY, TICK_KEY

WHERE = Servers("localhost:1", "http://localhost:1")
TICK = value_of("Tick", {"timerMs": 1})

Lies = Callable[[list[LogRecord], int], None]


@pytest.fixture
def lies(monkeypatch: pytest.MonkeyPatch) -> Lies:
    """Return what puts records into the only partition of the commands; first: of its offsets."""
    writers = {number: (name, None) for name, number in ID_BY_NAME.items()}
    monkeypatch.setattr(reading, "writers_of", lambda *_: (writers, []))

    def put(records: list[LogRecord], first: int = 0) -> None:
        monkeypatch.setattr(
            reading,
            "each_line",
            lambda _where, _topic, wanted, _parts: ((0, one) for one in records if wanted(one)),
        )
        monkeypatch.setattr(rules_module, "spans_of", lambda *_, **__: {0: (first, 100)})

    return put


def tick(offset: int, key: bytes = GUARDED_TICK_KEY, value: bytes = TICK) -> LogRecord:
    return LogRecord(offset, offset, key, value)


def test_version_1_holds_until_the_first_tick_of_another(lies: Lies) -> None:
    lies([tick(3, TICK_KEY), tick(5), tick(7), tick(9, TICK_KEY), tick(12, b"tick-3")], 0)
    rules = rules_of(WHERE, 0, ())
    assert rules.begins == ((0, 1), (5, 2), (12, 3))
    assert [rules.version_at(offset) for offset in (0, 4, 5, 11, 12, 99)] == [1, 1, 2, 2, 3, 3]


def test_what_retention_removed_is_not_guessed(lies: Lies) -> None:
    lies([tick(52, TICK_KEY), tick(55)], 50)
    rules = rules_of(WHERE, 0, ())
    assert rules.begins == ((55, 2),)
    lapse = Event(Position(53, False, 1), 0, "ReservationReleased", {})
    assert rules.said_of(lapse) == "rules of a time that retention removed"


@pytest.mark.parametrize("value", [b"", b"junk", TICK[:5], value_of("Tick", {"timerMs": 1})[1:]])
def test_a_stranger_under_the_key_of_a_tick_changes_no_rules(lies: Lies, value: bytes) -> None:
    lies([tick(3, value=value)], 0)
    assert rules_of(WHERE, 0, ()).begins == ((0, 1),)


def test_only_what_a_command_itself_led_to_has_a_strategy() -> None:
    rules = Rules(((0, 1), (5, 2)), {7: "HoldInPieces", 9: "ReleaseReservation"})
    told = {
        (offset, is_own): rules.said_of(Event(Position(offset, is_own, 0), 0, "SeatsHeld", {}))
        for offset in (7, 9)
        for is_own in (True, False)
    }
    assert told == {
        (7, True): "in pieces, rules 2",
        (7, False): "rules 2",
        (9, True): "rules 2",
        (9, False): "rules 2",
    }


def test_every_command_that_holds_seats_has_a_strategy() -> None:
    holds = {path.stem for path in (SCHEMA_ROOT / "commands").glob("Hold*.avsc")}
    assert holds == STRATEGIES.keys()
