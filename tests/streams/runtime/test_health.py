"""The pages of a worker, asked over HTTP."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from support.pods.owners import Owner, serving

from infra.process.metrics import CONTENT_TYPE
from streams.runtime.health import PORT_FILE
from streams.runtime.process.fatal import PartitionTrouble

Ask = Callable[[str], Awaitable[tuple[int, str, str]]]


def with_pages(directory: Path, talk: Callable[[Owner, Ask], Awaitable[None]]) -> None:
    async def conversation() -> None:
        async with serving(directory) as owner, aiohttp.ClientSession() as session:

            async def ask(path: str) -> tuple[int, str, str]:
                url = f"http://127.0.0.1:{owner.server.port}{path}"
                async with session.get(url) as answer:
                    return answer.status, answer.headers["Content-Type"], await answer.text()

            await talk(owner, ask)

    asyncio.run(conversation())


def test_a_worker_is_ready_while_it_runs_and_none_of_its_partitions_is_set_aside(
    tmp_path: Path,
) -> None:
    async def talk(owner: Owner, ask: Ask) -> None:
        status, kind, body = await ask("/ready")
        assert (status, json.loads(body)["running"]) == (503, False)
        assert kind.startswith("application/json")
        owner.observer.opened(1, [], 1, 0, 0.0, 0.0)
        assert (await ask("/ready"))[0] == 200
        owner.observer.set_aside("in-0", PartitionTrouble("its disk is full", "store"), 1.0)
        status, _, body = await ask("/ready")
        assert status == 503
        assert json.loads(body)["set_aside"]["in-0"]["why"] == "its disk is full"
        # A restart would carry the trouble to another worker.
        assert (await ask("/live"))[0] == 200

    with_pages(tmp_path, talk)


def test_metrics_are_in_prometheus_text_format(tmp_path: Path) -> None:
    async def talk(_: Owner, ask: Ask) -> None:
        status, kind, body = await ask("/metrics")
        assert (status, kind) == (200, CONTENT_TYPE)
        assert "# TYPE seatstream_decisions_total counter" in body
        # Every reason is there before a partition is set aside for it.
        assert 'seatstream_partitions_parked{reason="schema"} 0.0' in body
        assert "process_cpu_seconds_total" in body

    with_pages(tmp_path, talk)


def test_the_port_that_was_taken_stands_in_a_file_as_long_as_the_pages_are_up(
    tmp_path: Path,
) -> None:
    async def talk(owner: Owner, _: Ask) -> None:
        assert (tmp_path / PORT_FILE).read_text() == str(owner.server.port)

    with_pages(tmp_path, talk)
    assert not (tmp_path / PORT_FILE).exists()
