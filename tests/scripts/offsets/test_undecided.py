"""What was passed over is not decided after all when a log is read anew."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.payments.deadly import Deadly, dying
from support.seats.section_commands import (
    CODECS,
    EVENT,
    A,
    confirm,
    hold_chosen,
    open_section,
)

from schemas.topics import DEAD_LETTER_QUEUE, SECTION_COMMANDS, Topic
from scripts.auditing.topics import LogRecord
from scripts.brokers.addresses import Servers
from scripts.letters.letter import Letter, Origin, read_letter
from scripts.letters.sending import Letters
from scripts.offsets import undecided
from scripts.offsets.plan import Impossible
from scripts.offsets.undecided import DECIDED, SKEW_MS, check_decided, why_not
from state.domain.keys import RESERVATION, section_key
from state.domain.reservation import Status
from state.records.reservation import read_reservation
from streams.change_sections.handler import route
from streams.driver import TopologyDriver
from streams.runtime.transactions.dead_letters import dead_letter_record
from topology import SEATS

WHERE = Servers("localhost:1", "http://localhost:1")
SOURCE = SECTION_COMMANDS.name
BEGAN = 1_800_000_000_000
BEGUN = {0: BEGAN, 1: BEGAN}
READABLE = b"\0\0\0\0\7by a schema that somebody may know now"
UNREADABLE = (b"", b"hello", b"\1\0\0\0\7", b"\0\xff\xff\xff\xffx", b"\0" * 65_537)
WHOLE = {0: 0, 1: 0, 2: 0}


def letter(
    part: int = 0,
    at: int = 3,
    cause: str = "QUARANTINED",
    topic: str = SOURCE,
    after_ms: int = 0,
    written_ms: int = BEGAN,
    value: bytes | None = READABLE,
) -> Letter:
    origin = Origin(topic, part, 5, BEGAN + after_ms)
    return Letter(part, at, written_ms, origin, cause, "why", b"1-A", value, (), {}, "")


def stands(driver: TopologyDriver, reservation_id: str) -> Status:
    key = RESERVATION + reservation_id.encode()
    stored = driver.get(SOURCE, section_key(EVENT, A), key)
    assert stored is not None
    return Status(read_reservation(CODECS, stored).status)


def test_s3_1_a_log_in_which_a_sold_seat_would_be_another_buyers_is_not_decided_anew() -> None:
    deadly = Deadly()
    driver = TopologyDriver(
        [dying(route(SEATS, CODECS, 1_000_000), {SOURCE: CODECS.commands}, deadly)]
    )
    driver.advance(1)
    driver.pipe(SOURCE, *open_section(".."))
    deadly.names = {"HoldChosenSeats"}
    driver.pipe(SOURCE, *hold_chosen("first", [(0, 0)], user="ann"))
    # The next release survives it.
    deadly.names = set()
    driver.pipe(SOURCE, *hold_chosen("second", [(0, 0)], user="bob"))
    driver.pipe(SOURCE, *confirm("second", user="bob"))
    assert stands(driver, "second") == Status.SOLD
    again = TopologyDriver([route(SEATS, CODECS, 1_000_000)])
    log = driver.log(SOURCE, 0)
    again.replay(SOURCE, 0, log)
    assert stands(again, "second") != Status.SOLD

    [killed] = driver.dead_letters
    key, value, headers = dead_letter_record(killed, SOURCE, 0)
    found = read_letter(0, LogRecord(0, log[0].timestamp, key, value, tuple(headers)))
    assert isinstance(found, Letter)
    said = why_not(SECTION_COMMANDS, {0: log[0].timestamp}, {0: 0}, [found])
    assert "1 commands of section-commands were passed over" in said
    assert "0:0 (QUARANTINED)" in said


@given(
    st.lists(
        st.builds(
            letter,
            part=st.integers(0, 2),
            at=st.integers(0, 9),
            cause=st.sampled_from(
                (*sorted(DECIDED), "QUARANTINED", "UNKNOWN_SCHEMA", "BAD_BODY", "LOST", "NEW")
            ),
            topic=st.sampled_from((SOURCE, "cart-commands")),
            value=st.sampled_from((READABLE, READABLE, *UNREADABLE)),
            after_ms=st.sampled_from((-2 * SKEW_MS, -1, 0, 1)),
        )
    )
)
def test_s3_1_one_letter_of_this_log_that_no_rule_refused_is_enough(letters: list[Letter]) -> None:
    is_refused = any(
        one.origin.topic == SOURCE
        and one.partition in BEGUN
        and one.cause not in DECIDED
        and one.value == READABLE
        and one.origin.timestamp > BEGAN - SKEW_MS
        for one in letters
    )
    assert bool(why_not(SECTION_COMMANDS, BEGUN, WHOLE, letters)) == is_refused


@pytest.mark.parametrize(
    ("firsts", "letters", "is_known"),
    [
        ({0: 0, 1: 0}, [], True),
        # Those before it are gone, and it was written long behind the first command, or just so.
        ({0: 3, 1: 0}, [letter(cause="KEY_MISMATCH", written_ms=BEGAN + 9)], False),
        ({0: 3, 1: 0}, [letter(cause="KEY_MISMATCH", written_ms=BEGAN - 9)], False),
        # One that is older than the log: those that are gone were older still.
        (
            {0: 3, 1: 0},
            [letter(after_ms=-3 * SKEW_MS, written_ms=BEGAN - 2 * SKEW_MS)],
            True,
        ),
        # None is left, or the partition itself is not there.
        ({0: 3, 1: 0}, [letter(part=1, cause="KEY_MISMATCH", written_ms=0)], False),
        ({0: 0}, [], False),
    ],
)
def test_s3_1_letters_that_are_gone_may_have_been_of_this_log(
    firsts: Mapping[int, int], letters: list[Letter], is_known: bool
) -> None:
    said = why_not(SECTION_COMMANDS, BEGUN, firsts, letters)
    assert (said == "") is is_known
    assert is_known or "does not reach back as far as section-commands" in said


@pytest.mark.parametrize("value", UNREADABLE)
def test_what_a_stranger_wrote_and_nobody_can_ever_read_is_passed_over_again(value: bytes) -> None:
    lying = [letter(cause="UNKNOWN_SCHEMA", value=value)]
    assert why_not(SECTION_COMMANDS, BEGUN, WHOLE, lying) == ""
    # Headers that were spelled out are longer than they were.
    spelled = [(f"{at}", b"") for at in range(1_000)]
    told = replace(letter(), headers=spelled, cut="a header has a name that is no UTF-8")
    assert why_not(SECTION_COMMANDS, BEGUN, WHOLE, [told]) != ""
    assert why_not(SECTION_COMMANDS, BEGUN, WHOLE, [replace(told, cut="")]) == ""


def test_a_partition_without_commands_needs_no_letters() -> None:
    assert why_not(SECTION_COMMANDS, {}, {0: 9}, [letter()]) == ""


def test_s3_1_the_queue_is_asked_for_what_the_log_holds_and_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Letters that were sent back count: their originals lie where they lay."""
    lying = [letter(part=1)]

    @contextmanager
    def reading(_: Servers) -> Iterator[None]:
        yield

    def read_spans(_: None, topic: Topic, spans: dict[int, Any]) -> Iterator[Any]:
        assert topic is SECTION_COMMANDS
        [part] = spans
        if part != 2:
            yield part, LogRecord(0, BEGAN, b"1-A", b"v")

    def read_letters(_: Servers, keeps: Any) -> Letters:
        assert all(keeps(one) for one in lying)
        assert not keeps(letter(topic="cart-commands"))
        return Letters(lying, {one.origin.id for one in lying}, [])

    def spans_of(_: Servers, topic: Topic) -> dict[int, Any]:
        assert topic is DEAD_LETTER_QUEUE
        return {0: (0, 0), 1: (0, 9), 2: (4, 4)}

    for name, value in (
        ("reading", reading),
        ("read_spans", read_spans),
        ("read_letters", read_letters),
        ("spans_of", spans_of),
    ):
        monkeypatch.setattr(undecided, name, value)
    spans = {0: (0, 4), 1: (0, 4), 2: (0, 0)}
    with pytest.raises(Impossible, match=r"1:3 \(QUARANTINED\).*Restore a backup.*Begin anew"):
        check_decided(WHERE, SECTION_COMMANDS, spans)
    lying.clear()
    check_decided(WHERE, SECTION_COMMANDS, spans)
