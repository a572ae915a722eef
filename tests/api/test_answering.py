"""An answer is sent once, and told to metrics and log as what it was."""

import asyncio
import json
import logging
from typing import Any

import pytest
from support.pods.api_pods import pod_with
from support.pods.asgi_client import scope_of

from api.answering import SECURITY, Answer
from api.web.logs import access
from api.web.problems import Problem
from state.domain.reasons import ApiReason

REFUSAL = Problem.of(ApiReason.MALFORMED, "Say it again.")


class Client:
    """Keeps the messages that it is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.scope = scope_of("GET", "/v1/events", {"X-Correlation-Id": "c-7"})
        self.answer = Answer(self.scope, self._take)

    async def _take(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


def test_every_answer_has_its_id_and_the_headers_that_it_does_not_set_itself() -> None:
    client = Client()
    own = (b"referrer-policy", b"origin")
    start = {"type": "http.response.start", "status": 200, "headers": [own]}
    asyncio.run(client.answer.send(start))
    assert client.headers == {**dict(SECURITY), b"x-correlation-id": b"c-7", own[0]: own[1]}
    assert len(client.sent[0]["headers"]) == len(client.headers)


def test_a_refusal_is_a_problem_that_no_cache_keeps() -> None:
    client = Client()
    asyncio.run(client.answer.refuse(REFUSAL))
    start, body = client.sent
    assert start["status"] == 400
    assert client.headers[b"cache-control"] == b"no-store"
    assert int(client.headers[b"content-length"]) == len(body["body"])
    assert json.loads(body["body"])["correlation_id"] == "c-7"


def test_who_has_begun_to_answer_refuses_nothing_any_more() -> None:
    client = Client()

    async def both() -> None:
        await client.answer.allow(("GET", "HEAD"))
        await client.answer.refuse(REFUSAL)

    asyncio.run(both())
    assert [message["type"] for message in client.sent] == [
        "http.response.start", "http.response.body",
    ]  # fmt: skip
    assert client.headers[b"allow"] == b"GET, HEAD"


@pytest.mark.parametrize(
    ("route", "refuses", "is_told"),
    [("events", False, True), ("availability", False, False), ("availability", True, True)],
)
def test_an_access_line_is_written_for_what_cost_something(
    route: str, refuses: bool, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    client, pod = Client(), pod_with()
    client.answer.route = route

    async def end() -> None:
        if refuses:
            await client.answer.refuse(REFUSAL)
        else:
            await client.answer.allow(())
        client.answer.finish(pod)

    with caplog.at_level(logging.INFO, access.name):
        asyncio.run(end())
    assert bool(caplog.records) is is_told
    counted = pod.metrics.requests.labels(route, str(client.answer.status))._value.get()
    assert counted == 1


def test_a_card_in_a_path_that_nobody_knows_is_not_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client()
    client.scope["path"] = "/4242424242424242"
    client.answer.route = "unknown"
    with caplog.at_level(logging.INFO, access.name):
        client.answer.finish(pod_with())
    assert "4242" not in str(vars(caplog.records[0]))
