"""Whose clock is wrong: by the greater number, and by who jumped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.process.clock import LIMIT_MS, ClockWatch, OwnClock

NOW_S = 1_764_000_000.0
HOUR_S = 3_600.0


class Machine:
    """This machine's clocks, and the brokers' beside them.

    wall_s: error of our wall clock; brokers_s: of each broker's.
    """

    def __init__(self, **brokers_s: float) -> None:
        self.true_s = 0.0
        self.wall_s = 0.0
        self.brokers_s = brokers_s
        self.watch = ClockWatch(
            OwnClock(None, lambda: NOW_S + self.true_s + self.wall_s, lambda: 50 + self.true_s)
        )

    def ask(self, *brokers: str, there_s: float = 0.001, back_s: float = 0.001) -> None:
        for broker in brokers or self.brokers_s:
            sent = self.watch.send()
            self.true_s += there_s
            appended_ms = int((NOW_S + self.true_s + self.brokers_s[broker]) * 1000)
            self.true_s += back_s
            self.watch.note(broker, sent, appended_ms)

    def own(self) -> str:
        return self.watch.verdict(len(self.brokers_s)).own

    def off(self) -> set[str]:
        return set(self.watch.verdict(len(self.brokers_s)).off)


def test_clocks_within_five_seconds_are_left_alone() -> None:
    machine = Machine(a=4.9, b=-4.9, c=0)
    machine.ask()
    assert (machine.own(), machine.off()) == ("", set())


@pytest.mark.parametrize("error_s", [-HOUR_S, -6.0, 6.0, HOUR_S])
@pytest.mark.parametrize("brokers", [("a",), ("a", "b", "c")])
def test_s5_our_own_clock_is_in_doubt_where_most_clocks_differ(
    error_s: float, brokers: tuple[str, ...]
) -> None:
    machine = Machine(**dict.fromkeys(brokers, 0.0))
    machine.wall_s = error_s
    machine.ask()
    assert all(broker in machine.own() for broker in brokers)
    assert f"{-error_s:+.1f} s" in machine.own()


def test_s5_a_clock_that_steps_while_running_is_our_own_though_the_broker_had_agreed() -> None:
    machine = Machine(a=0)
    machine.ask()
    machine.true_s += 20
    machine.wall_s = -HOUR_S
    machine.ask()
    assert machine.own()


def test_s5_a_tick_that_was_on_its_way_while_our_clock_jumped_blames_no_broker() -> None:
    machine = Machine(a=0)
    machine.ask()
    sent = machine.watch.send()
    machine.wall_s = -HOUR_S
    machine.true_s += 0.01
    machine.watch.note("a", sent, int((NOW_S + machine.true_s) * 1000))
    machine.ask()
    assert machine.own()


def test_s5_a_slow_drift_is_noticed_when_it_passes_the_limit() -> None:
    machine = Machine(a=0)
    drifted_s = 0
    while not machine.own():
        machine.true_s += 20
        machine.wall_s -= 0.5
        drifted_s += 1
        machine.ask()
        assert drifted_s < 100
    assert LIMIT_MS / 1000 <= -machine.wall_s <= LIMIT_MS / 1000 + 1


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S])
def test_f78_a_lone_broker_that_jumps_under_a_running_worker_is_not_the_workers_fault(
    jump_s: float,
) -> None:
    machine = Machine(a=0)
    machine.ask()
    machine.true_s += 20
    machine.brokers_s["a"] = jump_s
    for _ in range(5):
        machine.ask()
        assert (machine.own(), machine.off()) == ("", {"a"})
        machine.true_s += 20
    machine.brokers_s["a"] = 0
    machine.ask()
    assert (machine.own(), machine.off()) == ("", set())
    # Then it is ours that goes wrong.
    machine.true_s += 20
    machine.wall_s = 10
    machine.ask()
    assert machine.own()


def test_f78_one_broker_of_three_is_named_and_the_worker_goes_on() -> None:
    machine = Machine(a=0, b=HOUR_S, c=0)
    machine.ask()
    assert (machine.own(), machine.off()) == ("", {"b"})


def test_s5_after_partitions_changed_hands_nothing_is_believed_from_before() -> None:
    """A virtual machine that was stopped with its clocks does not see that it was away."""
    machine = Machine(a=0)
    machine.ask()
    machine.brokers_s["a"] = 200.0
    machine.watch.forget()
    machine.ask()
    assert machine.own()


def test_an_answer_that_took_long_decides_nothing() -> None:
    machine = Machine(a=0)
    machine.ask(there_s=0.5, back_s=20)
    machine.ask(there_s=20, back_s=0.5)
    assert (machine.own(), machine.off()) == ("", set())
    # An hour is certain all the same.
    machine.wall_s = -HOUR_S
    machine.ask(there_s=20, back_s=0.5)
    assert machine.own()


@given(
    st.floats(-20, 20),
    st.floats(0, 10),
    st.floats(0, 10),
)
def test_s5_no_delay_makes_a_good_clock_look_wrong(
    error_s: float, there_s: float, back_s: float
) -> None:
    machine = Machine(a=0)
    machine.wall_s = error_s
    machine.ask(there_s=there_s, back_s=back_s)
    assert not machine.own() or abs(error_s) > LIMIT_MS / 1000 - 0.003
