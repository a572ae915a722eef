"""Lets the next ones in, every second: one pod at a time does. Two that do change nothing."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Final

from redis.exceptions import RedisError

from api.admission.cycle import (
    CycleCounters,
    Promoted,
    PromotionCycles,
    Supply,
    nobody_is_told,
    nothing_is_said,
)
from api.admission.lots import RoomLots
from api.admission.pool import DRAIN_S, Pool
from api.admission.proving import LineProver
from api.admission.turns import TurnLog
from api.web.logs import log
from api.web.metrics import ApiMetrics
from infra.process.metrics import Reading
from state.domain.waiting.admission import buyable
from state.redis.client import client_of
from state.redis.lease import Lease, Leases
from state.redis.policy import check_policy
from state.redis.waiting.rooms import WaitingRooms
from state.redis.waiting.tasks import PromotionTasks
from state.views.availability.statuses import SectionStatuses

EVERY_S: Final = 1.0
RETURNED_PERCENT: Final = 20
"""Of what is held now, how much is expected back: holds lapse and are given back."""

_LEASE_MS: Final = 5_000


def supply_of(view: SectionStatuses) -> Supply:
    """Return what tells of an event how many seats can be bought, by the availability view.

    Sections that are not known for sure, or not fresh, count as without seats. None for an event
    without sections, and where all that is known is that those others have none.
    """

    def supply(event_id: int) -> int | None:
        sections = view.sections(event_id).values()
        if not view.is_ready() or not sections:
            return None
        known = [section for section in sections if not section.stale]
        free = sum(section.free for section in known)
        seats = buyable(free, sum(section.held for section in known), RETURNED_PERCENT)
        # What is not known is not nothing: no end is told by it.
        return seats if seats or len(known) == len(sections) else None

    return supply


@dataclass(eq=False)
class Promoter:
    """Runs cycles.

    url: of Redis; empty for none, and nothing is done then. leases: of the servers that grant the
    lease; none for the same. members: of the pool; 0 for a pod that
    promotes nobody. turns: where it is written down who was let in, before they are told; None for
    nowhere. lots: of rooms that open by lot; None for none. is_it: whether this pod does it now.
    prover: compares a line with what was told, where its server was started again. trouble: why
    nobody is promoted by this pod though it should; empty where all is well.
    """

    url: str
    supply: Supply
    _: KW_ONLY
    members: int
    leases: Sequence[str] = ()
    every_s: float = EVERY_S
    promoted: Promoted = nobody_is_told
    gone: Promoted = nobody_is_told
    turns: TurnLog | None = None
    lots: RoomLots | None = None
    prover: LineProver = field(default_factory=lambda: LineProver(None))
    counters: CycleCounters = field(init=False, default_factory=CycleCounters)
    is_it: bool = field(init=False, default=False)
    trouble: str = field(init=False, default="")
    _task: "asyncio.Task[None] | None" = field(init=False, default=None)
    _is_closing: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    async def start(self) -> None:
        if self.url and self.members:
            self._task = asyncio.create_task(self._run(), name="waiting rooms: promote")
            self._task.add_done_callback(_tell_of_fault)

    async def close(self) -> None:
        """End after the cycle that is under way, or in the middle of one that does not end."""
        task, self._task = self._task, None
        self._is_closing.set()
        if task is not None:
            await asyncio.wait({task}, timeout=DRAIN_S)
            task.cancel()
            await asyncio.wait({task})

    def readings(self) -> Iterator[Reading]:
        seen = self.counters
        yield ApiMetrics.promotion_cycles, seen.cycles
        yield ApiMetrics.promoted, seen.promoted
        yield ApiMetrics.waiting_gone, seen.gone
        yield ApiMetrics.promotion_failures, seen.failed
        yield ApiMetrics.promotion_unsure, seen.unsure
        yield ApiMetrics.promoting, self.is_it

    async def _run(self) -> None:
        client = client_of(self.url)
        leases = Leases(self.leases or (self.url,))
        lease = leases.of("promote", _LEASE_MS)
        pool = Pool("promotions", self.members)
        rooms = WaitingRooms(client.execute_command)
        cycles = PromotionCycles(
            rooms,
            PromotionTasks(client.execute_command),
            pool,
            self.supply,
            promoted=self.promoted,
            gone=self.gone,
            say=nothing_is_said if self.turns is None else partial(self.turns.say_all, rooms),
            prove=self.prover.prove,
            draw=nothing_is_said if self.lots is None else partial(self.lots.draw, rooms),
        )
        self.counters = cycles.counters
        try:
            while not self._is_closing.is_set():
                await self._round(lease, cycles, client)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.every_s):
                        await self._is_closing.wait()
        finally:
            await cycles.close()
            await pool.close()
            with suppress(RedisError, OSError):
                await lease.give_up()
            await leases.close()
            await client.aclose()

    async def _round(self, lease: Lease, cycles: PromotionCycles, client: object) -> None:
        """Run a cycle, unless another pod does; whatever failed is tried at the next one."""
        try:
            await check_policy(client.execute_command)  # type: ignore[attr-defined]
            # Where nobody tells whose it is, it is done: rooms may be at another server.
            self.is_it = await lease.turn() is not False
            if self.is_it:
                await cycles.run()
        except Exception as error:  # noqa: BLE001  (nothing that lies in Redis ends a promoter)
            trouble = f"{type(error).__name__}: {error}"
            if trouble != self.trouble:
                log.error("nobody is let in from waiting rooms: %s", trouble)
            self.trouble = trouble
            self.is_it = False
        else:
            self.trouble = ""


def _tell_of_fault(task: "asyncio.Task[None]") -> None:
    """Say that nobody here lets anybody in any more: a fault of ours, and nothing of seats."""
    if not task.cancelled() and task.exception() is not None:
        log.error("this pod promotes nobody any more", exc_info=task.exception())
