from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.problems import Problem
from api.web.room import Room
from state.domain.reasons import ApiReason

steps = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60)


def room_for(most: int, most_of_one: int) -> Room[str]:
    return Room(most, "ask another", most_of_one, "end one of them")


@given(st.integers(1, 9), st.integers(1, 4), steps)
def test_f09_no_more_are_under_way_than_there_is_room_for_and_all_room_is_given_back(
    most: int, most_of_one: int, happenings: list[tuple[bool, int]]
) -> None:
    room = room_for(most, most_of_one)
    under_way: list[tuple[str, ExitStack]] = []
    refused = 0
    for comes, number in happenings:
        if comes:
            key = "abc"[number % 3]
            count = Counter(key for key, _ in under_way)
            stack = ExitStack()
            if len(under_way) < most and count[key] < most_of_one:
                stack.enter_context(room.of(key))
                under_way.append((key, stack))
            else:
                with pytest.raises(Problem) as refusal:
                    stack.enter_context(room.of(key))
                assert refusal.value.reason is ApiReason.OVERLOADED
                refused += 1
        elif under_way:
            under_way.pop(number % len(under_way))[1].close()
        assert len(room) == len(under_way)
        assert room.refused == refused
    for _, stack in under_way:
        stack.close()
    assert len(room) == 0
    assert not room._by_key


def test_f09_one_that_takes_its_share_leaves_room_for_the_others() -> None:
    room = room_for(8, 2)
    with room.of("hot"), room.of("hot"):
        with pytest.raises(Problem, match="end one of them"), room.of("hot"):
            pass
        with room.of("other"):
            assert len(room) == 3


def test_whoever_fails_gives_its_room_back() -> None:
    room = room_for(1, 1)
    with pytest.raises(ZeroDivisionError), room.of("a"):
        raise ZeroDivisionError
    with room.of("b"):
        assert len(room) == 1


def test_who_is_refused_takes_no_room_and_is_told_when_to_come_back() -> None:
    room = room_for(1, 1)
    with room.of("a"):
        with pytest.raises(Problem, match="ask another") as refusal, room.of("b"):
            pass
        assert refusal.value.status == 429
        assert dict(refusal.value.headers)["Retry-After"] == "1"
        assert len(room) == 1
