from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.status_records import Fed, counts, snapshot_of

from api.availability.stream_positions import Position


@given(
    st.text(max_size=40) | st.from_regex(r"[0-9a-f]{8}\.[0-9a-f]{8}\.[0-9a-f]{8}\.[0-9:-]{0,30}")
)
def test_no_last_event_id_ends_in_an_error_of_ours(text: str) -> None:
    position = Position.read(text)
    assert position is None or Position.read(str(position)) == position


def test_a_position_reads_as_it_was_written() -> None:
    position = Position("0a1b2c3d", "ffffffff", "01234567", {3: 9_000_000_000, 11: 0})
    assert str(position) == "0a1b2c3d.ffffffff.01234567.3:9000000000-11:0"
    assert Position.read(str(position)) == position


steps = st.lists(st.tuples(st.sampled_from("ABCDE"), st.integers(0, 3)), min_size=1, max_size=20)


@given(steps, steps)
def test_who_comes_back_missed_exactly_what_changed_since(
    before: list[tuple[str, int]], later: list[tuple[str, int]]
) -> None:
    """All records are news: a section's version rises with each."""
    fed = Fed()
    versions: Counter[str] = Counter()

    def tell(section: str, free: int) -> None:
        versions[section] += 1
        fed.tell(counts(versions[section], free), section)

    for section, free in before:
        tell(section, free)
    position = Position.read(str(Position.of(snapshot_of(fed), "topic")))
    assert position is not None
    assert position.is_of_topic("topic")
    assert not position.is_of_topic("another")
    assert not position.is_ahead_of(fed.view.positions())
    assert position.missed(snapshot_of(fed)) == []
    fed.view.publish(fed.contents)
    for section, free in later:
        tell(section, free)
    now = snapshot_of(fed)
    assert sorted(position.missed(now)) == sorted({section for section, _ in later})
    assert position.is_proved(now, fed.view.told_at)
    has_all = {section for section, _ in later} <= {section for section, _ in before}
    assert (position.sections == Position.of(now, "topic").sections) == has_all


@given(steps)
def test_pods_that_read_the_same_records_tell_the_same_position(
    told: list[tuple[str, int]],
) -> None:
    texts = set()
    for _ in range(2):
        fed = Fed()
        for version, (section, free) in enumerate(told, 1):
            fed.tell(counts(version, free), section)
        texts.add(str(Position.of(snapshot_of(fed), "topic")))
    assert len(texts) == 1


def test_s3_a_log_with_other_records_at_the_same_places_proves_nothing() -> None:
    one, other = Fed(), Fed()
    one.tell(counts(3, 10))
    other.tell(counts(3, 9))
    position = Position.of(snapshot_of(one), "topic")
    assert position.is_proved(snapshot_of(one), one.view.told_at)
    assert not position.is_proved(snapshot_of(other), other.view.told_at)


def test_s3_what_is_no_longer_remembered_proves_nothing() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    position = Position.of(snapshot_of(fed), "topic")
    fed.tell(counts(2, 4))
    assert not position.is_proved(snapshot_of(fed), lambda _, __: None)


def test_a_section_in_doubt_has_the_place_of_its_last_readable_record() -> None:
    fed = Fed()
    fed.tell(counts(1, 5))
    position = Position.of(snapshot_of(fed), "topic")
    fed.spoil()
    assert str(Position.of(snapshot_of(fed), "topic")) == str(position)
    assert position.missed(snapshot_of(fed)) == []


@pytest.mark.parametrize(
    ("offsets", "positions", "is_ahead"),
    [
        ({0: 4}, (5,), False),
        ({0: 5}, (5,), True),
        ({0: 4, 1: 7}, (5, 7), True),
        # The pod's topic has fewer partitions.
        ({2: 0}, (5, 7), True),
        ({}, (), False),
    ],
)
def test_a_client_is_ahead_of_a_pod_that_has_a_record_of_it_yet_to_read(
    offsets: dict[int, int], positions: tuple[int, ...], is_ahead: bool
) -> None:
    assert Position("", "", "", offsets).is_ahead_of(positions) == is_ahead


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0a1b2c3d.ffffffff.01234567.",
        "0A1B2C3D.ffffffff.01234567.3:9",
        "0a1b2c3d.ffffffff.01234567.3:9-",
        "0a1b2c3d.ffffffff.01234567.3:-9",
        "0a1b2c3d.ffffffff.01234567.3:9\n",
        "0a1b2c3d.ffffffff.01234567.٣:9",
        "0a1b2c3d.ffffffff.01234567.123456:9",
        "0a1b2c3d.ffffffff.01234567." + "-".join(["3:9"] * 2_000),
    ],
)
def test_what_no_pod_told_is_no_position(text: str) -> None:
    assert Position.read(text) is None
