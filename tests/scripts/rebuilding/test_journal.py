"""A rebuild goes on where the last line of its journal left it, and nowhere else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.auditing.families.dead_letters import is_of_operator
from scripts.auditing.topics import LogRecord
from scripts.rebuilding.journal import (
    Entry,
    Step,
    entry_of,
    key_of,
    record_of,
    unfinished,
    was_verified,
)

ENTRY = Entry("7", Step.BEGUN, (5, 0, 9))
TOPIC = "section-status"
ENDS = {0: 5, 1: 3, 2: 20}


def lying(entry: Entry) -> LogRecord:
    sent = record_of(TOPIC, entry, "ann", "full maps\n", 99)
    return LogRecord(1, 99, sent.key, sent.value, tuple(sent.headers))


@given(
    st.builds(
        Entry,
        st.text(max_size=9),
        st.sampled_from(Step),
        st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20).map(tuple),
    )
)
def test_a_line_is_read_as_it_was_written_and_is_no_dead_letter(entry: Entry) -> None:
    assert entry_of(TOPIC, lying(entry)) == entry
    assert is_of_operator(lying(entry))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("operator-action", b"set-offset"),
        ("operator-step", b"painted"),
        ("operator-to", b""),
        ("operator-to", b"1,-2,3"),
        ("operator-to", b"1,\xff,3"),
        ("operator-to", b"9" * 20),
    ],
)
def test_what_a_stranger_wrote_is_no_line(name: str, said: bytes) -> None:
    record = lying(ENTRY)
    headers = tuple((one, said if one == name else content) for one, content in record.headers)
    assert entry_of(TOPIC, replace(record, headers=headers)) is None
    assert entry_of(TOPIC, replace(record, key=b"other")) is None
    assert record.key == key_of(TOPIC)
    assert entry_of(TOPIC + "-b", record) is None


@pytest.mark.parametrize("step", Step)
def test_f84_one_that_is_neither_done_nor_given_up_goes_on(step: Step) -> None:
    last = ENTRY._replace(step=step)
    found = unfinished([ENTRY, last], ENDS)
    assert found == (last if step in {Step.BEGUN, Step.CUT} else None)
    assert unfinished([last, ENTRY], ENDS) == ENTRY


@pytest.mark.parametrize("ends", [{0: 4, 1: 3, 2: 20}, {0: 5, 1: 3}, ENDS | {3: 1}])
def test_one_of_a_topic_that_was_created_again_is_over(ends: dict[int, int]) -> None:
    assert unfinished([ENTRY], ends) is None


def test_without_lines_there_is_none() -> None:
    assert unfinished([], ENDS) is None


@pytest.mark.parametrize("step", Step)
def test_pods_may_read_a_topic_once_a_rebuild_of_it_was_verified(step: Step) -> None:
    assert was_verified([ENTRY._replace(step=step), ENTRY]) is (step in {Step.CUT, Step.DONE})
