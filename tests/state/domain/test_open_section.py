"""A section that is open, by its own rules and within its sale window."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.seats import seatmap

from state.domain.layout import TIME_MS_MAX, Rules
from state.domain.open_section import KnownSection
from state.domain.price import unpriced
from state.domain.reasons import Reason
from state.domain.section import Section

times = st.integers(0, TIME_MS_MAX)
RULES = Rules(max_seats_per_hold=3, hold_ms=60_000, max_hold_ms=90_000, payment_ms=7_000)


def section_of(text: str, rules: Rules) -> Section:
    section = seatmap.section(text)
    section.rules = rules
    return section


def known(section: Section) -> KnownSection:
    return KnownSection.of(
        section,
        key=b"7-A",
        event_id=7,
        section_id=b"A",
        layout_version=2,
        initial_blocked_count=1,
        prices=unpriced([1]),
    )


@given(times, times)
def test_its_rules_are_those_of_its_section_and_no_end_is_the_end_of_time(
    starts_ms: int, ends_ms: int
) -> None:
    rules = replace(RULES, sale_starts_ms=starts_ms, sale_ends_ms=ends_ms)
    one = known(section_of("....", rules))
    assert (one.max_seats_per_hold, one.hold_ms, one.max_hold_ms) == (3, 60_000, 90_000)
    assert one.payment_ms == 7_000
    assert one.sale_starts_ms == starts_ms
    assert one.sale_ends_ms == (ends_ms or TIME_MS_MAX + 1)


@given(times, times)
def test_another_window_leaves_all_else_as_it_is(starts_ms: int, ends_ms: int) -> None:
    one = known(section_of("..x.", RULES))
    other = one.with_window(starts_ms, ends_ms)
    assert other.section is one.section
    assert (other.section.rules.sale_starts_ms, other.section.rules.sale_ends_ms) == (
        starts_ms,
        ends_ms,
    )
    # As if it had been opened within that window.
    assert other == known(one.section)
    assert replace(other, sale_starts_ms=one.sale_starts_ms, sale_ends_ms=one.sale_ends_ms) == one


def test_a_sale_without_end_is_open_at_the_last_moment_that_there_is() -> None:
    one = known(section_of("....", replace(RULES, sale_ends_ms=5)))
    assert one.sale_ends_ms == 5
    assert one.with_window(0, 0).sale_ends_ms > TIME_MS_MAX


def test_it_sells_from_the_begin_of_its_sale_until_its_end() -> None:
    one = known(section_of("..", RULES)).with_window(10, 20)
    at_by_time = {ms: one.refusal_at(ms) for ms in (9, 10, 19, 20)}
    assert at_by_time == {9: Reason.NOT_OPEN, 10: None, 19: None, 20: Reason.SALE_CLOSED}
