"""Buyers who ask for a seat each through the booking queue over gRPC, and wait until they know.

They live in a few processes, each with so many calls under way at once. Who has to wait for that,
for an answer or for the turn is late, and the time counts from the moment at which the buyer
wished for the seat.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import grpc

from api.booking.callers import REASON, RETRY_AFTER, values_of
from benchmarks.measuring.figures import latencies
from benchmarks.pod_runs.arena import EVENT_ID
from schemas.proto import booking_worker_pb2 as messages
from schemas.proto.booking_worker_pb2_grpc import BookingWorkerServiceStub
from state.domain.reasons import Reason

CALL_S: Final = 30.0
AGAIN_S: Final = 1.0
CHANNELS: Final = 4
"""Connections of each process; a pod takes 4,096 in all."""

PAUSE_S: Final = 1.0
PAUSE_S_MAX: Final = 10.0
PLACES_PER_S: Final = 100
"""A buyer asks again after a second for each hundred places before, within these bounds."""

UNKNOWN: Final = "UNKNOWN"
LACKING: Final = frozenset({Reason.SOLD_OUT.name, Reason.NO_ADJACENT_SEATS.name})

_BUSY: Final = frozenset(
    {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
_OPEN: Final = frozenset({messages.ITEM_STATUS_WAITING, messages.ITEM_STATUS_PROCESSING})


class Buyer(NamedTuple):
    """Who asks; token: shown with each call."""

    name: str
    token: str
    section: str


class Told(NamedTuple):
    """What one buyer knows at the end.

    reservation_id: of the seat that is held; empty for none. reason: why none is, UNKNOWN where
    nobody told. waited_ms: from the wish until this was known. at_s: when that was, after all had
    begun. was_in_line: it was put into the queue, and not refused before.
    """

    buyer: Buyer
    reservation_id: str
    reason: str
    waited_ms: float
    at_s: float
    was_in_line: bool


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many buyers come, and how.

    clients: in all, in turn for each section. within_s: in which they come. processes: that they
    are spread over. at_once: calls under way in each. patience_s: of a buyer who hears nothing.
    """

    clients: int = 10_000
    within_s: float = 10.0
    processes: int = 2
    at_once: int = 64
    patience_s: float = 600.0


@dataclass(slots=True)
class Seen:
    """What the buyers of one process have seen.

    entered_ms: from each wish until the queue had it, or it was refused. again: calls that were
    made once more, as the pod or the queue was busy or away. cpu_s: of this process.
    """

    told: list[Told] = field(default_factory=list)
    entered_ms: list[float] = field(default_factory=list)
    polls: int = 0
    again: int = 0
    cpu_s: float = 0.0


def pause_s(position: int) -> float:
    """Return after how long a buyer at this place asks again."""
    return min(PAUSE_S_MAX, max(PAUSE_S, position / PLACES_PER_S))


def bought(address: str, buyers: Sequence[Buyer], crowd: Crowd, seed: int) -> Seen:
    """Have some buyers come and wait for their outcomes; in a process of its own."""
    before_s = time.process_time()
    seen = asyncio.run(_bought(address, buyers, crowd, seed))
    seen.cpu_s = time.process_time() - before_s
    return seen


async def _bought(address: str, buyers: Sequence[Buyer], crowd: Crowd, seed: int) -> Seen:
    draw, all_of_them = random.Random(seed), Process(crowd)
    async with AsyncExitStack() as opened:
        stubs = [await opened.enter_async_context(_Line(address)) for _ in range(CHANNELS)]
        async with asyncio.TaskGroup() as group:
            for number, buyer in enumerate(buyers):
                after_s = draw.uniform(0, crowd.within_s)
                group.create_task(all_of_them.buy(stubs[number % CHANNELS], buyer, after_s))
    return all_of_them.seen


class _Line:
    """A connection of its own, and what is called through it."""

    def __init__(self, address: str) -> None:
        # Otherwise all channels to one address share a connection.
        self._channel = grpc.aio.insecure_channel(
            address, (("grpc.use_local_subchannel_pool", 1),)
        )

    async def __aenter__(self) -> Any:
        return BookingWorkerServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()


