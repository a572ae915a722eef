import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats import seat_by_seat
from support.seats.seatmap import seat_map, section, take_ranges

from state.domain.allocation import best_available, chosen
from state.domain.layout import OrphanRule, SeatPosition, SeatRange, run_mask
from state.domain.reasons import Reason
from state.domain.section import Section

rules = st.sampled_from(OrphanRule)
counts = st.integers(1, 16)
plain_lines = st.text(".x", min_size=1, max_size=40)
# Mostly free, so that long runs and rows without a fit both occur.
open_lines = st.lists(st.sampled_from("....x"), min_size=1, max_size=70).map("".join)


@st.composite
def lines_with_aisles(draw: st.DrawFn) -> str:
    blocks = draw(st.lists(plain_lines | open_lines, min_size=1, max_size=4))
    return "|".join(blocks)


# Free rows whose blocks are about as long as what is asked for.
blocks = st.lists(st.integers(1, 18), min_size=1, max_size=5).map(
    lambda sizes: "|".join("." * size for size in sizes)
)
lines = plain_lines | open_lines | lines_with_aisles() | blocks
maps = st.lists(lines, min_size=1, max_size=9)


def after(before: str, count: int, rule: OrphanRule) -> str:
    start = section(before, rule)
    found = best_available(start, count)
    if isinstance(found, Reason):
        return found.name
    start.take(found[0], run_mask(found[1], count))
    return seat_map(start)


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        ("..x..", 2, "xxx.."),
        (".x...", 2, ".xxx."),
        ("x.x\n...", 3, "x.x\nxxx"),
        (".|.\n..", 2, ".|.\nxx"),  # an aisle parts the first row
        ("..|...", 3, "..|xxx"),
        ("x.x\n.x.", 2, "NO_ADJACENT_SEATS"),
        ("x.x", 2, "SOLD_OUT"),
    ],
)
def test_off_takes_the_first_adjacent_seats(before: str, count: int, expected: str) -> None:
    assert after(before, count, OrphanRule.OFF) == expected


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        ("...", 2, "xx."),  # nowhere without a single seat: the first place at all
        ("...\n....", 2, "...\nxx.."),  # the second row can do better
        ("...|..", 2, "...|xx"),
        (".....", 2, "xx..."),
        (".x...x", 3, ".xxxxx"),  # the single seat was there before
        (
            "x...\nx...\nx...\nx...\n..",
            2,
            "xxx.\nx...\nx...\nx...\n..",
        ),  # the fifth row is too far
        ("xxx\nx...\nx...\nx...\n..", 2, "xxx\nx...\nx...\nx...\nxx"),  # full rows do not count
        ("....", 1, "x..."),
        ("...x", 1, "x..x"),
        ("..\n.", 1, "..\nx"),
    ],
)
def test_prefer_avoids_a_new_single_seat_within_four_rows(
    before: str, count: int, expected: str
) -> None:
    assert after(before, count, OrphanRule.PREFER) == expected


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        ("...", 2, "ORPHAN_SEAT"),
        (".x.", 2, "NO_ADJACENT_SEATS"),
        ("x...\n...\n...\n...\n...\n..", 2, "x...\n...\n...\n...\n...\nxx"),  # the whole section
        ("...|..", 2, "...|xx"),
        ("......", 5, "ORPHAN_SEAT"),
        (".x..", 1, "xx.."),  # a seat that is single already may be taken
        ("xx", 1, "SOLD_OUT"),
    ],
)
def test_strict_never_leaves_a_new_single_seat(before: str, count: int, expected: str) -> None:
    assert after(before, count, OrphanRule.STRICT) == expected


@pytest.mark.parametrize("rule", OrphanRule)
@pytest.mark.parametrize("count", range(1, 17))
def test_any_count_fits_its_own_length_and_never_across_an_aisle(
    count: int, rule: OrphanRule
) -> None:
    assert best_available(section("x" + "." * count, rule), count) == (0, 1)
    for before in range(1, count):
        # The long block is taken, but keeps the row in the index.
        parted = section("x" * 16 + "|" + "." * before + "|" + "." * (count - before), rule)
        assert best_available(parted, count) is Reason.NO_ADJACENT_SEATS


@given(maps, counts, rules)
def test_best_available_agrees_with_a_seat_by_seat_search(
    lines: list[str], count: int, rule: OrphanRule
) -> None:
    found = best_available(section("\n".join(lines), rule), count)
    expected = seat_by_seat.best(lines, count, rule.name)
    assert (found.name if isinstance(found, Reason) else found) == expected


