from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.commands.in_flight import SECTION_SHARE, InFlight
from api.web.problems import Problem
from state.domain.reasons import ApiReason

steps = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60)


@given(st.integers(1, 9), steps)
def test_f09_no_more_are_under_way_than_there_is_room_for_and_all_room_is_given_back(
    most: int, happenings: list[tuple[bool, int]]
) -> None:
    in_flight = InFlight(most)
    under_way: list[tuple[bytes, ExitStack]] = []
    refused = 0
    for comes, number in happenings:
        if comes:
            section = b"7-%d" % (number % 3)
            count = Counter(key for key, _ in under_way)
            is_room = len(under_way) < most and count[section] < max(1, most // SECTION_SHARE)
            stack = ExitStack()
            if is_room:
                stack.enter_context(in_flight.room(section))
                under_way.append((section, stack))
            else:
                with pytest.raises(Problem) as refusal:
                    stack.enter_context(in_flight.room(section))
                assert refusal.value.reason is ApiReason.OVERLOADED
                refused += 1
        elif under_way:
            under_way.pop(number % len(under_way))[1].close()
        assert len(in_flight) == len(under_way)
        assert in_flight.refused == refused
    for _, stack in under_way:
        stack.close()
    assert len(in_flight) == 0
    assert not in_flight._by_section


def test_f09_a_hot_section_leaves_room_for_the_others() -> None:
    in_flight = InFlight(8)
    with ExitStack() as stack:
        stack.enter_context(in_flight.room(b"hot"))
        stack.enter_context(in_flight.room(b"hot"))
        with pytest.raises(Problem, match="Too many want this section at once"):
            stack.enter_context(in_flight.room(b"hot"))
        stack.enter_context(in_flight.room(b"other"))


def test_a_pod_that_takes_few_takes_one_of_a_section() -> None:
    in_flight = InFlight(2)
    with in_flight.room(b"a"), pytest.raises(Problem), in_flight.room(b"a"):
        pass


def test_a_command_that_fails_gives_its_room_back() -> None:
    in_flight = InFlight(1)
    with pytest.raises(ZeroDivisionError), in_flight.room(b"a"):
        raise ZeroDivisionError
    assert len(in_flight) == 0
    with in_flight.room(b"b"):
        assert len(in_flight) == 1


def test_who_is_refused_takes_no_room_and_is_told_when_to_come_back() -> None:
    in_flight = InFlight(1)
    with in_flight.room(b"a"):
        with pytest.raises(Problem) as refusal, in_flight.room(b"b"):
            pass
        assert dict(refusal.value.headers)["Retry-After"] == "1"
        assert len(in_flight) == 1
