import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.seats import seat_by_seat
from support.seats.seatmap import seat_map, section

from state.domain.allocation import best_available
from state.domain.layout import Layout, OrphanRule, Row, Rules, run_mask
from state.domain.reasons import Reason
from state.domain.section import Section, longest_run

rows = st.builds(
    Row,
    label=st.just(""),
    seat_count=st.just(40),
    aisles=st.sets(st.integers(1, 39), max_size=3).map(lambda found: tuple(sorted(found))),
) | st.builds(Row, label=st.just(""), seat_count=st.integers(1, 70))


@given(st.lists(rows, min_size=1, max_size=6), st.data())
def test_the_packed_form_is_one_bit_a_seat_with_rows_rounded_up(
    plan: list[Row], data: st.DataObject
) -> None:
    layout = Layout.of(plan)
    free = [data.draw(st.integers(0, (1 << row.seat_count) - 1)) for row in plan]
    packed = layout.pack(free)
    assert len(packed) == sum((row.seat_count + 7) // 8 for row in plan)
    assert layout.unpack(packed) == free
    at = 0
    for row, bits in zip(plan, free, strict=True):
        for seat in range(row.seat_count):
            assert packed[at + seat // 8] >> seat % 8 & 1 == bits >> seat & 1
        at += (row.seat_count + 7) // 8


def test_a_bitmap_of_another_size_or_with_bits_beyond_its_rows_is_refused() -> None:
    layout = Layout.of([Row("", 3), Row("", 9)])
    with pytest.raises(ValueError, match="2 bytes"):
        layout.unpack(b"\0\0")
    with pytest.raises(ValueError, match="beyond the end"):
        layout.unpack(b"\x08\0\0")


def test_counters_that_disagree_with_the_bits_are_refused() -> None:
    layout = Layout.of([Row("", 3)])
    with pytest.raises(ValueError, match="disagree"):
        Section.from_packed(layout, Rules(), b"\x07", held=1, sold=0, blocked=0)


def test_a_taken_seat_cannot_be_taken_and_a_free_one_not_given_back() -> None:
    start = section("x..")
    with pytest.raises(AssertionError):
        start.take(0, 0b011)
    with pytest.raises(AssertionError):
        start.give_back(0, 0b010)
    assert seat_map(start) == "x.."
    assert (start.free_count, start.held_count) == (2, 1)


@given(st.integers(0, 2**80))
def test_longest_run_counts_ones(bits: int) -> None:
    assert longest_run(bits) == max(map(len, f"{bits:b}".split("0")))


class SectionLife(RuleBasedStateMachine):
    """Takes, sells, blocks and gives back at random, beside a seat-by-seat account."""

    @initialize(
        plan=st.lists(rows, min_size=1, max_size=6), orphan_rule=st.sampled_from(OrphanRule)
    )
    def open(self, plan: list[Row], orphan_rule: OrphanRule) -> None:
        self.kept = Section.empty(Layout.of(plan), Rules(orphan_rule=orphan_rule))
        self.held: list[tuple[int, int]] = []
        self.blocked: list[tuple[int, int]] = []
        self.sold: list[tuple[int, int]] = []

    @rule(count=st.integers(1, 16))
    def hold(self, count: int) -> None:
        found = best_available(self.kept, count)
        if isinstance(found, Reason):
            return
        self.held.append((found[0], run_mask(found[1], count)))
        self.kept.take(*self.held[-1])

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.held) - 1))
        before = self.kept.packed(), self.kept.free_count, self.kept.held_count
        self.kept.give_back(*self.held[at])
        self.kept.take(*self.held[at])
        # Taking undoes giving back, in the bits and in the counters.
        assert (self.kept.packed(), self.kept.free_count, self.kept.held_count) == before
        self.kept.give_back(*self.held.pop(at))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def sell(self, data: st.DataObject) -> None:
        self.sold.append(self.held.pop(data.draw(st.integers(0, len(self.held) - 1))))
        self.kept.sell(self.sold[-1][1].bit_count())

    @precondition(lambda self: self.sold)
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        row, mask = self.sold.pop(data.draw(st.integers(0, len(self.sold) - 1)))
        self.kept.unsell(mask.bit_count())
        self.kept.give_back(row, mask)

    @rule(data=st.data())
    def block(self, data: st.DataObject) -> None:
        row = data.draw(st.integers(0, len(self.kept.rows) - 1))
        seat = data.draw(st.integers(0, self.kept.layout.seat_counts[row] - 1))
        if self.kept.rows[row] >> seat & 1:
            self.blocked.append((row, 1 << seat))
            self.kept.block(*self.blocked[-1])

    @precondition(lambda self: self.blocked)
    @rule(data=st.data())
    def unblock(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.blocked) - 1))
        self.kept.unblock(*self.blocked.pop(at))

    @invariant()
    def counters_and_bits_agree(self) -> None:
        assert self.kept.is_conserved()
        assert self.kept.free_count == sum(bits.bit_count() for bits in self.kept.rows)
        assert self.kept.held_count == sum(mask.bit_count() for _, mask in self.held)
        assert self.kept.blocked_count == len(self.blocked)
        assert self.kept.sold_count == sum(mask.bit_count() for _, mask in self.sold)

    @rule()
    def dump(self) -> None:
        assert self.kept.packed() == self.kept.layout.pack(self.kept.rows)

    @rule()
    def measure(self) -> None:
        assert self.kept.largest_block() == seat_by_seat.longest(seat_map(self.kept).split())


TestSectionLife = SectionLife.TestCase


@pytest.mark.parametrize(
    ("text", "largest"), [("x", 0), (".", 1), ("..x...", 3), ("...|..", 3), ("xx|.x\n.", 1)]
)
def test_largest_block_is_the_longest_run_between_aisles(text: str, largest: int) -> None:
    assert section(text).largest_block() == largest
