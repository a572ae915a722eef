"""The status of a section says how it stands, at each change and when it is told again."""

from hypothesis import given
from support.seats.section_commands import (
    CODECS,
    EVENT,
    START_MS,
    A,
    Partition,
    confirm,
    hold,
    logs,
    opened,
    told,
)

from state.domain.keys import SECTION, section_key
from streams.change_sections import retold_statuses
from streams.change_sections.fold import SectionCache
from streams.change_sections.statuses import status_of
from streams.driver import PipedRecord

RETOLD = retold_statuses(CODECS)
KEY = section_key(EVENT, A)


@given(logs())
def test_s6_what_is_told_again_are_the_last_statuses_decoded_or_not(
    log: list[PipedRecord],
) -> None:
    partition = Partition(log=list(log))
    partition.fold(log)
    keys = partition.state.keys(SECTION)
    for _ in range(2):
        again = RETOLD.tell(partition.state, keys)
        assert dict(again) == partition.last_statuses()
        assert len(again) == len(keys)
        partition.forget()


def test_a_status_counts_what_is_free_held_and_adjacent() -> None:
    partition = opened("...|...\n..")
    partition.send(hold("r1", 2), hold("r2", 1), confirm("r2"))
    known = SectionCache.of(partition.state).by_key[KEY]
    status = told(status_of(CODECS, known))
    assert (status.eventId, status.section) == (EVENT, A.encode())
    assert (status.availableCount, status.heldCount) == (5, 2)
    assert status.largestBlock == known.section.largest_block() <= 3
    assert (status.version, status.timestamp) == (4, START_MS)
    assert dict(RETOLD.tell(partition.state, [SECTION + KEY])) == partition.last_statuses()


def test_what_is_told_again_goes_to_the_topic_and_under_the_keys_of_sections() -> None:
    assert (RETOLD.topic, RETOLD.prefix) == ("section-status", SECTION)
    assert retold_statuses(CODECS, status="elsewhere").topic == "elsewhere"
