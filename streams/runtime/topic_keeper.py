"""What a worker does when its topics are deleted, created anew or shortened while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from streams.runtime.process.fatal import end_process
from streams.runtime.process.topic_watch import TopicWatch
from streams.runtime.transactions.group_commit import CHANGELOG_LOST, GroupCommit
from streams.runtime.worker_parts import WorkerParts

_EVERY_S = 2.0


class TopicKeeper:
    """Watches the topics of the routes, and has the records that they lost written again.

    group_commit: returns that of the present generation; None while there is none.
    """

    def __init__(self, parts: WorkerParts, group_commit: Callable[[], GroupCommit | None]) -> None:
        self._retell_s = parts.settings.retell_s
        self._routes = parts.routes
        self._observer = parts.observer
        self._group_commit = group_commit
        self._had = parts.cluster.partitions
        kafka = parts.settings.kafka.librdkafka()
        options = {"bootstrap.servers": parts.settings.brokers, **kafka}
        sources = {
            topic: source
            for source, route in parts.routes.items()
            for topic in route.retold_topics
        }
        self._retold = sources.keys()
        self._elsewhere = {
            topic for topic, source in sources.items() if self._had[topic] != self._had[source]
        }
        self._watch = TopicWatch(parts.cluster.identities, self._had, options, self._retold)

    async def run(self) -> None:
        """Look every two seconds until cancelled; end the process where no worker may go on."""
        loop = asyncio.get_running_loop()
        while True:
            # The first look comes before any partition is taken over, so that it sees every loss
            # after that.
            look = await loop.run_in_executor(None, self._watch.look)
            self._observer.topics(look.missing)
            for topic in look.renewed:
                self._end_if_lost(topic)
                self._observer.log.error(
                    "topic %s was created anew: its records are gone. Those that the state still "
                    "knows are written again",
                    topic,
                )
            for topic, partition in look.shortened:
                self._observer.log.error(
                    "%s-%d: its first records were removed. Those that the state still knows are "
                    "written again",
                    topic,
                    partition,
                )
            self._end_if_grown(look.counts)
            group_commit = self._group_commit()
            if group_commit is not None:
                for topic in look.renewed:
                    group_commit.tell_again(topic)
                for topic, partition in look.shortened:
                    # Under another number each input partition may have records there.
                    number = None if topic in self._elsewhere else partition
                    group_commit.tell_again(topic, number)
                group_commit.tell_oldest_again(self._retell_s)
                group_commit.hold_back(bool(look.missing))
            await asyncio.sleep(_EVERY_S)

    def _end_if_grown(self, counts: Mapping[str, int]) -> None:
        for topic, count in counts.items():
            told = (
                f"topic {topic} had {self._had[topic]} partitions when this worker started and "
                f"has {count} now"
            )
            if topic in self._retold:
                end_process(f"{told}: start it again")
            end_process(
                f'{told}: partitions must never be added. See "Partitions were added" in '
                "docs/operations.md"
            )

    def _end_if_lost(self, topic: str) -> None:
        for route in self._routes.values():
            if topic == route.changelog:
                end_process(f"topic {topic} was created anew: {CHANGELOG_LOST}")
            if topic == route.source:
                message = (
                    f"topic {topic} was created anew under this worker: the state stands at "
                    "offsets of the old one. Stop all workers, and restore the brokers from a "
                    'backup, or begin anew; do not reset offsets. See "The commands were created '
                    'again" in docs/operations.md'
                )
                end_process(message)
