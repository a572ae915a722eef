"""Pods over seats in memory: the real handler decides, nothing leaves the process.

Several pods may share the seats; each sees outcomes through a feed of its own, whose thread does
not run: `Seats` hands it the records.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from support.logs.log_in_memory import LogInMemory
from support.pods.api_pods import pod_with
from support.records.status_records import Fed
from support.seats.section_commands import IDS, PARTITIONS, A, Partition, open_section

from api.commands.desk import CommandDesk
from api.commands.payment_desk import PaymentDesk
from api.pod import Pod
from api.settings import ApiSettings
from api.web.metrics import ApiMetrics
from infra.process.record_ids import Headers
from schemas.topics import EVENTS, PAYMENT_COMMANDS
from serdes.decoding import TopicDecoder
from state.domain.event import Event
from state.domain.keys import partition_of, section_key
from state.kafka.command_log import Appended, AppendUnknown, NotAppended
from state.owners.left_alone import LeftAlone
from state.owners.lookup import OwnerLookup
from state.owners.protocol import LISTED_MAX, framed, left_alone
from state.owners.questions import OwnerNotReady, Question, payloads_in
from state.redis.idempotency import IdempotencyKeys, Use
from state.views.availability.statuses import SectionStatuses
from state.views.events.catalogue import Events
from state.views.outcomes.contents import OutcomeContents, OutcomeCounters
from state.views.outcomes.feed import OutcomeFeed
from streams.gateways.registry import opened

NO_PARTS: Final[Mapping[str, Any]] = {}


class KeysInMemory(IdempotencyKeys):
    """Idempotency keys that all pods of a test share; `is_down` as if Redis were."""

    def __init__(self) -> None:
        super().__init__("")
        self.digest_by_stem: dict[str, str] = {}
        self.is_down = False

    async def use(self, stem: str, digest: str) -> Use:
        if self.is_down:
            return Use.UNKNOWN
        former = self.digest_by_stem.setdefault(stem, digest)
        if former is digest:
            return Use.FIRST
        return Use.SAME if former == digest else Use.OTHER

    async def is_unused(self, stem: str) -> bool:
        return not self.is_down and stem not in self.digest_by_stem

    async def give_back(self, stem: str) -> None:
        self.digest_by_stem.pop(stem, None)


class Feed(OutcomeFeed):
    """A feed that was read to its end of nothing; never stale.

    lags:   what comes stays unread until `catch_up`, or until somebody needs to be certain.
    """

    def __init__(self) -> None:
        super().__init__("nowhere:1")
        self.is_stale = False
        self.lags = False
        self.unread: deque[tuple[int, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._contents = OutcomeContents(
            PARTITIONS,
            self._decoder,
            lambda _: False,
            OutcomeCounters(),
            since_ms=0,
            bytes_max=1 << 20,
            never_ns=0,
        )

    def staleness_ms(self) -> int:
        return 1 << 30 if self.is_stale else 0

    async def knows_since(self, partition: int, asked_ns: int, timeout_s: float) -> bool:  # noqa: ARG002
        await asyncio.sleep(0)
        if not self.is_stale:
            self.catch_up(len(self.unread))
        return not self.is_stale

    def hear(self, partition: int, value: bytes) -> None:
        """Read a committed outcome, now or later."""
        self.unread.append((partition, value))
        if not self.lags:
            self.catch_up(len(self.unread))

    def catch_up(self, records: int) -> None:
        for _ in range(min(records, len(self.unread))):
            self.read(*self.unread.popleft())

    def read(self, partition: int, value: bytes) -> None:
        assert self._contents is not None
        outcome = self._contents.apply(partition, None, value, self._waiters)
        if outcome is not None:
            self.changed(self._contents, [outcome])

    def forget(self) -> None:
        """Be a pod that started a moment ago."""
        assert self._contents is not None
        self._contents._by_id.clear()

    def waiting_now(self) -> int:
        return len(self._waiters)


@dataclass
class Seats:
    """All partitions, and who reads their outcomes.

    holds_back: commands are appended and not decided until `decide`.
    failure:    raised by the next send; `is_appended` says whether its record is there anyway.
    sent:       (partition, headers) of every command.
    """

    keys: KeysInMemory = field(default_factory=KeysInMemory)
    partitions: list[Partition] = field(
        default_factory=lambda: [Partition(number) for number in range(PARTITIONS)]
    )
    feeds: list[Feed] = field(default_factory=list)
    sent: list[tuple[int, dict[str, bytes]]] = field(default_factory=list)
    holds_back: bool = False
    failure: Exception | None = None
    is_appended: bool = False
    _undecided: list[tuple[int, Any]] = field(default_factory=list)

    def open(self, text: str, section: str = A, **rules: Any) -> "Seats":
        number = partition_of(section_key(7, section), PARTITIONS)
        self.append(number, open_section(text, section=section, **rules))
        return self

    def append(self, number: int, pair: tuple[bytes | None, bytes | None]) -> int:
        """Append a command, and decide it unless commands are held back."""
        [record] = self.partitions[number].append(pair)
        self._undecided.append((number, record))
        if not self.holds_back:
            self.decide()
        return record.offset

    def decide(self) -> None:
        """Decide what was appended, and have every pod read the outcomes."""
        for number, record in self._undecided:
            for value in self.partitions[number].fold([record]):
                for feed in self.feeds:
                    feed.hear(number, value)
        self._undecided.clear()

    def progress(self, number: int) -> int:
        """Return the offset behind the last command of a partition that is decided."""
        undecided = [record.offset for where, record in self._undecided if where == number]
        return min(undecided, default=len(self.partitions[number].log))


class Log(LogInMemory):
    """Stands for CommandLog."""

    def __init__(self, seats: Seats) -> None:
        self._seats = seats
        self.partitions = PARTITIONS

    def partition_of(self, key: bytes) -> int:
        return partition_of(key, self.partitions)

    async def send(
        self, key: bytes, value: bytes, *, partition: int, headers: Headers = ()
    ) -> Appended:
        seats = self._seats
        failure, seats.failure = seats.failure, None
        offset = -1
        if failure is None or seats.is_appended:
            seats.sent.append((partition, dict(headers)))
            offset = seats.append(partition, (key, value))
        await asyncio.sleep(0)
        if failure is not None:
            raise failure
        return Appended(partition, offset)


class PaymentLog(Log):
    """Stands for the CommandLog of payment-commands, which nobody reads: `told` are its values."""

    def __init__(self, seats: Seats) -> None:
        super().__init__(seats)
        self.told: list[tuple[int, bytes, bytes]] = []

    async def send(
        self,
        key: bytes,
        value: bytes,
        *,
        partition: int,
        headers: Headers = (),  # noqa: ARG002
    ) -> Appended:
        await asyncio.sleep(0)
        failure, self._seats.failure = self._seats.failure, None
        if failure is not None:
            raise failure
        self.told.append((partition, key, value))
        return Appended(partition, len(self.told) - 1)


class Nobody:
    """Stands for the group: nobody asks who owns what."""

    async def owners(self) -> dict[tuple[str, int], str]:
        return {}

    async def close(self) -> None:
        pass


class Owners(OwnerLookup):
    """Asks the stores themselves, once.

    behind: number of a partition -> an earlier moment of its store, answered from instead.
    purchases: what the payments role has stored, wherever. away: partitions without an owner now.
    alone: number of a partition -> what its owner leaves alone, ms by gateway.
    """

    def __init__(self, seats: Seats, decided: Callable[[int], int] = lambda _: 0) -> None:
        super().__init__("nowhere:1", "seats", patience_s=0, decided=decided, directory=Nobody())
        self._seats = seats
        self.asked = 0
        self.failure: Exception | None = None
        self.behind: dict[int, tuple[int, dict[bytes, bytes]]] = {}
        self.purchases: dict[bytes, bytes] = {}
        self.away: set[int] = set()
        self.alone: dict[int, dict[str, int]] = {}

    def stored(self, number: int) -> tuple[int, dict[bytes, bytes]]:
        """Return the progress and the records of a partition's store as they are now."""
        return self._seats.progress(number), self._seats.partitions[number].stored()

    async def _attempt(
        self,
        question: Question,
        least: int,
        newer_than_s: float,  # noqa: ARG002
    ) -> list[bytes | None]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        if question.partition in self.away:
            raise OwnerNotReady(f"partition {question.partition} restores")
        if not question.keys:
            return [left_alone(*one) for one in self.alone.get(question.partition, {}).items()]
        if question.topic == PAYMENT_COMMANDS.name:
            progress, stored = 0, self.purchases
        else:
            progress, stored = self.behind.get(question.partition) or self.stored(
                question.partition
            )
        headers = {"X-Owner": "one", "X-Progress-Offset": str(progress)}
        if question.is_listing:
            prefix, begin = question.keys
            found = sorted(key for key in stored if key.startswith(prefix) and key >= begin)
            return payloads_in("one", 200, headers, framed(found[:LISTED_MAX]), None, least)
        [key] = question.keys
        status = 200 if key in stored else 404
        return payloads_in("one", status, headers, stored.get(key, b""), 1, least)


