"""The log's time follows no leap of one clock, once ticks say so."""

from scripts.auditing.oracle.log_time import CLOCK_SKEW_MS, JUMP_MS, LogTime

START_MS = 1_000_000


def at(*records: tuple[int, bytes | None, int | None]) -> LogTime:
    """Return the time after records: append time, key, clock of a tick."""
    time = LogTime()
    for record in records:
        time.follow(*record)
    return time


def test_every_record_moves_the_time_and_none_moves_it_back() -> None:
    assert at((START_MS, b"7-A", None), (START_MS - 9, b"7-A", None)).ms == START_MS


def test_before_the_rule_a_leap_is_believed() -> None:
    assert (
        at((START_MS, b"7-A", None), (START_MS + 2 * JUMP_MS, b"7-A", None)).ms
        == START_MS + 2 * JUMP_MS
    )


def test_from_the_first_tick_of_the_rule_on_a_leap_needs_its_senders_clock() -> None:
    begun = (START_MS, b"tick-2", START_MS)
    leap = START_MS + 2 * JUMP_MS
    assert at(begun, (leap, b"7-A", None)).ms == START_MS
    assert at(begun, (leap, b"tick-2", START_MS + 5)).ms == START_MS + 5
    assert at(begun, (leap, b"tick-2", leap)).ms == leap


def test_deadlines_are_over_when_both_clocks_are_past_them() -> None:
    time = at((START_MS, b"tick-2", START_MS - 2 * CLOCK_SKEW_MS))
    assert (time.ms, time.timer_ms) == (START_MS, START_MS - 2 * CLOCK_SKEW_MS)
    assert time.lapses_to_ms == START_MS - CLOCK_SKEW_MS


def test_a_tick_that_lags_a_minute_behind_says_nothing_of_the_clock() -> None:
    late = (START_MS, b"tick-2", START_MS - JUMP_MS - 1)
    assert at(late).timer_ms == START_MS
