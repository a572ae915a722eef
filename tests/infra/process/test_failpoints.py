"""What is armed for a place happens there, once, at the hit that was asked for."""

import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.paths import ROOT
from infra.process.failpoints import FailpointReached, Failpoints

PLACES = ("begun", "done")
KILLED = """
from infra.process.failpoints import Failpoints
failpoints = Failpoints("done:kill:2", ("begun", "done"))
failpoints.reach("done")
print("once", flush=True)
failpoints.reach("done")
print("twice", flush=True)
"""


@given(st.integers(1, 5), st.lists(st.sampled_from(PLACES), max_size=20))
def test_only_the_hit_that_was_asked_for_raises(nth: int, reached: list[str]) -> None:
    failpoints = Failpoints(f"done:raise:{nth}", PLACES)
    raised = []
    for at, place in enumerate(reached):
        try:
            failpoints.reach(place)
        except FailpointReached:
            raised.append(at)
    hits = [at for at, place in enumerate(reached) if place == "done"]
    assert raised == hits[nth - 1 : nth]


def test_a_process_that_is_killed_there_does_nothing_more() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "once\n")


@pytest.mark.parametrize(
    "text", ["elsewhere:kill:1", "done:kill", "done:kill:x", "done:kill:1:2", "done"]
)
def test_what_is_misspelled_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(ValueError):
        Failpoints.from_env({"FAILPOINTS": text}, PLACES)


def test_an_action_that_nobody_knows_is_told_where_it_would_happen() -> None:
    with pytest.raises(ValueError, match="unknown action 'dance'"):
        Failpoints("done:dance:1", PLACES).reach("done")
