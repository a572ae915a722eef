"""What the consumer does when Faust starts and stops its fetching."""

import asyncio
from pathlib import Path

from docs.examples.count_per_key import ROUTE
from streams.runtime.app import BatchApp
from streams.settings import Settings


def test_to_stop_in_the_middle_of_a_rebalance_is_no_crash(tmp_path: Path) -> None:
    async def stop_while_nothing_may_be_fetched() -> None:
        app = BatchApp(Settings(data_dir=tmp_path), [ROUTE])
        app.rebalancing = True
        fetcher = app._fetcher
        await fetcher.start()
        # Faust's consumer waits until it may fetch something.
        for _ in range(5):
            await asyncio.sleep(0)
        await fetcher.stop()
        assert not fetcher.crashed

    asyncio.run(stop_while_nothing_may_be_fetched())
