"""When a destination is called, left alone, and probed."""

from hypothesis import given
from hypothesis import strategies as st

from infra.process.breaker import Breaker, Phase, Rules, Verdict

RULES = Rules(failures=5, open_ms=60_000, probes=3)


def opened() -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(5):
        breaker.failed(breaker.begin(), 1_000)
    return breaker


def test_f60_five_failures_in_a_row_open_it_for_a_minute() -> None:
    breaker = Breaker(RULES)
    for _ in range(4):
        breaker.failed(breaker.begin(), 0)
    breaker.succeeded(breaker.begin())
    for _ in range(4):
        breaker.failed(breaker.begin(), 0)
    assert breaker.verdict(0) is Verdict.CALL
    breaker.failed(breaker.begin(), 1_000)
    assert breaker.verdict(60_999) is Verdict.LEAVE
    assert breaker.verdict(61_000) is Verdict.CALL


def test_three_probes_close_it_and_no_fourth_is_made_meanwhile() -> None:
    breaker = opened()
    assert breaker.verdict(61_000) is Verdict.CALL
    probes = [breaker.begin() for _ in range(3)]
    assert breaker.verdict(61_000) is Verdict.WAIT
    for probe in probes:
        breaker.succeeded(probe)
    assert breaker.phase is Phase.CLOSED


def test_one_failed_probe_opens_it_again() -> None:
    breaker = opened()
    breaker.verdict(61_000)
    first, second = breaker.begin(), breaker.begin()
    breaker.succeeded(first)
    breaker.failed(second, 70_000)
    assert breaker.verdict(129_999) is Verdict.LEAVE
    assert breaker.verdict(130_000) is Verdict.CALL


def test_it_says_how_long_it_leaves_alone_until_a_probe_may_be_made() -> None:
    breaker = opened()
    assert [breaker.left_ms(now_ms) for now_ms in (1_000, 60_999, 61_000, 62_000)] == [
        60_000,
        1,
        0,
        0,
    ]
    breaker.verdict(61_000)
    assert breaker.left_ms(61_000) == 0
    breaker.failed(breaker.begin(), 61_500)
    assert breaker.left_ms(61_500) == 60_000
    assert Breaker(RULES).left_ms(0) == 0


def test_a_probe_that_was_given_up_makes_room_for_another() -> None:
    breaker = opened()
    breaker.verdict(61_000)
    for _ in range(3):
        breaker.given_up(breaker.begin())
    assert breaker.verdict(61_000) is Verdict.CALL


def test_what_began_before_it_opened_says_nothing_of_what_comes_after() -> None:
    breaker = Breaker(RULES)
    before = breaker.begin()
    for _ in range(5):
        breaker.failed(breaker.begin(), 0)
    breaker.succeeded(before)
    assert breaker.verdict(59_999) is Verdict.LEAVE
    assert breaker.verdict(60_000) is Verdict.CALL
    breaker.failed(before, 60_000)
    assert breaker.phase is Phase.HALF_OPEN


@given(st.lists(st.sampled_from(["begin", "good", "bad", "lost", "late"]), max_size=80))
def test_in_any_order_it_calls_again_in_the_end(happenings: list[str]) -> None:
    breaker, now_ms, calls = Breaker(RULES), 0, list[int]()
    for happening in happenings:
        verdict = breaker.verdict(now_ms)
        if happening == "begin" and verdict is Verdict.CALL:
            calls.append(breaker.begin())
        elif happening == "late":
            now_ms += 30_000
        elif calls and happening == "good":
            breaker.succeeded(calls.pop())
        elif calls and happening == "bad":
            breaker.failed(calls.pop(), now_ms)
        elif calls and happening == "lost":
            breaker.given_up(calls.pop(0))
    for call in calls:
        breaker.given_up(call)
    now_ms += 60_000
    for _ in range(3):
        assert breaker.verdict(now_ms) is Verdict.CALL
        breaker.succeeded(breaker.begin())
    assert breaker.phase is Phase.CLOSED
