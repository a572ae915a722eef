import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.status_records import EVENT, MS

from state.views.availability.answers import Availability, Demand, NotYet, TooStale, judged
from state.views.following.ages import age_ms, boot_clock_ns


def at_version(version: int) -> Availability:
    return Availability(10, 2, 4, version, 1_000, 0, stale=False)


small = st.integers(0, 4)


@given(small.map(at_version) | st.none(), small, small | st.none(), small)
def test_u3_an_answer_is_as_demanded_exactly_where_version_and_age_are(
    answer: Availability | None, age: int, age_max: int | None, min_version: int
) -> None:
    demand = Demand(EVENT, "A", age_max, min_version)
    verdict = judged(demand, answer, age)
    has_version = min_version == 0 or (answer is not None and answer.version >= min_version)
    has_age = age_max is None or age <= age_max
    assert verdict.answer is answer
    assert (verdict.has_version, verdict.has_age) == (has_version, has_age)
    assert verdict.is_met == (has_version and has_age)
    if not verdict.is_met:
        assert isinstance(verdict.refusal(demand), TooStale if has_version else NotYet)


@pytest.mark.parametrize(
    ("answer", "age", "demand", "told"),
    [
        (None, 0, Demand(EVENT, "A", None, 3), "section 7-A is unknown, not at 3"),
        (at_version(2), 0, Demand(EVENT, "A", None, 3), "section 7-A is at version 2, not at 3"),
        (at_version(3), 8, Demand(EVENT, "A", 7), "section 7-A is known as of 8 ms ago, not 7 ms"),
        (None, 8, Demand(EVENT, "A", 0), "section 7-A is known as of 8 ms ago, not 0 ms"),
        # What is both too young and too old is told of its version: an age alone heals by itself.
        (at_version(2), 8, Demand(EVENT, "A", 7, 3), "section 7-A is at version 2, not at 3"),
    ],
)
def test_a_refusal_says_what_is_there_and_what_was_demanded(
    answer: Availability | None, age: int, demand: Demand, told: str
) -> None:
    assert str(judged(demand, answer, age).refusal(demand)) == told


@pytest.mark.parametrize("bad", [{"max_staleness_ms": -1}, {"min_version": -1}])
def test_a_demand_below_zero_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="below 0"):
        Demand(EVENT, "A", **bad)


@given(st.integers(0, 2**62), st.integers(0, 2**40))
def test_an_age_is_the_least_whole_number_of_ms_that_is_no_younger(
    known_ns: int, past_ns: int
) -> None:
    age = age_ms(known_ns, known_ns + past_ns)
    assert age * MS >= past_ns > (age - 1) * MS


@pytest.mark.parametrize(("past_ns", "age"), [(0, 0), (1, 1), (MS, 1), (MS + 1, 2)])
def test_an_age_is_rounded_up(past_ns: int, age: int) -> None:
    assert age_ms(5, 5 + past_ns) == age


def test_the_clock_never_stands_still_or_goes_back() -> None:
    times = [boot_clock_ns() for _ in range(1_000)]
    assert times == sorted(times)
    assert times[0] < times[-1]
