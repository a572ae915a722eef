import asyncio
from typing import Any

import httpx
import pytest
from support.pods.api_pods import asking, pod_with
from support.records.status_records import view_of
from support.seats.section_commands import IDS

from api import health
from api.commands.cart_desk import CartDesk
from api.commands.payment_desk import PaymentDesk
from api.pod import Pod
from api.settings import ApiSettings
from state.kafka.command_log import CommandLog
from state.views.availability.view import AvailabilityView


def test_a_pod_says_what_it_waits_for_and_that_it_ends() -> None:
    pod = pod_with()

    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["ready"]) == (200, True)
        pod.drain()
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert answer.headers["retry-after"] == "1"
        assert (await client.get("/health/live")).status_code == 200

    asking(pod, test)


def test_a_pod_whose_thread_ended_by_a_mistake_asks_to_be_started_again() -> None:
    view = AvailabilityView("127.0.0.1:1")
    pod = pod_with(view=view)

    async def test(client: httpx.AsyncClient) -> None:
        assert (await client.get("/health/live")).status_code == 200
        view._feed.failure = ZeroDivisionError()
        answer = await client.get("/health/live")
        assert answer.status_code == 503
        assert answer.json()["ended"] == {"view": "ZeroDivisionError"}

    asking(pod, test)


def test_info_names_the_version_of_the_project() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        told = (await client.get("/info")).json()
        assert told["version"] == "0.1.0"
        assert "io.seatstream.commands.HoldBestAvailable" in told["schemas"]

    asking(pod_with(), test)


def get(pod: Pod, *paths: str) -> list[httpx.Response]:
    """Ask for pages, one after another; no token is shown."""
    answers: list[httpx.Response] = []

    async def test(client: httpx.AsyncClient) -> None:
        answers.extend([await client.get(path) for path in paths])

    asking(pod, test)
    return answers


def test_f80_a_pod_names_the_parts_that_have_not_read_what_they_must() -> None:
    view = AvailabilityView("127.0.0.1:1")
    [ready, live] = get(pod_with(view=view), "/health/ready", "/health/live")
    assert (ready.status_code, ready.headers["retry-after"]) == (503, "1")
    parts = ready.json()["parts"]
    assert [name for name, is_ready in parts.items() if not is_ready] == ["view"]
    # A restart would not help it.
    assert live.status_code == 200
    view.close()


def test_f80_a_pod_that_could_not_append_is_not_ready_and_says_why() -> None:
    payments = PaymentDesk(IDS, CommandLog("127.0.0.1:1", topic="payment-commands"), {})
    logs: dict[str, Any] = {"commands": CommandLog("127.0.0.1:1"), "payments": payments}
    payments.log._trouble = "told so"
    [ready, live] = get(pod_with(**logs), "/health/ready", "/health/live")
    assert (ready.status_code, live.status_code) == (503, 200)
    parts = ready.json()["parts"]
    assert {name for name, is_ready in parts.items() if not is_ready} == logs.keys()
    assert ready.json()["troubles"] == {"payments": "payment-commands is not known: told so"}
    # What becomes of it later keeps nobody from reading.
    log = payments.log
    log._partitions = 4
    log._stuck = frozenset({3, 1})
    [ready] = get(pod_with(payments=payments), "/health/ready")
    assert ready.status_code == 200
    assert ready.json()["troubles"] == {
        "payments": "payment-commands: told so; nothing from partitions 1, 3"
    }
    log._stuck = frozenset()
    [ready] = get(pod_with(payments=payments), "/health/ready")
    assert "troubles" not in ready.json()


@pytest.mark.parametrize("name", ["payments", "carts"])
def test_a_topic_that_is_missing_takes_nobody_off_the_air_who_does_without_it(name: str) -> None:
    """Else what sells carts, or asks gateways, would stop the sale of single sections with it."""
    commands, missing = CommandLog("127.0.0.1:1"), CommandLog("127.0.0.1:1", topic="missing")
    commands._partitions = 4
    desks: dict[str, Any] = {
        "payments": PaymentDesk(IDS, missing, {}),
        "carts": CartDesk(IDS, missing),
    }
    parts = {"commands": commands, name: desks[name]}
    [ready] = get(pod_with(**parts), "/health/ready")
    # Nobody knows yet: a pod that has just started waits.
    assert ready.status_code == 503
    missing._trouble = "UNKNOWN_TOPIC_OR_PART"
    [ready] = get(pod_with(**parts), "/health/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["parts"][name] is False
    assert ready.json()["troubles"] == {name: "missing is not known: UNKNOWN_TOPIC_OR_PART"}
    commands._partitions = 0
    commands._trouble = "UNKNOWN_TOPIC_OR_PART"
    [ready] = get(pod_with(**parts), "/health/ready")
    assert ready.status_code == 503


def test_f81_a_pod_whose_brokers_are_gone_says_so_and_stays_ready() -> None:
    view = view_of(4, 4, 3)
    view.troubled("all brokers are down")
    [ready] = get(pod_with(view=view), "/health/ready")
    assert ready.status_code == 200
    assert ready.json()["troubles"] == {"view": "all brokers are down"}


def test_what_is_well_tells_of_no_trouble() -> None:
    [ready] = get(pod_with(view=view_of(4, 4, 3)), "/health/ready")
    assert ready.json().keys() == {"ready", "parts"}


def test_no_page_is_kept_by_anybody() -> None:
    for page in get(pod_with(), "/health/live", "/health/ready", "/metrics", "/info"):
        assert page.headers["cache-control"] == "no-store"
        assert int(page.headers["content-length"]) == len(page.content)


def test_metrics_are_text_for_prometheus() -> None:
    [page] = get(pod_with(), "/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=")
    assert "seatstream_build_info" in page.text


def test_info_tells_the_revision_that_the_pod_was_set_to() -> None:
    [page] = get(pod_with(ApiSettings(revision="abc123")), "/info")
    assert page.json()["revision"] == "abc123"


@pytest.mark.parametrize(
    "path", ["/health", "/health/", "/health/live/", "/metrics2", "/Info", ""]
)
def test_what_is_no_page_of_the_pod_is_left_to_others(path: str) -> None:
    async def nothing(message: object) -> None:
        raise AssertionError(message)

    assert not asyncio.run(health.answer(pod_with(), path, nothing))
