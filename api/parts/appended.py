"""Topics that a pod appends to, as its parts."""

from collections.abc import Iterator, Mapping

from api.parts.part import Part, closed, started
from api.web.metrics import ApiMetrics as Table
from infra.process.metrics import Reading
from state.kafka.command_log import CommandLog


class Appended(Part):
    """A topic that is appended to, as handlers are given it.

    log: of that topic. A desk with methods of its own is a subclass, and is what handlers get.
    """

    def __init__(self, name: str, log: CommandLog, *, is_optional: bool = False) -> None:
        self.name = name
        self.log = log
        self.is_optional = is_optional

    async def start(self) -> None:
        await started(self.log)

    async def close(self) -> None:
        await closed(self.log)

    def readiness(self) -> Mapping[str, bool]:
        return {self.name: self.log.is_ready()}

    def troubles(self) -> Mapping[str, str]:
        return {self.name: self.log.trouble}

    def ended(self) -> Mapping[str, str]:
        error = self.log.failure
        return {self.name: type(error).__name__} if error else {}

    def readings(self) -> Iterator[Reading]:
        seen, topic = self.log.statistics(), (self.log.topic,)
        yield Table.commands_appended, seen.appended, topic
        yield Table.commands_refused, seen.refused, topic
        yield Table.commands_unknown, seen.unknown, topic
        yield Table.commands_unacknowledged, seen.in_flight, topic
        yield Table.partitions_stuck, seen.stuck, topic


class AppendedPlainly(Appended):
    """A topic whose log itself is what handlers get."""

    @property
    def given(self) -> CommandLog:
        return self.log
