"""Which destinations the owner of a partition leaves alone now, asked before a payment is begun.

A payment is made by the owner of its partition, and each worker has circuits of its own. So that
owner's word alone counts: one that reaches no gateway refuses nobody whose payments others make.

Where the owner cannot be asked in time nothing is known, and nothing is refused. Nor is a word
believed for longer than `FRESH_S`, whatever has become of its owner since.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

from state.owners.lookup import OwnerLookup
from state.owners.questions import OwnerNotReady, OwnersBusy, OwnerUnreachable

FRESH_S: Final = 1.0
"""So long an owner's word counts, and so long an owner without one is not asked again."""

WORD_S: Final = 0.03
"""So long from a question on its word is waited for: a payment is taken within 100 ms, whoever is
away, and while nobody answers only the first of many waits."""


class _Word(NamedTuple):
    """Until when an owner leaves what alone, and when it said so, by the loop's clock."""

    until_s: Mapping[str, float]
    told_s: float


class _Asking(NamedTuple):
    """A question under way, and until when its word is waited for."""

    task: asyncio.Task[None]
    until_s: float


class LeftAlone:
    """The words of the owners of one topic's partitions; all methods belong to one loop."""

    def __init__(self, owners: OwnerLookup, topic: str) -> None:
        self._owners = owners
        self._topic = topic
        self._words: dict[int, _Word] = {}
        self._asking: dict[int, _Asking] = {}

    async def close(self) -> None:
        """End what is being asked."""
        tasks = [asking.task for asking in self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def left_ms(self, partition: int, destination: str) -> int:
        """Return for how long the owner of a partition will not call a destination.

        0 where it does, and where that is not known.
        """
        loop = asyncio.get_running_loop()
        word = self._fresh(partition)
        if word is None:
            asking = self._question(partition)
            # Never cancelled by who waits for it: its word is for the next, too.
            await asyncio.wait({asking.task}, timeout=max(0.0, asking.until_s - loop.time()))
            word = self._fresh(partition)
        if word is None:
            return 0
        left_s = word.until_s.get(destination, 0.0) - loop.time()
        return max(0, int(left_s * 1000))

    def _fresh(self, partition: int) -> _Word | None:
        word = self._words.get(partition)
        now_s = asyncio.get_running_loop().time()
        return word if word is not None and now_s - word.told_s < FRESH_S else None

    def _question(self, partition: int) -> _Asking:
        """Return the question that the owner of a partition is being asked."""
        asking = self._asking.get(partition)
        if asking is None:
            task = asyncio.create_task(self._ask(partition), name=f"left alone {partition}")
            asking = _Asking(task, asyncio.get_running_loop().time() + WORD_S)
            self._asking[partition] = asking
            task.add_done_callback(lambda _: self._asking.pop(partition))
        return asking

    async def _ask(self, partition: int) -> None:
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        try:
            left_ms = await self._owners.left_alone(self._topic, partition)
        except (OwnerNotReady, OwnerUnreachable, OwnersBusy):
            left_ms = {}
        # Counted from the question on: a call that may be made again is never held back.
        until_s = {name: asked_s + ms / 1000 for name, ms in left_ms.items()}
        self._words[partition] = _Word(until_s, loop.time())
