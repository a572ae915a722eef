"""Headers of a command as an endpoint is given them."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support.pods.api_pods import client_of_routes, pod_with, problem_of

from api.headers import AskedWait, Key
from api.settings import ApiSettings

PATH = "/test/command"


def told(application: FastAPI) -> None:
    @application.post(PATH)
    async def tell(key: Key, wait: AskedWait) -> dict[str, Any]:
        return {"key": key, "seconds": wait.seconds, "applied": dict(wait.headers)}


def answer_to(*headers: tuple[str, str], **settings: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        pod = pod_with(ApiSettings(**settings))
        async with client_of_routes(pod, told) as client:
            return await client.post(PATH, headers=[("Accept", "*/*"), *headers])

    return asyncio.run(go())


K1 = ("Idempotency-Key", "k1")


def test_a_command_without_a_preference_waits_as_the_pod_is_set() -> None:
    assert answer_to(K1, wait_ms=1_500).json() == {"key": "k1", "seconds": 1.5, "applied": {}}


def test_a_wait_may_stand_in_any_of_several_headers() -> None:
    answer = answer_to(K1, ("Prefer", "return=minimal"), ("Prefer", "wait=1"))
    assert answer.json()["applied"] == {"Preference-Applied": "wait=1"}


def test_nobody_waits_longer_than_the_pod_allows() -> None:
    answer = answer_to(K1, ("Prefer", "wait=600"), wait_max_ms=7_000)
    assert answer.json()["seconds"] == 7


def test_f3_a_key_reaches_the_endpoint_without_its_quotes() -> None:
    assert answer_to(("Idempotency-Key", '"a b"')).json()["key"] == "a b"


@pytest.mark.parametrize("key", ["", '"a', "k" * 256])
def test_f3_a_key_that_is_none_is_refused_where_it_stands(key: str) -> None:
    body = problem_of(answer_to(("Idempotency-Key", key)), 400, "MALFORMED")
    assert [error["where"] for error in body["errors"]] == ["header.Idempotency-Key"]


@pytest.mark.parametrize("second", [K1, ("idempotency-key", "k2")])
def test_two_keys_are_refused(second: tuple[str, str]) -> None:
    body = problem_of(answer_to(K1, second), 400, "MALFORMED")
    assert body["detail"] == "Send the header idempotency-key once."


def test_a_key_is_demanded() -> None:
    problem_of(answer_to(), 400, "IDEMPOTENCY_KEY_MISSING")
