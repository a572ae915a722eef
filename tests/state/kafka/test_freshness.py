from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.kafka.freshness import Freshness, LogShortened

# What happens to one partition: an end offset learnt, records read, time gone by.
steps = st.lists(
    st.tuples(st.sampled_from(["append", "ask", "answer", "read", "time"]), st.integers(1, 5)),
    max_size=60,
)


@given(steps)
def test_everything_visible_when_the_age_begins_was_read(
    happenings: Sequence[tuple[str, int]],
) -> None:
    """A model of log and questions: at `known_ns` no record had been visible and not read."""
    freshness = Freshness(0, -1)
    now, end = 0, 0
    end_by_time = {0: 0}
    asked: list[tuple[int, int]] = []
    for what, amount in happenings:
        if what == "append":
            end += amount
        elif what == "time":
            now += amount
        elif what == "ask":
            asked.append((now, end))
        elif what == "answer" and asked:
            asked_at, told = asked.pop(0)
            freshness.ends_at(told, asked_at)
        elif what == "read":
            freshness.reached(min(end, freshness.position + amount))
        end_by_time[now] = min(end_by_time.get(now, end), end)
        if freshness.has_been_known:
            assert freshness.position >= end_by_time[freshness.known_ns]


def test_lag_does_not_keep_the_age_from_moving_on() -> None:
    freshness = Freshness(0, -1)
    for second in range(1, 11):
        freshness.ends_at(10 * second, second)
        freshness.reached(10 * second - 5)
    assert freshness.known_ns == 9


@pytest.mark.parametrize("shorter", ["end", "position"])
def test_a_log_that_became_shorter_is_noticed(shorter: str) -> None:
    freshness = Freshness(0, -1)
    freshness.ends_at(5, 1)
    freshness.reached(5)
    happens = {"end": lambda: freshness.ends_at(4, 2), "position": lambda: freshness.reached(4)}
    with pytest.raises(LogShortened):
        happens[shorter]()


@given(steps)
def test_what_is_known_never_becomes_older_and_is_never_younger_than_a_question(
    happenings: Sequence[tuple[str, int]],
) -> None:
    freshness = Freshness(0, -1)
    now, end, asked = 0, 0, {-1}
    for what, amount in happenings:
        known_ns = freshness.known_ns
        now, end = now + amount, end + amount * (what == "append")
        if what == "answer":
            asked.add(now)
            freshness.ends_at(end, now)
        elif what == "read":
            freshness.reached(min(end, freshness.position + amount))
        assert freshness.known_ns >= known_ns
        assert freshness.known_ns in asked
        assert freshness.has_been_known == (freshness.known_ns >= 0)


def test_a_reader_that_lags_for_long_remembers_few_ends_and_catches_up() -> None:
    freshness = Freshness(0, -1)
    for second in range(1, 1_001):
        freshness.ends_at(second, second)
    assert len(freshness._pending) == 64
    freshness.reached(1)
    assert freshness.known_ns == 1
    freshness.reached(1_000)
    assert freshness.known_ns == 64
    freshness.ends_at(1_000, 1_001)
    assert freshness.known_ns == 1_001


def test_an_answer_that_brings_nothing_new_makes_it_younger() -> None:
    freshness = Freshness(0, -1)
    freshness.ends_at(0, 7)
    assert (freshness.known_ns, freshness.has_been_known) == (7, True)


def test_an_end_or_a_position_that_stands_still_is_no_shorter_log() -> None:
    freshness = Freshness(3, -1)
    for _ in range(2):
        freshness.ends_at(5, 1)
        freshness.reached(5)
    with pytest.raises(LogShortened, match="partition 3 was read to 5, now at 4"):
        freshness.reached(4)
    with pytest.raises(LogShortened, match="partition 3 ended at 5, now at 4"):
        freshness.ends_at(4, 2)
