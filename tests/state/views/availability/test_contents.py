from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.status_records import (
    EVENT,
    MS,
    PARTITIONS,
    Fed,
    counts,
    partition_of_section,
    value_of,
)

from serdes.wire import header_of
from state.domain.keys import section_key
from state.domain.status import SectionStatus
from state.views.availability.contents import Change

small = st.integers(0, 3)


possible = st.builds(
    lambda version, as_of_ms, free, held: SectionStatus(version, as_of_ms, free, held, free),
    st.integers(1, 5),
    small,
    small,
    small,
)


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), possible), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_f79_any_order_and_repetition_of_the_same_statuses_gives_the_same_view(
    told: list[tuple[str, SectionStatus]], chance: Random
) -> None:
    again = [*told, *told[::2]]
    chance.shuffle(again)
    views = []
    for order in (told, again):
        fed = Fed()
        for section, status in order:
            fed.tell(status, section)
        fed.heartbeat()
        views.append(fed.view.sections(EVENT))
    assert views[0] == views[1]


@given(st.lists(possible, min_size=1, max_size=12))
def test_i18_versions_seen_never_go_back(told: list[SectionStatus]) -> None:
    fed = Fed()
    fed.heartbeat()
    seen = []
    for status in told:
        fed.tell(status)
        answer = fed.view.get(EVENT, "A")
        assert answer is not None
        seen.append(answer.version)
    assert seen == sorted(seen)


SECTIONS = ("A", "B")


@dataclass(frozen=True)
class Told:
    """A record of a topic as the consumer gives it."""

    place: int
    at: int
    name: bytes | None
    body: bytes | None
    further: tuple[tuple[str, bytes], ...] = ()

    def partition(self) -> int:
        return self.place

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.name

    def value(self) -> bytes | None:
        return self.body

    def headers(self) -> Any:
        return list(self.further)


@st.composite
def told_records(draw: st.DrawFn) -> list[Told]:
    """Return records of two sections: newer, older, equal, impossible, unreadable, astray."""
    records = []
    for at in range(draw(st.integers(1, 40))):
        section = draw(st.sampled_from(SECTIONS))
        status = draw(
            possible
            | st.builds(SectionStatus, *[st.integers(0, 4)] * 5)
            | st.just(SectionStatus(at + 1, at, 5, 0, 5))
        )
        body: bytes | None = value_of(status, section)
        key: bytes | None = section_key(EVENT, section)
        place = partition_of_section(section)
        further: tuple[tuple[str, bytes], ...] = ()
        match draw(st.sampled_from([""] * 8 + ["gone", "cut", "noise", "astray", "key", "heads"])):
            case "gone":
                body = None
            case "cut":
                body = value_of(status, section)[:-1]
            case "noise":
                body = draw(st.binary(max_size=12))
            case "astray":
                place = draw(st.integers(0, PARTITIONS - 1))
            case "key":
                key = draw(st.sampled_from([None, b"", b"7-Z", b"7-B", b"\xff"]))
            case "heads":
                further = (("x", b"1"),) * draw(st.sampled_from([1, 101]))
        records.append(Told(place, at, key, body, further))
    return records


@given(told_records(), st.integers(1, 7), st.booleans())
def test_f79_many_records_at_once_are_taken_in_as_one_by_one(
    records: list[Told], at_once: int, is_published: bool
) -> None:
    one, many = Fed(), Fed()
    messages: Any = records
    if is_published:
        one.heartbeat()
        many.heartbeat()
    changes, told = [], []
    for first in range(0, len(records), at_once):
        for record in records[first : first + at_once]:
            freshness = record.place, record.at
            changes.append(
                one.contents.apply(*freshness, record.name, record.body, record.headers())
            )
        told += many.contents.take(messages[first : first + at_once])
    assert told == ([change for change in changes if change] if is_published else [])
    assert many.contents.by_event == one.contents.by_event
    assert many.contents._doubtful_ns == one.contents._doubtful_ns
    assert many.contents._unreadable_ns == one.contents._unreadable_ns
    assert many.view.counters == one.view.counters
    for record in records:
        place = record.place, record.at
        assert many.contents.told_at(*place) == one.contents.told_at(*place)


