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
    """What of a cluster an assignor asks."""

    def topics(self) -> set[str]:
        return {*BOTH, "another"}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(PARTITIONS)) if topic in BOTH else {0}


def assigned(
    members: dict[str, tuple[str, ...]], before: Owned, assignor: Any = TopicwiseStickyAssignor
) -> Owned:
    """Return who gets what, of members by the topics that they read."""
    said = {
        member: assignor._metadata(
            list(topics), [TopicPartition(*place) for place in before.get(member, ())], 1
        )
        for member, topics in members.items()
    }
    given = assignor.assign(Cluster(), said)
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
    # Each stays where the sticky assignor would leave it, were it the only one.
    for topic in BOTH:
        of_topic = {name: {at for at in places if at[0] == topic} for name, places in two.items()}
        alone = assigned(dict.fromkeys("abc", (topic,)), of_topic, StickyPartitionAssignor)
        assert {at for at in three["a"] if at[0] == topic} == alone["a"]
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