@given(maps, rules, st.data())
def test_chosen_seats_agree_with_a_seat_by_seat_search(
    lines: list[str], rule: OrphanRule, data: st.DataObject
) -> None:
    near = st.integers(0, len(lines) - 1).flatmap(
        lambda row: st.tuples(
            st.just(row), st.integers(0, len(seat_by_seat.seats_of(lines[row])) - 1)
        )
    )
    anywhere = st.tuples(st.integers(-2, 10), st.integers(-2, 80))
    wanted = data.draw(st.lists(near | near | near | anywhere, min_size=1, max_size=8))
    start = section("\n".join(lines), rule)
    found = chosen(start, wanted)
    expected = seat_by_seat.chosen(lines, wanted, rule.name)
    if isinstance(found, tuple):
        assert (found[0].name, found[1]) == expected
    else:
        assert expected is None
        take_ranges(start, found)
        taken = [[seat for in_row, seat in wanted if in_row == row] for row in range(len(lines))]
        assert seat_map(start).split() == [
            seat_by_seat.with_taken(line, seats) for line, seats in zip(lines, taken, strict=True)
        ]


@pytest.mark.parametrize(
    ("before", "wanted", "expected"),
    [
        ("....", [(0, 3), (0, 2), (0, 0)], [SeatRange(0, 0, 1), SeatRange(0, 2, 2)]),
        ("..|..", [(0, 1), (0, 2)], [SeatRange(0, 1, 1), SeatRange(0, 2, 1)]),
        ("..\n..", [(1, 0), (0, 1)], [SeatRange(0, 1, 1), SeatRange(1, 0, 1)]),
    ],
)
def test_chosen_seats_become_ranges_of_adjacent_seats(
    before: str, wanted: list[tuple[int, int]], expected: list[SeatRange]
) -> None:
    assert chosen(section(before), wanted) == expected


def test_strict_lets_chosen_seats_leave_pairs_and_old_single_seats() -> None:
    before = section("..|...\n.x..", OrphanRule.STRICT)
    assert chosen(before, [(0, 2), (0, 3)]) == (Reason.ORPHAN_SEAT, None)
    assert chosen(before, [(0, 2), (1, 2), (1, 3)]) == [SeatRange(0, 2, 1), SeatRange(1, 2, 2)]


@pytest.mark.parametrize(
    ("before", "wanted", "reason", "seat"),
    [
        # An unknown seat outweighs a taken one that stands before it, and being sold out.
        ("x", [(0, 0), (0, 1)], Reason.UNKNOWN_SEAT, SeatPosition(0, 1)),
        ("..", [(0, 0), (0, 0)], Reason.UNKNOWN_SEAT, SeatPosition(0, 0)),
        ("..", [(0, -1)], Reason.UNKNOWN_SEAT, SeatPosition(0, -1)),
        ("..", [(1, 0)], Reason.UNKNOWN_SEAT, SeatPosition(1, 0)),
        ("x.", [(0, 0), (0, 1)], Reason.SOLD_OUT, None),
        ("x.x..", [(0, 1), (0, 2), (0, 0)], Reason.SEAT_TAKEN, SeatPosition(0, 2)),
        ("...", [(0, 1)], Reason.ORPHAN_SEAT, None),
    ],
)
def test_the_first_seat_that_cannot_be_had_is_named(
    before: str, wanted: list[tuple[int, int]], reason: Reason, seat: SeatPosition | None
) -> None:
    assert chosen(section(before, OrphanRule.STRICT), wanted) == (reason, seat)


def rebuilt(kept: Section) -> Section:
    return Section.from_packed(
        kept.layout,
        kept.rules,
        kept.packed(),
        held=kept.held_count,
        sold=kept.sold_count,
        blocked=kept.blocked_count,
    )


@given(maps, rules, st.lists(st.tuples(counts, st.integers(0, 3)), max_size=40))
def test_the_answer_does_not_depend_on_how_stale_the_index_is(
    lines: list[str], rule: OrphanRule, steps: list[tuple[int, int]]
) -> None:
    """A section that lived through every step decides like one just read from its bytes."""
    kept = section("\n".join(lines), rule)
    taken: list[tuple[int, int]] = []
    for count, choice in steps:
        if choice == 0 and taken:
            kept.give_back(*taken.pop(count % len(taken)))
        fresh = rebuilt(kept)
        found = best_available(kept, count)
        assert found == best_available(fresh, count)
        assert kept.largest_block() == fresh.largest_block()
        if not isinstance(found, Reason):
            taken.append((found[0], run_mask(found[1], count)))
            kept.take(*taken[-1])
