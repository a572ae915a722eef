import httpx
from support.pods.api_pods import asking, pod_with

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
