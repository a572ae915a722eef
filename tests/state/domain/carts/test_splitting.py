"""A party gets seats in as few pieces as can be, near each other, the same for the same seats."""

from collections.abc import Iterator
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats import pieces_plainly, seat_by_seat
from support.seats.seatmap import seat_map, section, take_ranges

from state.domain.allocation import best_available
from state.domain.carts.splitting import as_many_in_pieces, in_pieces
from state.domain.layout import OrphanRule, SeatRange
from state.domain.reasons import Reason

Places = tuple[tuple[int, int], ...]

OFF, PREFER, STRICT = OrphanRule.OFF, OrphanRule.PREFER, OrphanRule.STRICT


def after(before: str, count: int, rule: OrphanRule = OFF) -> str:
    shown = section(before, rule)
    found = in_pieces(shown, count)
    if isinstance(found, Reason):
        return found.name
    take_ranges(shown, found)
    return seat_map(shown)


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        # What fits into a block is no party.
        ("..\n....", 4, "..\nxxxx"),
        # Two pieces, however far, before three beside each other.
        ("...\n.x.\nxxx\n...", 6, "xxx\n.x.\nxxx\nxxx"),
        # Of two pieces those in the nearest rows, of these the frontmost.
        ("...\nxxx\n...\n...\n...", 6, "...\nxxx\nxxx\nxxx\n..."),
        # In one row: an aisle parts them.
        ("...\n...|...", 5, "...\nxxx|xx."),
        # Nobody sits alone who need not.
        ("...|...", 4, "xx.|xx."),
        (".....\n....", 6, "xxx..\nxxx."),
        (".x.\nx.x", 3, "xxx\nxxx"),
        (".x.", 3, "SOLD_OUT"),
    ],
)
def test_d12_few_pieces_then_near_rows_then_nobody_alone(
    before: str, count: int, expected: str
) -> None:
    assert after(before, count) == expected


@pytest.mark.parametrize(
    ("before", "rule", "expected"),
    [
        ("..x\n...", OFF, ((0, 0, 2), (1, 0, 3))),
        ("..|...", STRICT, ((0, 0, 2), (0, 2, 3))),
        ("......\n...", OFF, ((0, 0, 4), (1, 0, 3))),
        ("xxx", OFF, Reason.SOLD_OUT),
    ],
)
def test_d12_as_many_as_can_be_had_of_seven(
    before: str, rule: OrphanRule, expected: tuple[tuple[int, int, int], ...] | Reason
) -> None:
    found = as_many_in_pieces(section(before, rule), 7)
    assert (found if isinstance(found, Reason) else tuple(found)) == expected


def test_d12_fewer_are_had_where_the_rule_forbids_what_there_is() -> None:
    shown = section("..", STRICT)
    assert as_many_in_pieces(shown, 1) is Reason.ORPHAN_SEAT
    assert as_many_in_pieces(section("..\n..", STRICT), 3) == [SeatRange(0, 0, 2)]


@pytest.mark.parametrize(
    ("before", "count", "rule", "expected"),
    [
        ("...|...", 4, PREFER, "xxx|x.."),
        ("...|...", 4, STRICT, "xxx|x.."),
        ("..|..", 3, PREFER, "xx|x."),
        ("..|..", 3, STRICT, "ORPHAN_SEAT"),
        # More pieces, where fewer would leave a single seat.
        ("..|..|.", 3, STRICT, "xx|..|x"),
        # A block has room, but not without a single seat.
        ("...|.", 2, STRICT, "x..|x"),
    ],
)
def test_d12_single_seats_are_left_as_the_section_s_rule_has_it(
    before: str, count: int, rule: OrphanRule, expected: str
) -> None:
    assert after(before, count, rule) == expected


small_maps = st.lists(
    st.text("..x|", min_size=1, max_size=6).map(lambda line: line.strip("|") or "."),
    min_size=1,
    max_size=4,
).filter(lambda lines: "||" not in "".join(lines) and "".join(lines).count(".") <= 12)


