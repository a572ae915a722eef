"""A real fold of section commands behind the interfaces of a pod's log and feed, without brokers.

Appended commands are decided at once by the handler that workers run; what it tells of outcomes
and stored state is handed to the pod's waiters and look-ups.
"""

import asyncio
from contextlib import AbstractContextManager

from infra.process.record_ids import Headers
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.keys import partition_of, section_key, split_section_key
from state.domain.outcome import Outcome
from state.kafka.command_log import Appended
from state.records.cart_codecs import CartCodecs
from state.records.commands import CommandEncoders
from state.records.outcomes import outcome_of
from state.records.payment_codecs import PaymentCodecs
from state.records.seat_codecs import SeatCodecs
from state.views.outcomes.waiters import OutcomeWaiter, OutcomeWaiters
from streams.driver import TopologyDriver
from streams.wiring import Parts
from topology import routes

IDS = counted_ids()


class WorkerInMemory:
    """Both the command log and the outcome feed of a pod.

    now_ms:   log time of the next command.
    errors:   raised instead of appending, by section.
    silent:   sections whose commands are appended, and decided by nobody yet.
    hangs:    while True, no append is ever acknowledged.
    commands: sections in the order in which their commands arrived.
    """

    partitions = SECTION_COMMANDS.partitions

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.errors: dict[str, Exception] = {}
        self.silent: set[str] = set()
        self.hangs = False
        self.commands: list[str] = []
        self.outcomes: list[Outcome] = []
        self._driver = TopologyDriver(
            routes(Parts(SeatCodecs.of(IDS), PaymentCodecs.of(IDS), CartCodecs.of(IDS))),
            partitions=self.partitions,
        )
        self._decoder = TopicDecoder(RESERVATION_OUTCOMES, IDS)
        self._waiters = OutcomeWaiters()
        self.encoders = CommandEncoders(IDS)

    def is_ready(self) -> bool:
        return True

    def partition_of(self, key: bytes) -> int:
        return partition_of(key, self.partitions)

    async def send(
        self, key: bytes, value: bytes, *, partition: int, headers: Headers = ()
    ) -> Appended:
        named = split_section_key(key)
        assert named is not None
        assert partition == self.partition_of(key)
        assert dict(headers)["correlation-id"]
        section = named[1]
        self.commands.append(section)
        if self.hangs:
            await asyncio.Event().wait()
        if section in self.errors:
            raise self.errors[section]
        if section in self.silent:
            return Appended(partition, -1)
        outcome = self.decide(key, value)
        self._waiters.tell([outcome])
        return Appended(partition, outcome.command_offset)

    def decide(self, key: bytes, value: bytes) -> Outcome:
        """Append a command, have it decided and return its outcome."""
        self._driver.log_time_ms = self.now_ms
        self._driver.pipe(SECTION_COMMANDS.name, key, value)
        verdict = self._decoder.decode(self._driver.read(RESERVATION_OUTCOMES.name)[-1].value)
        assert isinstance(verdict, Decoded)
        outcome = outcome_of(verdict.name, verdict.fields)
        self.outcomes.append(outcome)
        return outcome

    def hold(self, event_id: int, section: str, count: int = 1) -> Outcome:
        """Have a buyer ask for seats; return what was decided."""
        number = len(self.outcomes)
        identity = self.encoders.identity(f"r-{number}", "buyer-1", section, event_id)
        return self.decide(
            section_key(event_id, section), self.encoders.hold_best(identity, count)
        )

    def waiting(self, reservation_id: bytes) -> AbstractContextManager[OutcomeWaiter]:
        return self._waiters.waiting(reservation_id)

    def told(self, outcome_id: bytes) -> None:
        """Nobody asks here how a reservation stands."""

    @property
    def waits(self) -> int:
        return len(self._waiters)
