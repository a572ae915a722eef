"""Partitions of several topics are shared topic by topic, and stay where they are."""

from collections import Counter
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.assignor import TopicwiseStickyAssignor

PARTITIONS = 20
BOTH = ("section-commands", "payment-commands")
Owned = dict[str, set[tuple[str, int]]]


class Cluster:
    """What of a cluster an assignor asks; partitions: by topic."""

    def __init__(self, partitions: dict[str, int]) -> None:
        self.partitions = partitions

    def topics(self) -> set[str]:
        return {*self.partitions, "another"}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self.partitions.get(topic, 1)))


def assigned(
    members: dict[str, tuple[str, ...]],
    before: Owned,
    assignor: Any = TopicwiseStickyAssignor,
    partitions: dict[str, int] | None = None,
) -> Owned:
    """Return who gets what, of members by the topics that they read; partitions: by topic."""
    said = {
        member: assignor._metadata(
            list(topics), [TopicPartition(*place) for place in before.get(member, ())], 1
        )
        for member, topics in members.items()
    }
    cluster = Cluster(partitions or dict.fromkeys(BOTH, PARTITIONS))
    given = assignor.assign(cluster, said)
    return {
        member: {(topic, number) for topic, numbers in one.assignment for number in numbers}
        for member, one in given.items()
    }


def counts(owned: Owned, topic: str) -> list[int]:
    return sorted(sum(place[0] == topic for place in places) for places in owned.values())


def test_whoever_joins_gets_its_part_of_each_topic() -> None:
    alone = assigned({"a": BOTH}, {})
    assert all(counts(alone, topic) == [PARTITIONS] for topic in BOTH)
    # What the sticky one makes of it: the reason for this module.
    skewed = assigned({"a": BOTH, "b": BOTH}, alone, StickyPartitionAssignor)
    assert counts(skewed, BOTH[0]) != [10, 10]
    two = assigned({"a": BOTH, "b": BOTH}, alone)
    assert all(counts(two, topic) == [10, 10] for topic in BOTH)
    assert two["a"] < alone["a"]
    three = assigned({"a": BOTH, "b": BOTH, "c": BOTH}, two)
    assert all(counts(three, topic) == [6, 7, 7] for topic in BOTH)
    assert sorted(map(len, three.values())) == [13, 13, 14]
    # All but one stay where the sticky assignor would leave them, were each topic the only one.
    stuck = {name: set[tuple[str, int]]() for name in "abc"}
    for topic in BOTH:
        of_topic = {name: {at for at in places if at[0] == topic} for name, places in two.items()}
        for name, places in assigned(
            dict.fromkeys("abc", (topic,)), of_topic, StickyPartitionAssignor
        ).items():
            stuck[name] |= places
    assert sum(len(three[name] - stuck[name]) for name in "abc") <= 1
    # Who leaves leaves only its own to others.
    again = assigned({"a": BOTH, "b": BOTH}, three)
    assert three["a"] <= again["a"]
    assert three["b"] <= again["b"]


@given(
    st.dictionaries(
        st.sampled_from("abcde"), st.sampled_from([BOTH, BOTH[:1], BOTH[1:]]), min_size=1
    ),
    st.lists(st.sampled_from("abcde"), max_size=3),
)
def test_every_partition_that_somebody_reads_has_one_owner_who_reads_it(
    members: dict[str, tuple[str, ...]], leaving: list[str]
) -> None:
    owned: Owned = {}
    for round_ in (members, {name: members[name] for name in members if name not in leaving}):
        if not round_:
            return
        owned = assigned(round_, owned)
        read = {topic for topics in round_.values() for topic in topics}
        owners = Counter(place for places in owned.values() for place in places)
        assert owners == {(topic, number): 1 for topic in read for number in range(PARTITIONS)}
        for member, places in owned.items():
            assert {topic for topic, _ in places} <= set(round_[member])


@given(
    st.dictionaries(st.sampled_from("xyz"), st.integers(1, 7), min_size=1),
    st.lists(st.sets(st.sampled_from("abcde"), min_size=1), min_size=1, max_size=4),
)
def test_whoever_has_one_more_of_a_topic_has_no_more_of_all_topics_together(
    partitions: dict[str, int], groups: list[set[str]]
) -> None:
    owned: Owned = {}
    topics = tuple(sorted(partitions))
    everything = {
        (topic, number) for topic, count in partitions.items() for number in range(count)
    }
    for group in groups:
        present = {member: places for member, places in owned.items() if member in group}
        members = dict.fromkeys(sorted(group), topics)
        found = assigned(members, present, partitions=partitions)
        places = [place for places in found.values() for place in places]
        assert len(places) == len(everything)
        assert set(places) == everything
        for numbers in (list(map(len, found.values())), *(counts(found, one) for one in topics)):
            assert max(numbers) - min(numbers) <= 1
        # Where nobody comes or goes, nothing moves.
        assert assigned(members, found, partitions=partitions) == found
        owned = found


def test_the_remainders_of_two_topics_are_not_the_same_workers() -> None:
    three = assigned(dict.fromkeys("abc", BOTH), {}, partitions=dict.fromkeys(BOTH, 4))
    assert [counts(three, topic) for topic in BOTH] == [[1, 1, 2], [1, 1, 2]]
    assert sorted(map(len, three.values())) == [2, 3, 3]