class Process:
    """All buyers of one process."""

    def __init__(self, crowd: Crowd) -> None:
        self.seen = Seen()
        self._patience_s = crowd.patience_s
        self._gate = asyncio.Semaphore(crowd.at_once)
        self._begun_s = time.monotonic()

    async def buy(self, stub: Any, buyer: Buyer, after_s: float) -> None:
        """Wish for a seat after some time, and wait until it is known what came of it."""
        await asyncio.sleep(after_s)
        wished_s = time.monotonic()
        entered: list[float] = []
        reservation_id, reason = "", UNKNOWN
        try:
            async with asyncio.timeout(self._patience_s):
                reservation_id, reason = await self._outcome(stub, buyer, entered)
        except TimeoutError:
            pass
        except grpc.aio.AioRpcError as error:
            reason = _reason_of(error)
        now_s = time.monotonic()
        waited_ms = (now_s - wished_s) * 1_000
        self.seen.entered_ms.append((entered[0] - wished_s) * 1_000 if entered else waited_ms)
        self.seen.told.append(
            Told(buyer, reservation_id, reason, waited_ms, now_s - self._begun_s, bool(entered))
        )

    async def _outcome(self, stub: Any, buyer: Buyer, entered: list[float]) -> tuple[str, str]:
        """Return the reservation, or the reason why there is none; note when the item was in."""
        metadata = (("authorization", f"Bearer {buyer.token}"),)
        wish = messages.EnqueueBookingRequest(
            idempotency_key="one-seat", event_id=EVENT_ID, section=buyer.section, seat_count=1
        )
        known = await self._asked(stub.EnqueueBooking, wish, metadata)
        entered.append(time.monotonic())
        item = messages.GetQueueStatusRequest(queue_item_id=known.queue_item_id)
        while True:
            await asyncio.sleep(pause_s(known.position))
            known = await self._asked(stub.GetQueueStatus, item, metadata)
            self.seen.polls += 1
            if known.status not in _OPEN:
                break
        if known.status == messages.ITEM_STATUS_COMPLETED:
            return known.reservation_id, known.reason
        return "", known.reason or messages.ItemStatus.Name(known.status)

    async def _asked(self, method: Any, request: Any, metadata: Any) -> Any:
        """Return the answer; who is told that all are busy asks the same again."""
        while True:
            try:
                async with self._gate:
                    return await method(
                        request, metadata=metadata, timeout=CALL_S, wait_for_ready=True
                    )
            except grpc.aio.AioRpcError as error:
                if error.code() not in _BUSY:
                    raise
                later_s = _told_in(error, RETRY_AFTER)
            self.seen.again += 1
            await asyncio.sleep(float(later_s or AGAIN_S))


def _told_in(error: grpc.aio.AioRpcError, name: str) -> str:
    return next(iter(values_of(error.trailing_metadata(), name)), "")


def _reason_of(error: grpc.aio.AioRpcError) -> str:
    return _told_in(error, REASON) or error.code().name


def parted(buyers: Sequence[Buyer], crowd: Crowd) -> Iterator[Sequence[Buyer]]:
    """Yield the buyers of each process."""
    for first in range(crowd.processes):
        yield buyers[first :: crowd.processes]


def figures(seen: Sequence[Seen]) -> dict[str, float]:
    """Return what all have seen, all processes together."""
    told = [one for each in seen for one in each.told]
    held = [one for one in told if one.reservation_id]
    refused = [one for one in told if not one.reservation_id and one.reason != UNKNOWN]
    in_line = sum(one.was_in_line for one in told)
    entering = latencies(sorted(ms for each in seen for ms in each.entered_ms))
    all_waits = latencies(sorted(one.waited_ms for one in told))
    of_held = latencies(sorted(one.waited_ms for one in held))
    all_told_s = max(one.at_s for one in told)
    return {
        "clients": len(told),
        "held": len(held),
        "refused": len(refused),
        "refused_otherwise": sum(one.reason not in LACKING for one in refused),
        "unknown": len(told) - len(held) - len(refused),
        "in_line": in_line,
        "enqueue_p50_ms": entering["p50_ms"],
        "enqueue_p99_ms": entering["p99_ms"],
        "outcome_p50_ms": all_waits["p50_ms"],
        "outcome_p99_ms": all_waits["p99_ms"],
        "outcome_max_ms": all_waits["max_ms"],
        "held_p50_ms": of_held.get("p50_ms", 0.0),
        "held_p99_ms": of_held.get("p99_ms", 0.0),
        "all_held_s": max((one.at_s for one in held), default=0.0),
        "all_told_s": all_told_s,
        "items_per_s": in_line / all_told_s,
        "polls": sum(each.polls for each in seen),
        "asked_again": sum(each.again for each in seen),
        "clients_cpu_percent": sum(each.cpu_s for each in seen) / all_told_s * 100,
    }
