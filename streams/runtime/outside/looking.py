"""Looks through the stores of a worker for open intents, and shows how many there are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple

from streams.intents import INTENT
from streams.route import Route
from streams.runtime.outside.outbox import Outbox, Survey, survey
from streams.runtime.ownership.positions import Place
from streams.runtime.process.observer import Observer
from streams.runtime.transactions.input_partition import InputPartition

_SURVEY_S: Final = 5.0
_SURVEY_SHARE: Final = 50
"""Each store is looked through every 5 s, for the metrics, but at most a fiftieth of the time."""

_SURVEY_THREADS: Final = 2
"""Threads of the surveys' own, since other work in the loop's threads may block for minutes."""


class LastFound(NamedTuple):
    """What was open in a partition when it was looked through last.

    untold: as `Outbox.untold`.
    """

    route: Route
    found: Survey
    untold: Mapping[str, str]


class Looking:
    """What is open in the partitions that run, and was open in those that do not run now.

    boxes: of the partitions that run; whoever has them changes them.
    """

    def __init__(
        self,
        boxes: Mapping[InputPartition, Outbox],
        destinations: Sequence[str],
        observer: Observer,
        *,
        now_ms: Callable[[], int],
        found: Callable[[], None],
    ) -> None:
        """Prepare to look.

        destinations: those that have a figure even while nothing is open for them.
        now_ms:       the wall clock. found: called after each look.
        """
        self._boxes = boxes
        self._destinations = destinations
        self._observer = observer
        self._now_ms = now_ms
        self._found = found
        # Of our partitions that do not run now.
        self._left: dict[Place, LastFound] = {}
        self._stranded: set[str] = set()
        self._show_again_s = 0.0
        self._threads = ThreadPoolExecutor(_SURVEY_THREADS, thread_name_prefix="open-intents")

    def stop(self) -> None:
        self._threads.shutdown(wait=False)

    def assigned(self, places: Sequence[Place]) -> None:
        """Take in which partitions are ours from now on: of others their new owners tell."""
        for place in self._left.keys() - places:
            del self._left[place]
        self.show()

    def joined(self, box: Outbox) -> None:
        """Show what was open in a partition before, until its store is looked through."""
        left = self._left.pop((box.partition.topic, box.partition.number), None)
        if left is not None:
            box.found = left.found

    def left(self, box: Outbox) -> None:
        """Show on what is open in a partition that runs no more."""
        # An intent is no less open because nobody can look at it.
        place = box.partition.topic, box.partition.number
        self._left[place] = LastFound(box.partition.route, box.found, dict(box.untold))

    def show_what_grows_old(self) -> None:
        """Show the figures anew, from time to time, while some partitions do not run."""
        if self._left and time.monotonic() > self._show_again_s:
            # What is set aside is looked through by nobody, and grows old.
            self.show()

    async def again_and_again(self, box: Outbox) -> None:
        """Look through a store every few seconds; once only, where its route performs nothing."""
        while True:
            began = time.monotonic()
            await self._survey(box)
            self._name_stranded(box)
            self.show()
            self._found()
            if not box.partition.route.performers:
                return
            pause_s = max(_SURVEY_S, _SURVEY_SHARE * (time.monotonic() - began))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await box.wants_survey.wait()

    async def _survey(self, box: Outbox) -> None:
        store = box.partition.state.store
        under_way = box.begin_survey()
        called_as = box.partition.route.called_as

        def look() -> Survey:
            # This may have waited for a thread, and the store may be closed by now.
            if box.is_closed:
                return Survey()
            items, is_over = store.items(INTENT), lambda: box.is_closed
            return survey(items, store.seed, is_over, under_way, called_as)

        job = self._threads.submit(look)
        box.surveying = asyncio.wrap_future(job)
        try:
            found = await asyncio.shield(box.surveying)
        except asyncio.CancelledError:
            # A survey that has not begun must not begin: `leave` returns, and the store is closed.
            job.cancel()
            raise
        box.end_survey(found)
        # Cleared last: the survey has found what was wanted while it ran.
        box.wants_survey.clear()

    def _name_stranded(self, box: Outbox) -> None:
        """Log the destinations whose open intents nobody performs, each once for a partition."""
        performers = box.partition.route.performers
        for destination in box.found.open.keys() - performers.keys() - box.named:
            box.named.add(destination)
            self._observer.log.error(
                "%s: %d open intents are for %r, which is none of its performers: %s. Nobody "
                "performs them. Give the route that performer, or have its handler settle them",
                box.partition.place,
                box.found.open[destination],
                destination,
                ", ".join(sorted(performers)) or "none",
            )

    def show(self) -> None:
        """Show how much is open, how old it is, and what is stranded."""
        self._show_again_s = time.monotonic() + _SURVEY_S
        running = [
            LastFound(box.partition.route, box.found, box.untold) for box in self._boxes.values()
        ]
        known = [*running, *self._left.values()]
        oldest_ms = min([one.found.oldest_ms for one in known if one.found.oldest_ms], default=0)
        self._observer.open_intents(
            {
                destination: sum(one.found.open.get(destination, 0) for one in known)
                for destination in self._destinations
            },
            max(0, self._now_ms() - oldest_ms) / 1000 if oldest_ms else 0.0,
        )
        stranded: dict[str, int] = dict.fromkeys(self._stranded, 0)
        for route, found, untold in known:
            for destination in found.open.keys() - route.performers.keys():
                stranded[destination] = stranded.get(destination, 0) + found.open[destination]
            for destination in untold.values():
                stranded[destination] = stranded.get(destination, 0) + 1
        self._stranded.update(stranded)
        self._observer.stranded_intents(stranded)
