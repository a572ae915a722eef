from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from support.records.status_records import EVENT, MS, Fed, counts, partition_of_section

from state.domain.keys import section_key
from state.views.availability.snapshot import EventSnapshot, status_in


def newest(fed: Fed, event: int = EVENT) -> EventSnapshot:
    snapshot = fed.view.snapshot(event)
    assert snapshot is not None
    return snapshot


happenings = st.lists(
    st.tuples(
        st.sampled_from(["tell", "spoil", "remove", "heartbeat", "time", "look"]),
        st.sampled_from("ABC"),
        st.integers(1, 6),
    ),
    max_size=50,
)


@given(happenings)
def test_a_snapshot_is_what_single_look_ups_say_whenever_it_was_made(
    told: Sequence[tuple[str, str, int]],
) -> None:
    fed = Fed()
    fed.heartbeat()
    for what, section, number in told:
        if what == "tell":
            fed.tell(counts(number, number), section)
        elif what == "spoil":
            fed.spoil(section)
        elif what == "remove":
            fed.feed(partition_of_section(section), section_key(EVENT, section), None)
        elif what == "heartbeat":
            fed.heartbeat()
        elif what == "time":
            fed.now_ms += 300 * number
        each = {name: fed.view.get(EVENT, name) for name in "ABC"}
        known = {name: answer for name, answer in each.items() if answer is not None}
        snapshot = fed.view.snapshot(EVENT)
        if snapshot is None:
            assert not known
            continue
        assert list(snapshot.known_by_section) == sorted(known)
        for name, answer in known.items():
            status = status_in(snapshot.known_by_section[name])
            told_by_both = (status.version, status.as_of_ms, status.free, status.held)
            assert told_by_both == (answer.version, answer.as_of_ms, answer.free, answer.held)
            assert fed.view.snapshot_age_ms(snapshot.part([name])) == answer.staleness_ms
        ages = [answer.staleness_ms for answer in known.values()]
        assert fed.view.snapshot_age_ms(snapshot) == max(ages)


def test_a_snapshot_is_the_same_until_its_event_changes() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    fed.tell(counts(1, 5), event=8)
    fed.heartbeat()
    first = newest(fed)
    fed.tell(counts(2, 4), event=8)
    assert newest(fed) is first
    fed.tell(counts(2, 4))
    assert newest(fed) is not first


def test_a_snapshot_has_no_age_any_more_once_its_event_changed() -> None:
    """A clock that moved on with the new record would make the former counts look fresh."""
    fed = Fed()
    fed.tell(counts(1, 5))
    fed.heartbeat()
    first = newest(fed)
    part = first.part(["A"])
    fed.tell(counts(1, 3), "B")
    fed.now_ms += 10
    fed.heartbeat()
    assert fed.view.snapshot_age_ms(first) is None
    assert fed.view.snapshot_age_ms(part) is None
    assert fed.view.snapshot_age_ms(newest(fed)) == 0


def test_a_change_while_a_snapshot_is_being_made_leaves_it_unkept() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    fed.heartbeat()

    class Interrupted(dict[str, tuple[int, ...]]):
        def copy(self) -> dict[str, tuple[int, ...]]:
            before = super().copy()
            fed.tell(counts(2, 4))
            return before

    sections = fed.contents.by_event
    sections[EVENT] = Interrupted(sections[EVENT])  # type: ignore[assignment]
    made = newest(fed)
    assert made.known_by_section["A"][0] == 1
    assert fed.view.snapshot_age_ms(made) is None
    sections[EVENT] = dict(sections[EVENT])
    assert newest(fed).known_by_section["A"][0] == 2


def test_doubt_about_one_section_does_not_age_a_part_without_it() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    fed.tell(counts(1, 5), "B")
    fed.heartbeat()
    fed.spoil("B")
    fed.now_ms += 7_000
    fed.heartbeat()
    snapshot = newest(fed)
    assert fed.view.snapshot_age_ms(snapshot) == 7_000
    assert fed.view.snapshot_age_ms(snapshot.part(["A"])) == 0
    assert fed.view.snapshot_age_ms(snapshot.part(["B"])) == 7_000


def test_positions_are_the_highest_offsets_of_the_event_by_partition() -> None:
    fed = Fed()
    for version in range(1, 4):
        for section in ("A", "B", "C", "D"):
            fed.tell(counts(version, 5), section)
    fed.spoil("A")
    fed.heartbeat()
    highest: dict[int, int] = {}
    # Each was told thrice in turn, so its last record is told by those of its partition.
    by_partition: dict[int, list[str]] = {}
    for section in ("A", "B", "C", "D"):
        by_partition.setdefault(partition_of_section(section), []).append(section)
    for number, sections in by_partition.items():
        highest[number] = 3 * len(sections) - 1
    assert newest(fed).position_by_partition() == highest


def test_unknown_events_have_no_snapshot_and_are_missed() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    fed.feed(partition_of_section(), section_key(EVENT, "A"), None)
    fed.heartbeat()
    assert fed.view.snapshot(EVENT) is None
    assert fed.view.snapshot(99) is None
    assert fed.view.statistics().misses == 2
    assert not fed.contents.kept_by_event


def test_a_new_reading_of_the_topic_ends_the_age_of_what_was_before() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    fed.heartbeat()
    before = newest(fed)
    again = fed.view.new_reading(1, "other")
    again.partitions[0].ends_at(0, fed.now_ms * MS)
    fed.view.publish(again)
    assert fed.view.snapshot_age_ms(before) is None
    assert fed.view.topic_id() == "other"
