"""Buyers of the demo: they hold, pay, cancel, forget and try again until nothing is left.

One loop in one thread: `step` reads what is committed, then sends what is due. What buyers know
is what a shop would know: the status of each section, and the outcomes of their own requests.
"""

import random
from collections import Counter, deque
from dataclasses import dataclass
from heapq import heappop, heappush
from time import monotonic_ns, perf_counter
from typing import Any

from schemas.topics import SECTION_STATUS
from scripts.auditing.http_history import Sighting
from scripts.sale.web.browser import METHOD
from scripts.traffic.sending import CommandEncoders, CommandSender, OutcomeReader
from scripts.traffic.workload import chosen_seats
from serdes.registry.ids import SchemaIds
from state.domain.keys import cart_payment_id, section_key, split_part_id
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause
from state.plans.seating import SeatingPlan
from state.records.outcomes import (
    CAUSE,
    EPOCH,
    OUTCOME_ID,
    REASON,
    SECTION,
    VERSION,
)
from streams.gateways.mock import NAME as GATEWAY

EVENT_ID = 1
# Requests on their way at most: what a paused worker leaves waiting stays bounded.
WAITING_MAX = 30_000
# With fewer seats left than this share, nobody hesitates: everybody pays.
LAST_SEATS = 0.05
THINK_S = 0.1, 1.5
RECENT_S = 5.0
LAPSED = int(ReleaseCause.LAPSED)
OF_PAYMENTS = {"ReservationConfirmed", "ReservationReleased"}


@dataclass(slots=True)
class SectionView:
    """What buyers know of one section, from the status topic.

    version:  of what they know. refunded: the version in which seats were given back last, as an
              outcome told, which may come before the status that shows them.
    """

    free: int
    held: int = 0
    version: int = 0
    refunded: int = 0
    largest_block: int = 8
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """A request that has been sent. index: of its section in the plan."""

    index: int
    identity: bytes


