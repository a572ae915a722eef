import asyncio
import os
import signal
from contextlib import AsyncExitStack

from aiohttp import ClientSession, web

from infra.listening import leaving_by, listen


def test_a_process_serves_on_loopback_until_it_is_told_to_leave() -> None:
    async def serve() -> tuple[str, str]:
        ended = asyncio.Event()
        leaving_by(ended.set)
        application = web.Application()
        application.router.add_get("/", _hello)
        async with AsyncExitStack() as opened:
            address = await listen(opened, application, 0)
            async with ClientSession() as session, session.get(address) as answer:
                said = await answer.text()
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(60):
                await ended.wait()
        return address, said

    address, said = asyncio.run(serve())
    assert address.startswith("http://127.0.0.1:")
    assert said == "hello"


async def _hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")
