"""Failpoints do what is armed, at the hit that was asked for, and nothing otherwise."""

import pytest

from streams.runtime.process.failpoints import NAMES, FailpointReached, Failpoints


def test_nothing_is_armed_without_the_variable() -> None:
    failpoints = Failpoints.from_env({})
    for name in NAMES:
        failpoints.reach(name)


def test_the_nth_hit_raises_and_no_other() -> None:
    failpoints = Failpoints.from_env({"FAILPOINTS": "decided:raise:3,fetched:sleep_0.0:1"})
    failpoints.reach("decided")
    failpoints.reach("fetched")
    failpoints.reach("decided")
    with pytest.raises(FailpointReached):
        failpoints.reach("decided")
    failpoints.reach("decided")


@pytest.mark.parametrize("text", ["nowhere:kill:1", "decided:kill", "decided:kill:x"])
def test_a_misspelt_failpoint_is_refused_at_start(text: str) -> None:
    with pytest.raises(ValueError):
        Failpoints(text)
