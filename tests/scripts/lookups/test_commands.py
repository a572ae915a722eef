"""A pod that comes up to the log in time is right; real pods: tests/integration."""

import json
from collections.abc import Sequence

import pytest
from support.fixed_answers import answering

from scripts.lookups.commands import wrong_at
from state.views.availability.answers import Availability

LOG = {"A": Availability(5, 1, 4, 9, 0, 10, stale=False)}


def bodies(*versions: int) -> Sequence[bytes]:
    told = {"section": "A", "free": 5, "held": 1, "largest_block": 4}
    return [json.dumps({"sections": [told | {"version": one}]}).encode() for one in versions]


def test_a_pod_is_asked_again_until_it_is_up_to_the_log() -> None:
    with answering(200, *bodies(7, 8, 9)) as (url, shown):
        assert wrong_at(url, 7, "", LOG, within_s=60) == []
    assert len(shown) == 3


@pytest.mark.parametrize(
    ("status", "told"),
    [(200, "A: the pod is behind (version 8, the log has 9)"), (503, "answers 503")],
)
def test_after_its_time_its_last_answer_counts(status: int, told: str) -> None:
    with answering(status, *bodies(8)) as (url, _):
        [wrong] = wrong_at(url, 7, "", LOG, within_s=0)
    assert told in wrong