@given(st.lists(st.integers(0, 3), max_size=30))
def test_what_was_told_lately_is_found_by_its_place_and_nothing_else_is(gaps: list[int]) -> None:
    fed = Fed()
    here, at, said = partition_of_section(), 0, {}
    for version, gap in enumerate(gaps, 1):
        at += gap + 1
        fed.contents.apply(here, at, section_key(EVENT, "A"), value_of(counts(version, version)))
        said[at] = (EVENT, "A", list(counts(version, version)))
    fed.view.publish(fed.contents)
    for offset in range(at + 2):
        assert fed.view.told_at(here, offset) == said.get(offset)


def test_f79_b82_a_lower_version_is_skipped_and_counted(fed: Fed) -> None:
    assert fed.tell(counts(2, 12)) is None
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.version, answer.free) == (3, 10)
    assert fed.view.statistics().older == 1


def test_a_repetition_changes_nothing_and_is_no_alarm(fed: Fed) -> None:
    assert fed.tell(counts(3, 10, held=2, largest=4)) is None
    statistics = fed.view.statistics()
    assert (statistics.repeated, statistics.older, statistics.contradicted) == (1, 0, 0)


def test_one_version_with_two_counts_is_an_alarm(fed: Fed) -> None:
    fed.tell(counts(3, 9, held=3, largest=4))
    assert fed.view.statistics().contradicted == 1


def test_a_refusal_moves_the_time_of_a_version_and_is_no_alarm(fed: Fed) -> None:
    fed.tell(counts(3, 10, held=2, largest=4, as_of_ms=1_500))
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert answer.as_of_ms == 1_500
    assert fed.view.statistics().contradicted == 0


def test_a_tombstone_removes_the_section_and_an_empty_event(fed: Fed) -> None:
    assert fed.view.events() == (EVENT,)
    change = fed.feed(partition_of_section(), section_key(EVENT, "A"), None)
    assert change == Change(EVENT, "A", None)
    assert fed.view.get(EVENT, "A") is None
    assert fed.view.events() == ()
    assert fed.view.sections(EVENT) == {}


def test_a_tombstone_of_an_unknown_section_changes_nothing(fed: Fed) -> None:
    assert fed.feed(partition_of_section("B"), section_key(EVENT, "B"), None) is None


def other_partition(section: str) -> int:
    return (partition_of_section(section) + 1) % PARTITIONS


@pytest.mark.parametrize(
    ("partition", "key", "value", "reason"),
    [
        (0, b"7-A", b"", "EMPTY_VALUE"),
        (0, b"7-A", b"{}", "BAD_WIRE_HEADER"),
        (0, b"7-A", header_of(987_654), "UNKNOWN_SCHEMA"),
        (0, b"7-A", value_of(counts(4, 1)) + b"x", "BAD_BODY"),
        (0, b"7-A", value_of(counts(4, 1), "B"), "KEY_MISMATCH"),
        (0, None, value_of(counts(4, 1)), "KEY_MISMATCH"),
        (0, b"7-A", value_of(counts(4, -1, largest=0)), "IMPOSSIBLE_COUNTS"),
        (0, b"7-A", value_of(counts(4, 3, largest=5)), "IMPOSSIBLE_COUNTS"),
        (0, b"7-b", value_of(counts(4, 1), "b"), "BAD_KEY"),
        (0, b"tick", None, "BAD_KEY"),
        (0, None, None, "BAD_KEY"),
        (other_partition("A"), b"7-A", value_of(counts(4, 1)), "WRONG_PARTITION"),
    ],
)
def test_b82_a_bad_record_is_skipped_with_its_reason(
    fed: Fed, partition: int, key: bytes | None, value: bytes | None, reason: str
) -> None:
    assert fed.feed(partition, key, value) is None
    assert fed.view.statistics().bad == {reason: 1}
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.version, answer.free) == (3, 10)