class FreshEvents(Events):
    """A catalogue that has read everything, unless it is cut off.

    described: what is known of events, by id.
    """

    def __init__(self) -> None:
        super().__init__(TopicDecoder(EVENTS, IDS))
        self.described: dict[int, Event] = {}
        self.is_cut_off = False

    def get(self, event_id: int) -> Event | None:
        return self.described.get(event_id)

    async def certain(self, event_id: int, timeout_s: float) -> bool:  # noqa: ARG002
        return not self.is_cut_off


def pod_over(
    seats: Seats,
    *,
    view: SectionStatuses | None = None,
    parts: Mapping[str, Any] = NO_PARTS,
    **settings: Any,
) -> Pod:
    """Return a pod over these seats, ready; inside a running loop.

    parts: what it has besides, or instead.
    """
    feed = Feed()
    seats.feeds.append(feed)
    log: Any = Log(seats)
    owners = Owners(seats, feed.decided)
    payment_log: Any = PaymentLog(seats)
    chosen = ApiSettings(**{"wait_ms": 200, **settings})
    metrics = ApiMetrics()
    payments = PaymentDesk(
        IDS,
        payment_log,
        opened(chosen.gateways, {}),
        LeftAlone(parts.get("owners", owners), PAYMENT_COMMANDS.name),
    )
    desk = CommandDesk(
        IDS, log, feed, metrics, in_flight_max=chosen.in_flight_max, keys=seats.keys
    )
    usual = {
        "outcomes": feed,
        "commands": log,
        "desk": desk,
        "owners": owners,
        "payments": payments,
        "catalogue": FreshEvents(),
        "view": view or Fed().view,
        "metrics": metrics,
    }
    return pod_with(chosen, **{**usual, **parts})


__all__ = ["AppendUnknown", "Feed", "NotAppended", "Owners", "PaymentLog", "Seats", "pod_over"]
