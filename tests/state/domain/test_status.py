from collections.abc import Sequence
from functools import reduce
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.reasons import Reason
from state.domain.status import SectionStatus, can_refuse, fault_of, is_other_history, newer_of

small = st.integers(0, 3)
# Narrow ranges, so that equal versions with other counts occur.
statuses = st.builds(SectionStatus, small, small, small, small, small)


@given(st.lists(statuses, min_size=1), st.randoms(use_true_random=False))
def test_any_order_and_repetition_of_the_same_statuses_ends_in_the_same_one(
    told: list[SectionStatus], chance: Random
) -> None:
    again = [*told, *told[::2]]
    chance.shuffle(again)
    assert reduce(newer_of, again) == reduce(newer_of, told)


@given(statuses, statuses)
def test_a_lower_version_never_replaces_a_higher(a: SectionStatus, b: SectionStatus) -> None:
    assert newer_of(a, b) in {a, b}
    assert newer_of(a, b).version == max(a.version, b.version)


def test_of_one_version_the_later_stands() -> None:
    before = SectionStatus(version=4, as_of_ms=100, free=3, held=1, largest_block=2)
    after = before._replace(as_of_ms=101)
    assert newer_of(before, after) == newer_of(after, before) == after


@pytest.mark.parametrize(
    ("counts", "fault"),
    [
        (SectionStatus(1, 1, 10, 2, 4), ""),
        (SectionStatus(1, 1, 0, 0, 0), ""),
        (SectionStatus(0, 1, 10, 0, 0), ""),
        (SectionStatus(-1, 1, 1, 0, 1), "negative"),
        (SectionStatus(1, -1, 1, 0, 1), "negative"),
        (SectionStatus(1, 1, -1, 0, 0), "negative"),
        (SectionStatus(1, 1, 1, -1, 1), "negative"),
        (SectionStatus(1, 1, 1, 0, -1), "negative"),
        (SectionStatus(1, 1, 3, 0, 4), "block of 4"),
        (SectionStatus(1, 1, 3, 0, 0), "no block"),
    ],
)
def test_b82_counts_that_no_section_can_have_are_found(counts: SectionStatus, fault: str) -> None:
    assert fault in fault_of(counts)
    assert bool(fault) == bool(fault_of(counts))


@pytest.mark.parametrize(
    ("quantity", "adjacent", "verdict"),
    [
        (5, True, Reason.SOLD_OUT),
        (5, False, Reason.SOLD_OUT),
        (3, True, Reason.NO_ADJACENT_SEATS),
        (3, False, None),
        (4, False, None),
        (2, True, None),
        (0, True, None),
        (-1, False, None),
    ],
)
def test_four_free_seats_in_blocks_of_two(
    quantity: int, adjacent: bool, verdict: Reason | None
) -> None:
    status = SectionStatus(version=9, as_of_ms=1, free=4, held=0, largest_block=2)
    assert can_refuse(status, quantity, adjacent=adjacent) == verdict


def test_a_block_that_nobody_told_refuses_nothing() -> None:
    status = SectionStatus(version=0, as_of_ms=1, free=4, held=0, largest_block=0)
    assert can_refuse(status, 4, adjacent=True) is None
    assert can_refuse(status, 5, adjacent=True) is Reason.SOLD_OUT


def _free_runs(row: str) -> list[int]:
    return [len(run) for run in row.replace("x", " ").split()]


@given(
    st.lists(st.text("x.", min_size=1, max_size=8), min_size=1, max_size=4),
    st.integers(1, 8),
)
def test_what_is_refused_has_no_place_in_the_seats_themselves(
    rows: Sequence[str], quantity: int
) -> None:
    runs = [run for row in rows for run in _free_runs(row)]
    status = SectionStatus(1, 1, sum(runs), 0, max(runs, default=0))
    assert not fault_of(status)
    refused = can_refuse(status, quantity, adjacent=True) is not None
    assert refused == all(run < quantity for run in runs)


# Steps of a section: what each adds to the version and to the log's time.
lives = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=30)


def lived(steps: list[tuple[int, int]], version: int, time_ms: int) -> list[tuple[int, int]]:
    """Return (version, log time) after each step."""
    life = []
    for more, later_ms in steps:
        version, time_ms = version + more, time_ms + later_ms
        life.append((version, time_ms))
    return life


@given(lives, st.data())
def test_no_moment_of_a_history_refutes_another_one_of_it(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    life = lived(steps, 0, 100)
    told, status = data.draw(st.sampled_from(life)), data.draw(st.sampled_from(life))
    assert not is_other_history(*status, *told)


@given(lives, lives, lives)
def test_what_was_lost_is_refuted_by_each_lower_version_that_came_after_the_restore(
    kept: list[tuple[int, int]], lost: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    before = lived(kept, 1, 100)
    gone = lived(lost, *before[-1])
    restored = lived(after, before[-1][0], gone[-1][1] + 1)
    for version, told_ms in gone:
        for status in restored:
            assert is_other_history(*status, version, told_ms) == (status[0] < version)
