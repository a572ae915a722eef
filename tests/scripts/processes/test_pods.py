"""A pod is ready when it says so; its view counts only if it is as new as what was seen."""

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest
from support.pages.serving import Page, serving

from scripts.brokers.addresses import Servers
from scripts.processes.pods import ApiPod, PodFailed

NOWHERE = Servers("127.0.0.1:1", "http://127.0.0.1:1")


class Health(Page):
    """Health, and an event's availability; the server says with which status and ages."""

    server: Any

    def serve(self) -> None:
        body = b""
        if self.path == "/v1/events/7/availability":
            ages = self.server.ages_ms
            age_ms = ages.pop(0) if len(ages) > 1 else ages[0]
            body = json.dumps({"staleness_ms": age_ms, "sections": []}).encode()
            self.server.tokens.append(self.headers["Authorization"])
        self.answer(self.server.status, body)


@pytest.fixture
def pod(tmp_path: Path) -> ApiPod:
    return ApiPod(NOWHERE, "redis://127.0.0.1:1", tmp_path / "keys", tmp_path / "pod", {})


@pytest.fixture
def server(pod: ApiPod) -> Iterator[Any]:
    """Serve in place of the pod's process, at its address."""
    made: Any
    with serving(Health, int(pod.url.rpartition(":")[2])) as made:
        made.status, made.ages_ms, made.tokens = 200, [0], []
        yield made


@pytest.mark.parametrize(("status", "is_ready"), [(200, True), (503, False)])
def test_it_is_ready_when_it_says_so(
    pod: ApiPod, server: Any, status: int, is_ready: bool
) -> None:
    server.status = status
    assert pod.is_ready() is is_ready


def test_one_that_nobody_started_is_not_ready_and_may_be_ended(pod: ApiPod) -> None:
    assert not pod.is_ready()
    pod.terminate()
    pod.finish()
    assert (pod.exit_code(), pod.log()) == (None, "")


def test_its_view_is_asked_for_until_it_is_new_enough(pod: ApiPod, server: Any) -> None:
    # A day old, and then as new as can be.
    server.ages_ms = [86_400_000, 86_400_000, -86_400_000]
    body = pod.view_after(monotonic_ns(), 7, "token", 60)
    assert json.loads(body)["staleness_ms"] == -86_400_000
    assert server.tokens == ["Bearer token"] * 3


def test_a_view_that_stays_old_is_told_with_its_age(pod: ApiPod, server: Any) -> None:
    server.ages_ms = [86_400_000]
    with pytest.raises(PodFailed, match="its view is 86400000 ms old"):
        pod.view_after(monotonic_ns(), 7, "token", 2)


def test_one_that_does_not_answer_is_told_with_the_trouble(pod: ApiPod) -> None:
    with pytest.raises(PodFailed, match="refused"):
        pod.view_after(monotonic_ns(), 7, "token", 0.5)
