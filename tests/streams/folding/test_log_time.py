"""The log's time follows what two clocks agree on, and small steps of one."""

from hypothesis import given
from hypothesis import strategies as st

from streams.folding.log_time import JUMP_MS, horizon_ms, moved, ticked

NOW = 1_764_000_000_000
HOUR = 3_600_000
times = st.integers(NOW, NOW + 3 * HOUR)


@given(times, times)
def test_f78_time_never_goes_back_and_never_leaps_by_one_clock(before: int, appended: int) -> None:
    after = moved(before, appended)
    assert before <= after <= before + JUMP_MS
    assert after in {before, appended}


@given(times, times, times, times)
def test_f78_a_tick_moves_time_no_further_than_its_append_time(
    before: int, timer: int, appended: int, clock: int
) -> None:
    after, timer_after = ticked(before, timer, appended, clock)
    assert before <= after <= max(before, appended)
    assert timer <= timer_after <= max(timer, appended)


@given(times, st.integers(0, 3 * HOUR), st.integers(-5_000, 5_000))
def test_c6_after_any_silence_a_tick_of_a_good_clock_brings_time_to_the_present(
    before: int, silence: int, skew: int
) -> None:
    now = before + silence
    after, _ = ticked(before, before, now, now + skew)
    assert now - 5_000 <= after <= now


def test_the_first_record_of_a_log_is_its_time() -> None:
    assert moved(0, NOW) == NOW
    assert ticked(0, 0, NOW, NOW - HOUR)[0] == NOW


def test_s5_a_slow_timer_moves_no_less_than_the_log_that_went_on_in_small_steps() -> None:
    assert ticked(NOW, NOW, NOW + 20_000, NOW - HOUR) == (NOW + 20_000, NOW + 20_000)


def test_f76_a_fast_timer_is_believed_up_to_the_append_time() -> None:
    assert ticked(NOW, NOW, NOW + 1_000, NOW + HOUR) == (NOW + 1_000, NOW + 1_000)


def test_f78_while_the_brokers_clock_is_ahead_time_follows_the_timer() -> None:
    assert ticked(NOW, NOW, NOW + HOUR, NOW + 1_000) == (NOW + 1_000, NOW + 1_000)
    # A jump of less than that is followed, but ends no hold: lapses need the timer too.
    assert ticked(NOW, NOW, NOW + 50_000, NOW + 1_000) == (NOW + 50_000, NOW + 1_000)


def test_f76_a_deadline_has_passed_only_when_both_clocks_say_so() -> None:
    assert horizon_ms(10_000, 10_000) == 10_000
    assert horizon_ms(10_000, 3_600_000) == 10_000  # a fast timer changes nothing
    assert horizon_ms(3_600_000, 10_000) == 15_000  # nor does a fast broker
    assert horizon_ms(1_700_000_000_000, 0) == 5_000  # no tick yet
