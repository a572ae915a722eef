"""Quick answers do not wait for the event loop; all others get there as ever."""

import asyncio
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from granian import _futures
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from api.reading_thread import answer_where_read
from api.serving import free_port


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


async def by_the_loop(scope: Any, receive: Any, send: Any) -> None:
    for message in messages(b"loop"):
        await send(message)


def body_of(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        assert answer.headers["x-by"].encode() == body
        return body


def test_what_is_quick_is_answered_while_the_event_loop_is_busy_and_the_rest_by_the_loop() -> None:
    answer_where_read(lambda scope: messages(b"quick") if scope["path"] == "/quick" else None)

    async def scenario() -> None:
        port = free_port("127.0.0.1", 0)
        server = Server(
            by_the_loop,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            log_enabled=False,
        )
        serving = asyncio.create_task(server.serve())
        address = f"http://127.0.0.1:{port}"
        assert await asyncio.to_thread(body_of, f"{address}/other") == b"loop"
        # Nothing else happens in this loop until the answer is there.
        assert body_of(f"{address}/quick") == b"quick"
        assert await asyncio.to_thread(body_of, f"{address}/other") == b"loop"
        server.stop()  # type: ignore[no-untyped-call]
        await serving

    asyncio.run(scenario())
