"""Quick answers do not wait for the event loop; all others get there as ever."""

import asyncio
import os
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import pytest
from granian import _futures
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from support.pods.look_ups import TOKEN, LookUpPod
from support.records.status_records import EVENT, counts

from api.serving import serve
from api.web.reading_thread import answer_where_read
from infra.stack.ports import free_ports


@pytest.fixture(autouse=True)
def forgotten_afterwards() -> Iterator[None]:
    stock = _futures._cbsched_aioschedule
    yield
    _futures._cbsched_aioschedule = stock


def test_the_server_is_the_pinned_one() -> None:
    assert version("granian") == "2.8.7", "see that quick answers still pass the event loop by"


def messages(body: bytes) -> tuple[Any, Any]:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x-by", body)]}
    return start, {"type": "http.response.body", "body": body}


async def until_up(port: int, serving: "asyncio.Task[Any]") -> None:
    """Return when a server answers."""
    async with asyncio.timeout(60):
        while True:
            assert not serving.done()
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET / HTTP/1.1\r\nHost: us\r\n\r\n")
                assert (await reader.readline()).startswith(b"HTTP/1.1 ")
                writer.close()
                return
            await asyncio.sleep(0.01)


async def by_the_loop(scope: Any, receive: Any, send: Any) -> None:
    for message in messages(b"loop"):
        await send(message)


def body_of(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        body: bytes = answer.read()
        assert answer.headers["x-by"].encode() == body
        return body


def test_what_is_quick_is_answered_while_the_event_loop_is_busy_and_the_rest_by_the_loop() -> None:
    answer_where_read(lambda scope: messages(b"quick") if scope["path"] == "/quick" else None)

    async def scenario() -> None:
        port = free_ports(1)[0]
        server = Server(
            by_the_loop,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            log_enabled=False,
        )
        serving = asyncio.create_task(server.serve())
        await until_up(port, serving)
        address = f"http://127.0.0.1:{port}"
        assert await asyncio.to_thread(body_of, f"{address}/other") == b"loop"
        # Nothing else happens in this loop until the answer is there.
        assert body_of(f"{address}/quick") == b"quick"
        assert await asyncio.to_thread(body_of, f"{address}/other") == b"loop"
        server.stop()  # type: ignore[no-untyped-call]
        await serving

    asyncio.run(scenario())


ORIGIN = "https://shop.example"


@pytest.mark.parametrize("origins", [(), (ORIGIN,)], ids=["no CORS", "CORS"])
def test_a_pod_answers_look_ups_so_unless_it_has_cors_to_think_of(
    origins: tuple[str, ...],
) -> None:
    port = free_ports(1)[0]
    pod = LookUpPod(port=port, drain_ms=0, cors_origins=origins)
    pod.fed.tell(counts(3, 10))
    pod.fed.heartbeat()
    # Whoever has never asked goes the long way.
    assert pod.ask().status == 200
    headers = {**TOKEN, "Origin": ORIGIN}
    url = f"http://127.0.0.1:{port}/v1/events/{EVENT}/availability"

    def ask() -> str | None:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert b'"free":10' in answer.read()
            allowed: str | None = answer.headers["access-control-allow-origin"]
            return allowed

    async def scenario() -> None:
        serving = asyncio.create_task(serve(pod.pod.settings, pod.pod))
        await until_up(port, serving)
        if origins:
            assert await asyncio.to_thread(ask) == ORIGIN
        else:
            # The event loop stands still meanwhile.
            assert ask() is None
        os.kill(os.getpid(), signal.SIGTERM)
        await serving

    asyncio.run(scenario())
