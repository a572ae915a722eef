"""A section, its layout and its blocked seats come back from what was stored of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.seatmap import row_of
from support.seats.section_commands import (
    CODECS,
    EVENT,
    A,
    Partition,
    block,
    hold,
    logs,
    opened,
    sale_window,
)

from state.domain.keys import section_key
from state.domain.layout import TIME_MS_MAX, Layout, OrphanRule, SeatRange
from state.records.names import SectionState
from state.records.section import (
    plan_of,
    read_blocked,
    read_layout,
    read_section,
    write_blocked,
    write_layout,
    write_section,
)
from streams.driver import PipedRecord

KEY = section_key(EVENT, A)


def stored_of(partition: Partition) -> tuple[bytes, bytes]:
    """Return the layout and the state of section A."""
    stored = partition.stored()
    return stored[b"l" + KEY], stored[b"s" + KEY]


@given(logs())
def test_sections_are_stored_as_they_were_read(log: list[PipedRecord]) -> None:
    partition = Partition(log=list(log))
    partition.fold(log)
    stored = partition.stored()
    for key in (key[1:] for key in stored if key[:1] == b"s"):
        layout = stored[b"l" + key]
        known = read_section(CODECS, key, layout, stored[b"s" + key])
        assert known.key == b"%d-%s" % (known.event_id, known.section_id) == key
        assert known.section.is_conserved()
        assert write_section(CODECS, known) == stored[b"s" + key]
        assert write_layout(CODECS, read_layout(CODECS, layout)) == layout
        if b"b" + key in stored:
            shape = known.section.layout
            rows = read_blocked(CODECS, shape, stored[b"b" + key])
            assert sum(map(int.bit_count, rows)) == known.section.blocked_count
            assert write_blocked(CODECS, shape, rows) == stored[b"b" + key]


def test_a_section_is_read_as_it_was_opened_and_as_it_stands() -> None:
    partition = opened(
        "...|...\n..",
        rule=OrphanRule.STRICT,
        blocked=[(1, 0, 2)],
        limit=3,
        hold_ms=60_000,
        max_hold_ms=90_000,
        starts_ms=5,
    )
    partition.send(hold("r1", 3))
    layout, state = stored_of(partition)
    known = read_section(CODECS, KEY, layout, state)
    assert (known.event_id, known.section_id, known.layout_version) == (EVENT, A.encode(), 1)
    assert (known.max_seats_per_hold, known.hold_ms, known.max_hold_ms) == (3, 60_000, 90_000)
    assert (known.sale_starts_ms, known.sale_ends_ms) == (5, TIME_MS_MAX + 1)
    assert known.initial_blocked_count == known.section.blocked_count == 2
    assert (known.section.version, known.section.applied_offset) == (2, 1)
    assert (known.section.held_count, known.section.sold_count) == (3, 0)
    assert known.section.rows[1] == 0
    plan = plan_of(read_layout(CODECS, layout))
    assert [(row.seat_count, row.aisles) for row in plan.rows] == [(6, (3,)), (2, ())]
    assert plan.blocked == (SeatRange(1, 0, 2),)
    assert plan.rules == known.section.rules
    assert plan.rules.orphan_rule is OrphanRule.STRICT


def test_a_changed_sale_window_is_read_back_with_its_section() -> None:
    partition = opened("....", starts_ms=5)
    partition.send(sale_window(7, 9))
    known = read_section(CODECS, KEY, *stored_of(partition))
    assert (known.sale_starts_ms, known.sale_ends_ms) == (7, 9)


@pytest.mark.parametrize("change", [{"free": b"\0\0"}, {"held_count": 1}])
def test_counts_that_do_not_fit_the_layout_are_refused(change: dict[str, object]) -> None:
    layout, state = stored_of(opened("...."))
    wrong = SectionState._make(CODECS.read_section(state, 0))._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        read_section(CODECS, KEY, layout, CODECS.section(*wrong))


@given(st.lists(st.integers(0, 2**6 - 1), min_size=2, max_size=2))
def test_blocked_seats_come_back_row_by_row(rows: list[int]) -> None:
    layout = Layout.of([row_of("......"), row_of("......")])
    assert read_blocked(CODECS, layout, write_blocked(CODECS, layout, rows)) == rows


def test_where_nothing_was_ever_blocked_no_seat_is() -> None:
    partition = opened("....\n..")
    assert b"b" + KEY not in partition.stored()
    layout = Layout.of([row_of("...."), row_of("..")])
    assert read_blocked(CODECS, layout, None) == [0, 0]
    partition.send(block([(0, 1, 2)]))
    assert read_blocked(CODECS, layout, partition.stored()[b"b" + KEY]) == [0b0110, 0]
