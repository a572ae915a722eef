"""HTTP pages of a worker: /ready, /live, /metrics, and look-ups of committed records.

They are served on the loopback interface by default.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from infra.process.metrics import CONTENT_TYPE
from streams.runtime.ownership.committed_records import Lookups
from streams.runtime.process.observer import Observer

PORT_FILE = "health-port"
# Seconds that connections in use get when the worker leaves.
_SHUTDOWN_S = 1.0

Answer = Callable[[web.Request], Awaitable[web.Response]]


class HealthServer:
    """Serves the pages; port 0 takes a free one, written to `PORT_FILE` in the data folder."""

    def __init__(
        self, observer: Observer, lookups: Lookups, host: str, port: int, data_dir: Path
    ) -> None:
        self._observer = observer
        self._lookups = lookups
        self._host = host
        self._port = port
        self._data_dir = data_dir
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        pages = web.Application()
        pages.router.add_get("/ready", self._page(self._observer.ready))
        pages.router.add_get("/live", self._page(self._observer.live))
        pages.router.add_get("/metrics", self._metrics)
        self._lookups.add_to(pages)
        self._runner = web.AppRunner(pages, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        (self._data_dir / PORT_FILE).write_text(str(self.port), encoding="utf-8")
        self._observer.log.info("health pages at http://%s:%d", self._host, self.port)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._lookups.stop()
            (self._data_dir / PORT_FILE).unlink(missing_ok=True)

    @staticmethod
    def _page(ask: Callable[[], tuple[bool, str]]) -> Answer:
        async def answer(_: web.Request) -> web.Response:
            good, text = ask()
            status = 200 if good else 503
            return web.Response(text=text, status=status, content_type="application/json")

        return answer

    async def _metrics(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE}
        return web.Response(body=self._observer.exposition(), headers=headers)
