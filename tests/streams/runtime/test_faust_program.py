"""Faust's program around a worker ends at once, and shows nothing of its own."""

import asyncio
import gc
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.runtime.faust_program import PlainWorker, calm_collector, faust_settings
from streams.settings import Settings


def test_a_worker_that_has_stopped_waits_for_what_was_cancelled_and_else_for_nothing() -> None:
    async def test() -> None:
        worker = cast("PlainWorker", None)
        with pytest.raises(StopIteration):
            PlainWorker._sentinel_task(worker).send(None)
        waiting = asyncio.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await PlainWorker._sentinel_task(worker)
        assert waiting.cancelled()

    asyncio.run(test())


def test_nothing_turns_in_the_terminal() -> None:
    worker: Any = SimpleNamespace(spinner="turns")
    PlainWorker.on_setup_root_logger(worker, logging.getLogger(), logging.INFO)
    assert worker.spinner is None


def test_faust_asks_the_brokers_of_the_settings_and_serves_no_pages(tmp_path: Path) -> None:
    options = faust_settings(
        Settings(brokers="a:1,b:2", data_dir=tmp_path, session_timeout_s=24.0)
    )
    assert options["broker"] == "kafka://a:1;kafka://b:2"
    assert options["broker_heartbeat_interval"] == 2.0
    assert not options["web_enabled"]


def test_a_calm_collector_leaves_out_what_is_there_and_runs_rarely() -> None:
    before, thresholds = gc.get_freeze_count(), gc.get_threshold()
    try:
        calm_collector()
        assert gc.get_freeze_count() > before
        assert gc.get_threshold() > thresholds
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
