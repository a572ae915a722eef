from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.views.availability.waiters import Waiter, Waiters

A, B, C = (7, "A"), (7, "B"), (8, "A")
NAMES = (A, B, C)


@dataclass(eq=False)
class Caller:
    """Somebody who waits; counts how often it was asked and woken."""

    sections: tuple[tuple[int, str], ...] = ()
    by_age: bool = False
    is_met: bool = True
    asked: int = 0
    woken: int = 0
    waiter: Waiter = field(init=False)

    def __post_init__(self) -> None:
        self.waiter = Waiter(self.sections, self.by_age, self._ask, self._wake)

    def _ask(self) -> bool:
        self.asked += 1
        return self.is_met

    def _wake(self) -> None:
        self.woken += 1


callers = st.builds(
    Caller, st.lists(st.sampled_from(NAMES), max_size=3).map(tuple), st.booleans(), st.booleans()
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["come", "go", "change", "age", "all", "end"]),
        st.integers(0, 5),
        st.sets(st.sampled_from(NAMES), max_size=2),
    ),
    max_size=30,
)


@given(st.lists(callers, min_size=6, max_size=6), steps)
def test_exactly_those_are_woken_who_wait_for_what_happened_and_are_met(
    crowd: list[Caller], happenings: list[tuple[str, int, set[tuple[int, str]]]]
) -> None:
    waiters = Waiters()
    waiting: list[Caller] = []
    for what, who, names in happenings:
        caller = crowd[who]
        asked: list[Caller] = []
        is_end = what == "end"
        before = [(one.asked, one.woken) for one in crowd]
        if what == "come" and caller not in waiting:
            waiters.add(caller.waiter)
            waiting.append(caller)
        elif what == "go":
            waiters.discard(caller.waiter)
            waiting = [one for one in waiting if one != caller]
        elif what == "change":
            waiters.wake_of(names)
            asked = [one for one in waiting if names & set(one.sections)]
        elif what == "age":
            waiters.wake_by_age()
            asked = [one for one in waiting if one.by_age]
        elif what in {"all", "end"}:
            waiters.wake_all(always=is_end)
            asked = list(waiting)
        for one, (asked_before, woken_before) in zip(crowd, before, strict=True):
            is_of_them = one in asked
            assert one.asked - asked_before == (is_of_them and not is_end)
            assert one.woken - woken_before == (is_of_them and (is_end or one.is_met))
        assert len(waiters) == len(waiting)
        assert waiters.has_aged == any(one.by_age for one in waiting)


def test_a_change_asks_nobody_who_waits_for_another_section() -> None:
    waiters, of_a, of_b = Waiters(), Caller((A,)), Caller((B,))
    waiters.add(of_a.waiter)
    waiters.add(of_b.waiter)
    waiters.wake_of([A])
    assert (of_a.woken, of_b.woken, of_b.asked) == (1, 0, 0)


def test_who_waits_for_two_sections_that_changed_at_once_is_asked_once() -> None:
    waiters, both = Waiters(), Caller((A, B))
    waiters.add(both.waiter)
    waiters.wake_of([A, B])
    assert (both.asked, both.woken) == (1, 1)


def test_of_who_left_nothing_stays_and_who_left_twice_takes_nobody_along() -> None:
    waiters, left, stays = Waiters(), Caller((A, B), by_age=True), Caller((A,))
    waiters.add(left.waiter)
    waiters.add(stays.waiter)
    waiters.discard(left.waiter)
    waiters.discard(left.waiter)
    waiters.wake_all(always=True)
    assert (left.woken, stays.woken) == (0, 1)
    waiters.discard(stays.waiter)
    assert (len(waiters), waiters.has_aged, waiters._by_section) == (0, False, {})


@pytest.mark.parametrize("how", ["change", "age", "all"])
def test_whoever_is_woken_may_leave_at_once(how: str) -> None:
    waiters = Waiters()
    leaving = Waiter((A,), True, lambda: True, lambda: waiters.discard(leaving))
    waiters.add(leaving)
    match how:
        case "change":
            waiters.wake_of([A])
        case "age":
            waiters.wake_by_age()
        case _:
            waiters.wake_all()
    assert len(waiters) == 0
