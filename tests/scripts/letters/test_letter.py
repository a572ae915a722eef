"""What a worker sets aside is read as it was written; nobody else's record is taken for one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import (
    CART_COMMANDS,
    PAYMENT_COMMANDS,
    PURCHASE_CONFIRMED,
    PURCHASE_CREATED,
    SECTION_COMMANDS,
)
from scripts.auditing.topics import LogRecord
from scripts.letters.letter import (
    PREFIX,
    REDRIVEN_FROM,
    Foreign,
    Letter,
    Mark,
    mark_of,
    read_letter,
    sent_back,
)
from state.domain.keys import partition_of
from streams.batch import DeadLetter
from streams.runtime.transactions.dead_letters import dead_letter_record, lost_record
from streams.working.answers import ANSWER_KEY

PARTITION, PARTITIONS = 3, 20
names = st.text("abz-", max_size=8)
headers = st.lists(st.tuples(names, st.binary(max_size=8)), max_size=5)


def buried(record: Any, topic: str = SECTION_COMMANDS.name, **more: Any) -> LogRecord:
    """Return a dead letter as a worker writes it and a client reads it."""
    letter = DeadLetter(record, "CAUSE", "why", **more)
    key, value, told = dead_letter_record(letter, topic, PARTITION)
    return LogRecord(7, 1_800_000_000_000, key, value, told)


def original(
    value: bytes | None = b"v", headers: Any = (), key: bytes | None = b"1-A"
) -> LogRecord:
    return LogRecord(11, 1_700_000_000_000, key, value, headers)


@given(st.none() | st.binary(max_size=40), headers, st.none() | st.binary(max_size=9))
def test_a_letter_gives_back_key_value_and_headers_of_its_original(
    value: bytes | None, given_headers: list[tuple[str, bytes]], key: bytes | None
) -> None:
    letter = read_letter(PARTITION, buried(original(value, given_headers, key)))
    assert isinstance(letter, Letter)
    assert (letter.key, letter.value, list(letter.headers)) == (key, value, given_headers)
    assert letter.origin == (SECTION_COMMANDS.name, PARTITION, 11, 1_700_000_000_000)
    assert (letter.cause, letter.message, letter.unsendable) == ("CAUSE", "why", "")
    sent = sent_back(letter, PARTITIONS, letter.value)
    assert list(sent.headers) == [*given_headers, (REDRIVEN_FROM, letter.origin.id.encode())]
    assert (sent.key, sent.value) == (key, value)


def test_headers_of_the_original_that_look_like_ours_are_the_originals() -> None:
    forged = [(PREFIX + "topic", b"elsewhere"), (PREFIX + "offset", b"1")]
    letter = read_letter(PARTITION, buried(original(headers=forged)))
    assert isinstance(letter, Letter)
    assert (letter.origin.topic, letter.origin.offset) == (SECTION_COMMANDS.name, 11)
    assert list(letter.headers) == forged


def test_a_letter_of_an_older_release_has_the_headers_in_front_of_ours() -> None:
    record = buried(original(headers=[("own", b"1")]))
    old = [pair for pair in record.headers if pair[0] != PREFIX + "headers-kept"]
    letter = read_letter(PARTITION, LogRecord(7, 0, b"k", b"v", old))
    assert isinstance(letter, Letter)
    assert letter.headers == [("own", b"1")]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (original(b"x" * (3 << 20)), "its value was cut"),
        (original(headers=[("h", b"x" * (3 << 20))]), "its headers were cut"),
        (original(headers=[("\udcff", b"x")]), "no UTF-8"),
    ],
)
def test_what_is_not_the_whole_original_is_not_sent(record: LogRecord, why: str) -> None:
    letter = read_letter(PARTITION, buried(record))
    assert isinstance(letter, Letter)
    assert why in letter.unsendable


def test_what_no_broker_would_take_again_is_not_sent() -> None:
    """The record as it was fitted; with what is added it would stop all others beside it."""
    letter = read_letter(PARTITION, buried(original(b"x" * (1 << 20))))
    assert isinstance(letter, Letter)
    assert "bytes, section-commands takes 1048576" in letter.unsendable
    fits = read_letter(PARTITION, buried(original(b"x" * (1 << 19))))
    assert isinstance(fits, Letter)
    assert fits.unsendable == ""


def test_what_was_lost_and_what_nobody_reads_is_not_sent() -> None:
    key, value, told = lost_record(SECTION_COMMANDS.name, PARTITION, 5, 9, 1)
    lost = read_letter(PARTITION, LogRecord(1, 1, key, value, told))
    strange = read_letter(PARTITION, buried(original(), "payroll"))
    assert isinstance(lost, Letter)
    assert isinstance(strange, Letter)
    assert "nothing is left" in lost.unsendable
    assert "no worker reads payroll" in strange.unsendable


@given(
    st.lists(
        st.tuples(
            st.sampled_from([PREFIX + "cause", PREFIX + "offset", "x"]),
            st.none() | st.binary(max_size=30),
        ),
        max_size=6,
    )
)
def test_headers_of_a_stranger_are_never_a_letter(told: list[tuple[str, bytes | None]]) -> None:
    assert isinstance(read_letter(PARTITION, LogRecord(1, 1, None, None, told)), Foreign)


def test_a_letter_on_another_partition_than_it_says_is_foreign() -> None:
    assert isinstance(read_letter(PARTITION + 1, buried(original())), Foreign)


def test_a_record_goes_to_the_partition_of_its_key_and_a_tick_or_a_payment_back_to_its_own() -> (
    None
):
    def to(topic: str, key: bytes | None) -> int:
        letter = read_letter(PARTITION, buried(original(key=key), topic))
        assert isinstance(letter, Letter)
        return letter.partition_to(PARTITIONS)

    assert to(SECTION_COMMANDS.name, b"1-A") == partition_of(b"1-A", PARTITIONS)
    assert to(CART_COMMANDS.name, b"1-ann") == partition_of(b"1-ann", PARTITIONS)
    assert to(PURCHASE_CONFIRMED.name, b"1-ann") == partition_of(b"1-ann", PARTITIONS)
    assert to(SECTION_COMMANDS.name, b"tick-2") == PARTITION
    assert to(PURCHASE_CREATED.name, ANSWER_KEY + b"allocate_purchases") == PARTITION
    assert to(SECTION_COMMANDS.name, None) == PARTITION
    assert to(PAYMENT_COMMANDS.name, b"r1") == PARTITION


def test_a_mark_says_what_was_sent_by_whom_and_why_and_is_no_letter() -> None:
    letter = read_letter(PARTITION, buried(original()))
    assert isinstance(letter, Letter)
    sent = sent_back(letter, PARTITIONS, b"mended")
    told = mark_of(letter, sent, "ann", "schema rolled out", 99)
    assert read_letter(PARTITION, LogRecord(8, 1, letter.key, None, told)) == Mark(
        letter.origin.id
    )
    said = dict(told)
    assert (said["redrive-by"], said["redrive-reason"], said["redrive-changed"]) == (
        b"ann",
        b"schema rolled out",
        b"true",
    )


def test_what_else_an_operator_did_is_no_record_of_a_stranger() -> None:
    moved = LogRecord(3, 1, b"section-commands-0", None, (("operator-action", b"set-offset"),))
    assert read_letter(PARTITION, moved) == Mark("")
