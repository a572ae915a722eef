"""One ladder opens every command, and a quick way past it decides the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from support.seats.section_commands import (
    CODECS,
    ELSEWHERE,
    EVENT,
    START_MS,
    B,
    Pair,
    Partition,
    block,
    claim_payment,
    confirm,
    extend,
    fail_payment,
    hold,
    hold_chosen,
    hold_in_pieces,
    logs,
    open_section,
    opened,
    refund_seats,
    release,
    sale_window,
    start_payment,
    tick,
    unblock,
)

from schemas.topics import RESERVATION_OUTCOMES, SEAT_UNLOCK, SECTION_COMMANDS, SECTION_STATUS
from serdes.decoding import Decoded
from state.domain.keys import section_key
from state.domain.reasons import Reason
from streams.batch import Told
from streams.change_sections.decide import command_of
from streams.change_sections.fold import COMMANDS, TICK
from streams.driver import PipedRecord

PAIRS = {
    "OpenSection": open_section(".."),
    "HoldBestAvailable": hold("r1", 1),
    "HoldInPieces": hold_in_pieces("r1", 3),
    "HoldChosenSeats": hold_chosen("r1", [(0, 0)]),
    "ConfirmReservation": confirm("r1"),
    "ReleaseReservation": release("r1"),
    "ExtendHold": extend("r1"),
    "BlockSeats": block([(0, 0, 1)]),
    "UnblockSeats": unblock([(0, 0, 1)]),
    "ChangeSaleWindow": sale_window(0, 5),
    "StartPayment": start_payment("r1"),
    "ClaimPayment": claim_payment("r1", 9_000),
    "FailPayment": fail_payment("r1"),
    "RefundSeats": refund_seats("r1"),
}


def test_every_command_of_the_topic_has_its_names_but_for_the_tick() -> None:
    named = {}
    for name, (_, value) in PAIRS.items():
        verdict = CODECS.commands.decode(value)
        assert isinstance(verdict, Decoded)
        command = command_of(verdict)
        assert command == verdict.fields
        named[COMMANDS + name] = type(command).__name__
    assert named == {COMMANDS + name: name for name in PAIRS}
    assert {*named, TICK} == set(SECTION_COMMANDS.records)
    assert command_of(Decoded(TICK, (5,))) is None


@given(logs())
def test_the_quick_way_of_new_holds_decides_as_the_ladder_does(log: list[PipedRecord]) -> None:
    """Where no section is decoded yet, every hold climbs the ladder."""
    quick, ladder = Partition(log=list(log)), Partition(log=list(log))
    quick.fold(log)
    for record in log:
        ladder.forget()
        ladder.fold([record])
    assert quick.outcomes == ladder.outcomes
    assert quick.kept() == ladder.kept()
    assert quick.decisions == ladder.decisions


def test_b27_a_key_that_is_not_the_section_is_refused_and_not_stored() -> None:
    partition = opened("....")
    _, value = hold("r1", 1)
    for key in (section_key(EVENT, B), b"", b"tick"):
        (rejected,) = partition.send((key, value))
        assert (rejected.name, rejected.reason) == ("ReservationRejected", Reason.KEY_MISMATCH)
        assert rejected.version == 0
    assert partition.send(hold("r1", 1))[0].name == "SeatsHeld"


def test_b28_a_missing_key_is_refused_where_the_id_can_be_read() -> None:
    partition = opened("....")
    (rejected,) = partition.send((None, hold("r1", 1)[1]))
    assert rejected.reason is Reason.KEY_MISMATCH
    partition.send((None, b"rubbish"))
    assert partition.dead == ["BAD_WIRE_HEADER"]


@pytest.mark.parametrize(
    ("pair", "name"),
    [
        (hold("r1", 1, section=ELSEWHERE), "ReservationRejected"),
        (confirm("r1", section=ELSEWHERE), "CommandRefused"),
        (release("r1", section=ELSEWHERE), "CommandRefused"),
        (block([(0, 0, 1)], section=ELSEWHERE), "CommandRefused"),
        (open_section("..", section=ELSEWHERE), "CommandRefused"),
    ],
)
def test_b29_f07_a_section_of_another_partition_is_never_touched(pair: Pair, name: str) -> None:
    partition = opened("....")
    before = partition.stored()
    (refused,) = partition.send(pair)
    assert (refused.name, refused.reason) == (name, Reason.WRONG_PARTITION)
    after = partition.stored()
    assert {key: after[key] for key in after if key != b"p"} == {
        key: before[key] for key in before if key != b"p"
    }


def test_a_refused_command_touches_its_section_and_changes_no_seat() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    before = partition.status()
    partition.now_ms += 5
    (refused,) = partition.send(confirm("r1", 9))
    after = partition.status()
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.STALE_EPOCH)
    assert (after.version, after.availableCount) == (before.version, before.availableCount)
    assert after.timestamp == before.timestamp + 5


def test_what_cannot_be_read_moves_the_time_and_ends_what_is_due() -> None:
    partition = opened("....", hold_ms=1_000)
    partition.send(hold("r1", 2), tick(START_MS + 1_000))
    partition.now_ms += 1_000
    (lapsed,) = partition.send((b"k", b"rubbish"))
    assert (lapsed.name, lapsed.reservation) == ("ReservationReleased", "r1")
    assert partition.dead == ["BAD_WIRE_HEADER"]


@pytest.mark.parametrize(
    ("passed_ms", "name"),
    [
        (9, "ReservationRejected"),
        (10, "SeatsHeld"),
        (19, "SeatsHeld"),
        (20, "ReservationRejected"),
    ],
)
def test_the_quick_way_knows_the_first_and_the_last_moment_of_a_sale(
    passed_ms: int, name: str
) -> None:
    partition = opened("....", starts_ms=START_MS + 10, ends_ms=START_MS + 20)
    partition.now_ms += passed_ms
    assert partition.send(hold("r1", 1))[0].name == name


@pytest.mark.parametrize(("count", "is_held"), [(0, False), (1, True), (3, True), (4, False)])
def test_the_quick_way_knows_the_smallest_and_the_largest_hold(count: int, is_held: bool) -> None:
    partition = opened("....", limit=3)
    (told,) = partition.send(hold("r1", count))
    assert (told.name == "SeatsHeld") is is_held
    assert is_held or told.reason is Reason.BAD_COUNT


@given(logs())
def test_ids_in_headers_change_no_decision_and_go_on_to_what_is_decided(
    log: list[PipedRecord],
) -> None:
    """But for what lapses at a record; wherever a batch ends."""
    plain, whole, parted = Partition(), Partition(), Partition()
    sent = [
        replace(record, headers=(("correlation-id", b"%d" % record.offset),) * (number % 2))
        for number, record in enumerate(log)
    ]
    expected, found = plain.run(log), whole.run(sent)
    assert whole.stored() == plain.stored()
    for topic, records in expected.outgoing.items():
        assert [one[:2] for one in found.outgoing[topic]] == [one[:2] for one in records]
    each: dict[str, list[Told]] = {}
    for record in sent:
        for topic, records in parted.run([record]).outgoing.items():
            assert {ids_of(one) for one in records} <= {(), record.headers}
            each.setdefault(topic, []).extend(records)
    for topic in found.outgoing.keys() - {SECTION_STATUS.name}:
        assert list(map(ids_of, each[topic])) == list(map(ids_of, found.outgoing[topic]))


def ids_of(record: Told) -> tuple[tuple[str, bytes], ...]:
    return tuple(record[2]) if len(record) > 2 else ()


def test_what_lapses_at_a_record_follows_from_no_record() -> None:
    """Whatever is published of it, to whatever topic; the record itself goes on as ever."""
    partition = opened("....")
    partition.send(hold("old", 1))
    partition.now_ms += 3_600_000
    ids = (("correlation-id", b"c1"),)
    log = partition.append(tick(partition.now_ms), hold("new", 1))
    told = partition.run([replace(record, headers=ids) for record in log]).outgoing
    followed = {
        topic: [(one[0], ids_of(one)) for one in records] for topic, records in told.items()
    }
    assert followed.pop(RESERVATION_OUTCOMES.name) == [(b"old", ()), (b"new", ids)]
    assert followed.keys() >= {SEAT_UNLOCK.name}
    assert {one[1] for records in followed.values() for one in records} == {()}
