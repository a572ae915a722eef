"""Ages are bounds: rounded up, and by a clock that never goes back."""

from hypothesis import given
from hypothesis import strategies as st

from state.views.following.ages import UNKNOWN_AGE_MS, age_ms, boot_clock_ns, never_known_ns

MS = 1_000_000


@given(st.integers(0, 2**62), st.integers(0, 2**40))
def test_an_age_is_at_least_what_has_passed_and_less_than_a_millisecond_more(
    known_ns: int, passed_ns: int
) -> None:
    age = age_ms(known_ns, known_ns + passed_ns)
    assert passed_ns <= age * MS < passed_ns + MS


@given(st.integers(0, 2**62))
def test_what_was_never_known_is_as_old_as_can_be_told(now_ns: int) -> None:
    assert age_ms(never_known_ns(now_ns), now_ns) == UNKNOWN_AGE_MS


def test_the_clock_does_not_go_back() -> None:
    readings = [boot_clock_ns() for _ in range(1_000)]
    assert readings == sorted(readings)
