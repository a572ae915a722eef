"""A pod's answer may be ahead of what was read before it, and nothing else."""

from typing import Any

import pytest

from scripts.lookups.comparing import differences
from state.views.availability.answers import Availability

LOG = {"A": Availability(5, 1, 4, 9, 0, 10, stale=False)}


def answered(**changed: Any) -> dict[str, dict[str, Any]]:
    return {"A": {"free": 5, "held": 1, "largest_block": 4, "version": 9} | changed}


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(answered(), id="the same"),
        pytest.param(answered(version=10, free=0), id="ahead: sold since the log was read"),
        pytest.param(answered() | {"B": {"version": 1}}, id="a section opened since"),
    ],
)
def test_a_pod_that_is_up_to_the_log_is_right(pod: dict[str, dict[str, Any]]) -> None:
    assert list(differences(LOG, pod)) == []


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        pytest.param({}, "A: the pod does not know it (version None, the log has 9)", id="none"),
        pytest.param(
            answered(version=8), "A: the pod is behind (version 8, the log has 9)", id="behind"
        ),
        pytest.param(
            answered(free=6, held=0),
            "A: free is 6, not 5, held is 0, not 1 (version 9, the log has 9)",
            id="other counts of the same version",
        ),
    ],
)
def test_a_pod_that_is_behind_or_contradicts_is_named(
    pod: dict[str, dict[str, Any]], told: str
) -> None:
    [one] = differences(LOG, pod)
    assert str(one) == told
