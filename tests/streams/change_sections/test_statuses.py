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
    open_section,
    opened,
    told,
)

from state.domain.keys import SECTION, section_key
from streams.batch import Batch
from streams.change_sections import change_sections, retold_statuses
from streams.change_sections.fold import SectionCache
from streams.change_sections.statuses import status_of
from streams.driver import PipedRecord
from streams.runtime.transactions.retelling import Retelling

RETOLD = retold_statuses(CODECS)
KEY = section_key(EVENT, A)
TWO = ("section-status-b", "section-status")


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
    assert (RETOLD.topics, RETOLD.prefix) == (("section-status",), SECTION)
    assert retold_statuses(CODECS, status=TWO).topics == TWO


def test_u2_two_topics_are_told_the_same_in_one_transaction() -> None:
    """Pods that read the one know what those know that read the other."""
    partition = Partition(handler=change_sections(CODECS, status=TWO))
    [first] = partition.append(open_section("......"))
    effects = partition.handler(Batch("section-commands", 0, 1, [first]), partition.state, 0)
    retelling = Retelling(retold_statuses(CODECS, status=TWO), partition.state)
    partition.state.write(partition.state.seal(), None)
    for count in (1, 2):
        one, other = (effects.outgoing[topic] for topic in TWO)
        assert [*one] == [*other]
        assert len(one) == count
        retelling.add_to(effects)