def test_what_stood_on_a_foreign_partition_gives_way_to_what_the_owner_says() -> None:
    fed = Fed()
    fed.feed(other_partition("A"), b"7-A", value_of(counts(90, 0)))
    fed.tell(counts(1, 10))
    fed.heartbeat()
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.version, answer.free) == (1, 10)
    assert fed.view.statistics().bad == {"WRONG_PARTITION": 1}


@given(st.binary(max_size=40) | st.none(), st.binary(max_size=60) | st.none())
def test_no_bytes_end_the_view(key: bytes | None, value: bytes | None) -> None:
    fed = Fed()
    fed.feed(0, key, value)
    fed.heartbeat()
    assert fed.view.statistics().records == 1


def test_a_section_is_doubtful_from_a_bad_record_to_the_next_good_one(fed: Fed) -> None:
    fed.tell(counts(1, 3), "B")
    fed.heartbeat()
    fed.spoil("A")
    fed.now_ms += 6_000
    fed.heartbeat()
    doubtful, sure = fed.view.get(EVENT, "A"), fed.view.get(EVENT, "B")
    assert doubtful is not None
    assert sure is not None
    assert (doubtful.staleness_ms, doubtful.stale) == (6_000, True)
    assert (sure.staleness_ms, sure.stale) == (0, False)
    assert fed.view.can_refuse(EVENT, "A", 99) is None

    fed.tell(counts(4, 9))
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.version, answer.staleness_ms, answer.stale) == (4, 0, False)


def test_a_second_bad_record_does_not_make_a_doubtful_section_younger(fed: Fed) -> None:
    fed.spoil()
    fed.now_ms += 1_000
    fed.heartbeat()
    fed.spoil()
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert answer.staleness_ms == 1_000


def test_f80_ready_means_read_to_the_first_ends_that_were_told() -> None:
    fed = Fed()
    for partition in fed.contents.partitions:
        partition.ends_at(2, fed.now_ms * MS)
    for partition in fed.contents.partitions[1:]:
        partition.reached(2)
    assert not fed.contents.is_complete()
    fed.contents.partitions[0].ends_at(900, fed.now_ms * MS)
    fed.contents.partitions[0].reached(2)
    assert fed.contents.is_complete()


def test_a_tombstone_where_its_section_does_not_belong_removes_nothing(fed: Fed) -> None:
    """Whoever writes a status there is not believed either."""
    assert fed.feed(other_partition("A"), b"7-A", None) is None
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert (answer.version, answer.free) == (3, 10)
    assert fed.view.statistics().bad == {"WRONG_PARTITION": 1}


def test_a_tombstone_elsewhere_does_not_end_what_nobody_can_read() -> None:
    fed = Fed()
    fed.spoil("A")
    fed.feed(other_partition("A"), b"7-A", None)
    assert fed.contents.is_unreadable(EVENT, ["A"])
    fed.feed(partition_of_section("A"), b"7-A", None)
    assert not fed.contents.is_unreadable(EVENT, ["A"])


def test_a_bad_record_of_the_owner_makes_doubtful_what_stands_on_a_foreign_partition() -> None:
    fed = Fed()
    fed.feed(other_partition("A"), b"7-A", value_of(counts(90, 0)))
    fed.heartbeat()
    fed.spoil("A")
    fed.now_ms += 6_000
    fed.heartbeat()
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert answer.stale
    assert fed.view.can_refuse(EVENT, "A", 1) is None


def test_a_bad_record_elsewhere_makes_nothing_doubtful(fed: Fed) -> None:
    fed.feed(other_partition("A"), b"7-A", b"")
    fed.now_ms += 6_000
    fed.heartbeat()
    answer = fed.view.get(EVENT, "A")
    assert answer is not None
    assert not answer.stale