def pieces_of(lines: list[str], places: Places) -> list[SeatRange]:
    """Return the runs of adjacent seats that some seats are."""
    found: list[SeatRange] = []
    for row, line in enumerate(lines):
        for block in seat_by_seat.blocks_of(line):
            length = 0
            for seat in (*block, -1):
                if (row, seat) in places:
                    length += 1
                elif length:
                    end = seat if seat >= 0 else block[-1] + 1
                    found.append(SeatRange(row, end - length, length))
                    length = 0
    return found


def singles(lines: list[str], places: Places) -> bool:
    return any(
        seat_by_seat.lonely(
            seat_by_seat.with_taken(line, [seat for in_row, seat in places if in_row == row])
        )
        - seat_by_seat.lonely(line)
        for row, line in enumerate(lines)
    )


def by_brute_force(lines: list[str], count: int, rule: OrphanRule) -> Iterator[tuple[int, ...]]:
    """Yield what is to be least of every way to choose seats: one seat after the other."""
    free = [
        (row, seat)
        for row, line in enumerate(lines)
        for seat, mark in enumerate(seat_by_seat.seats_of(line))
        if mark == "."
    ]
    for places in combinations(free, count):
        leaves = singles(lines, places)
        if rule is STRICT and leaves:
            continue
        yield judged(lines, places, rule, leaves)


def judged(lines: list[str], places: Places, rule: OrphanRule, leaves: bool) -> tuple[int, ...]:
    pieces = pieces_of(lines, places)
    first, last = pieces[0].row, pieces[-1].row
    smallest = min(piece.seat_count for piece in pieces)
    where = [number for piece in pieces for number in (*piece[:2], -piece.seat_count)]
    return (len(pieces), last - first, first, rule is PREFER and leaves, -smallest, *where)


@given(small_maps, st.integers(1, 8), st.sampled_from(OrphanRule))
def test_d12_no_other_choice_of_seats_is_better(
    lines: list[str], count: int, rule: OrphanRule
) -> None:
    shown = section("\n".join(lines), rule)
    found = in_pieces(shown, count)
    if isinstance(found, Reason):
        is_sold_out = sum(line.count(".") for line in lines) < count
        assert found is (Reason.SOLD_OUT if is_sold_out else Reason.ORPHAN_SEAT)
        assert is_sold_out or not [*by_brute_force(lines, count, rule)]
        return
    places = tuple(
        (row, seat) for row, first, length in found for seat in range(first, first + length)
    )
    assert pieces_of(lines, places) == found
    if len(found) == 1:
        assert best_available(shown, count) == found[0][:2]
        return
    mine = judged(lines, places, rule, singles(lines, places))
    assert mine == min(by_brute_force(lines, count, rule))


large_maps = st.lists(
    st.one_of(
        st.text("..x", min_size=1, max_size=40),
        st.text(".xx", min_size=1, max_size=40),
        st.text(".xxxxx", min_size=1, max_size=40),
        st.text("..xx|", min_size=1, max_size=40).map(lambda line: line.strip("|") or "."),
        st.sampled_from(["x" * 30, ".x" * 15, "..x" * 10]),
    ),
    min_size=1,
    max_size=12,
).filter(lambda lines: "||" not in "".join(lines))


@given(large_maps, st.integers(1, 16), st.sampled_from(OrphanRule))
def test_d12_counted_by_rows_the_choice_is_that_of_every_run_looked_at(
    lines: list[str], count: int, rule: OrphanRule
) -> None:
    shown = section("\n".join(lines), rule)
    assert in_pieces(shown, count) == pieces_plainly.in_pieces(shown, count)
    assert as_many_in_pieces(shown, count) == pieces_plainly.as_many_in_pieces(shown, count)


def test_d12_a_large_section_of_single_seats_is_looked_through_in_no_time() -> None:
    """Five thousand runs: each row enters and leaves what is looked at once."""
    lines = [".x" * 50] * 100
    lines[0] = "." * 15
    lines[-1] = "." * 15
    found = in_pieces(section("\n".join(lines), STRICT), 16)
    assert found == [SeatRange(0, 0, 15), SeatRange(1, 0, 1)]