class Buyers:
    """All buyers who send commands, together.

    Some pay at the gateway; the others have paid a shop, which confirms what they hold.

    paying:    share of those who pay at the gateway.
    waiting:   commands sent whose outcome has not come.
    keep_free: seats that these buyers leave to others for now.
    sightings: versions of sections, as they were read.
    """

    def __init__(
        self,
        plan: SeatingPlan,
        ids: SchemaIds,
        brokers: str,
        *,
        rate: float,
        seed: int,
        paying: float = 1.0,
        event_id: int = EVENT_ID,
    ) -> None:
        self.plan = plan
        self.event_id = event_id
        self.outcomes = 0
        self.lapses = 0
        self.holds = 0
        self.keep_free = 0
        self.sightings: list[Sighting] = []
        self.by_reason: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self.recent: deque[tuple[float, float]] = deque()
        self.sections = [SectionView(section.seat_count) for section in plan.sections]
        self._draw = random.Random(seed)  # noqa: S311 - seeded on purpose
        self._rate = rate
        self._paying = paying
        self._encoders = CommandEncoders(ids)
        self._reader = OutcomeReader(brokers, ids)
        self._statuses = OutcomeReader(brokers, ids, SECTION_STATUS)
        self._sender = CommandSender(brokers, linger_ms=2)
        self._keys = [section_key(event_id, section.section) for section in plan.sections]
        self._index_by_key = {key: index for index, key in enumerate(self._keys)}
        self._sent_at: dict[bytes, deque[float]] = {}
        self._holds: dict[bytes, Hold] = {}
        self._plans: list[tuple[float, int, bytes, bytes]] = []
        self._payers: set[bytes] = set()
        self._lapsed: set[bytes] = set()
        self._returned: set[bytes] = set()
        self._refunds: set[bytes] = set()
        self._numbers = 0
        self._budget_from = perf_counter()
        self._spent = 0

    @property
    def sent(self) -> int:
        """Return how many commands were sent."""
        return self._sender.sent

    @property
    def failed(self) -> list[str]:
        """Return the errors of commands that the broker did not take."""
        return self._sender.failed

    @property
    def waiting(self) -> int:
        """Return how many commands have no outcome yet."""
        return self._sender.sent - self.outcomes

    @property
    def refunds(self) -> int:
        """Return how many payments there are whose seats were given back, or some of them."""
        return len(self._refunds)

    @property
    def free(self) -> int:
        """Return the seats that nobody has, as far as buyers know."""
        return sum(section.free for section in self.sections)

    @property
    def held(self) -> int:
        """Return the seats that are held, as far as buyers know."""
        return sum(section.held for section in self.sections)

    @property
    def sold(self) -> int:
        """Return the seats that are sold, as far as buyers know."""
        return self.plan.seat_count - self.free - self.held

    @property
    def is_sold_out(self) -> bool:
        """Say whether every seat is sold."""
        is_known = all(section.version >= section.refunded for section in self.sections)
        return self.free == 0 and self.held == 0 and is_known

    def start(self) -> None:
        """Begin: what the rate allows is counted from now on."""
        self._budget_from = perf_counter()

    @property
    def is_last_call(self) -> bool:
        """Say whether few seats are left."""
        return self.free < LAST_SEATS * self.plan.seat_count

    def step(self) -> None:
        """Read what has come, send what is due; takes a few milliseconds."""
        self.read(0.002)
        now = perf_counter()
        while self._plans and self._plans[0][0] <= now:
            _, _, reservation_id, value = heappop(self._plans)
            self._send(reservation_id, value)
        allowed = (now - self._budget_from) * self._rate
        if self.waiting > WAITING_MAX or self.free <= self.keep_free:
            # Time in which nobody could ask is not made up for later.
            self._budget_from, self._spent = now, 0
            return
        while self._spent < allowed and self._ask():
            pass
        self._sender.poll()

    def read(self, timeout_s: float) -> None:
        """Take in outcomes and statuses."""
        for message in self._statuses.read(0):
            index = self._index_by_key.get(message.key() or b"")
            if index is not None:
                self._know(index, message.value() or b"")
        now = perf_counter()
        for message in self._reader.read(timeout_s):
            now = perf_counter()
            self._answer(message.key() or b"", message.value() or b"", now)
        while self.recent and self.recent[0][0] < now - RECENT_S:
            self.recent.popleft()

    def flush(self) -> None:
        """Wait until the broker has all that was sent."""
        self._sender.flush()

    def close(self) -> None:
        """Leave, without waiting for anything."""
        self._sender.drop()
        self._reader.close()
        self._statuses.close()

    def _know(self, index: int, status: bytes) -> None:
        _, _, free, _, version, held, largest_block = self._statuses.fields_of(status)
        section = self.sections[index]
        section.free, section.held, section.largest_block = free, held, largest_block
        section.is_open, section.version = True, version
        name = self.plan.sections[index].section
        self.sightings.append(Sighting(monotonic_ns(), self.event_id, name, version))

    def _ask(self) -> bool:
        """Send one new request; return False when no section has a seat left."""
        draw = self._draw
        index = draw.randrange(len(self.sections))
        section = self.sections[index]
        for _ in range(len(self.sections)):
            if section.free and section.is_open:
                break
            index = (index + 1) % len(self.sections)
            section = self.sections[index]
        else:
            return False
        party = min(draw.choices((1, 2, 3, 4), (2, 5, 2, 2))[0], max(1, section.largest_block))
        self._numbers += 1
        name = self.plan.sections[index].section
        reservation_id = f"d{self._numbers}"
        identity = self._encoders.identity(
            reservation_id, f"buyer{self._numbers}", name, self.event_id, f"c{self._numbers}"
        )
        if draw.random() < 0.1 and section.free * 3 > self.plan.sections[index].seat_count:
            seats = chosen_seats(draw, self.plan.sections[index], party)
            value = self._encoders.hold_chosen(identity, seats)
        else:
            value = self._encoders.hold_best(identity, party)
        key = reservation_id.encode()
        self._holds[key] = Hold(index, identity)
        self._send(key, value)
        if draw.random() < 0.01:
            # The buyer's connection broke, and the same request comes again.
            self._send(key, value)
        return True

    def _send(self, reservation_id: bytes, value: bytes) -> None:
        hold = self._holds[reservation_id]
        self._sent_at.setdefault(reservation_id, deque()).append(perf_counter())
        self._spent += 1
        self._sender.send(self._keys[hold.index], value)

    def _answer(self, reservation_id: bytes, outcome: bytes, now: float) -> None:
        reader = self._reader
        name = reader.name_of(outcome)
        if name == "ReservationReleased" and self._is_news(reader.fields_of(outcome)):
            self.lapses += 1
            self.by_reason["LAPSED"] += 1
            return
        if name == "ReservationRefunded":
            self._refunded(reservation_id, reader.fields_of(outcome))
            return
        sent = self._sent_at.get(reservation_id)
        if sent is None:
            return
        if name in OF_PAYMENTS and reservation_id in self._payers:
            # An answer to payments, which sell and give back in the buyer's name.
            return
        self.outcomes += 1
        latency_ms = (now - sent.popleft()) * 1000
        if not sent:
            del self._sent_at[reservation_id]
        self.latencies_ms.append(latency_ms)
        self.recent.append((now, latency_ms))
        if name in {"ReservationRejected", "CommandRefused"}:
            self.by_reason[Reason(reader.fields_of(outcome)[REASON]).name] += 1
            return
        self.by_reason[name] += 1
        if name == "SeatsHeld":
            self.holds += 1
            # A repeated request gets the same answer; its buyer has decided already.
            if not sent:
                self._decide(reservation_id, reader.fields_of(outcome)[EPOCH], now)

    def _refunded(self, reservation_id: bytes, outcome: tuple[Any, ...]) -> None:
        """Remember from which version on the seats are free again."""
        if outcome[OUTCOME_ID] in self._returned:
            # Told again.
            return
        self._returned.add(outcome[OUTCOME_ID])
        part = split_part_id(reservation_id)
        # A cart is paid for, and given back, as one.
        self._refunds.add(reservation_id if part is None else cart_payment_id(part[0]))
        index = self._index_by_key[section_key(self.event_id, outcome[SECTION].decode())]
        section = self.sections[index]
        section.refunded = max(section.refunded, outcome[VERSION])

    def _is_news(self, released: tuple[Any, ...]) -> bool:
        """Say whether this is a lapse that nobody asked for.

        A release that comes after the lapse is answered with the same outcome once more.
        """
        if released[CAUSE] != LAPSED or released[OUTCOME_ID] in self._lapsed:
            return False
        self._lapsed.add(released[OUTCOME_ID])
        return True

    def _decide(self, reservation_id: bytes, epoch: int, now: float) -> None:
        """Plan what the buyer does with a hold."""
        draw, encoders = self._draw, self._encoders
        identity = self._holds[reservation_id].identity
        fate = draw.random()
        if self.is_last_call:
            fate = 1.0
        soon = now + draw.uniform(*THINK_S)
        if fate < 0.04:
            return  # forgotten: the hold will lapse
        if fate < 0.12:
            self._plan(soon, reservation_id, encoders.release(identity))
            return
        if fate < 0.15:
            self._plan(soon, reservation_id, encoders.extend(identity, epoch))
            soon += 1.0
        if draw.random() < self._paying:
            self._payers.add(reservation_id)
            sale = encoders.start_payment(identity, epoch, GATEWAY, METHOD, b"")
        else:
            sale = encoders.confirm(identity, epoch)
        self._plan(soon, reservation_id, sale)
        if fate < 0.17:
            self._plan(soon + 0.05, reservation_id, sale)

    def _plan(self, at: float, reservation_id: bytes, value: bytes) -> None:
        heappush(self._plans, (at, len(self._plans), reservation_id, value))
