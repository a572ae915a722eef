"""One pod at a time looks through all locks in Redis for those whose hold is over."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from redis.exceptions import RedisError

from api.parts.part import Part
from api.web.logs import log
from api.web.metrics import ApiMetrics
from infra.process.metrics import Reading
from schemas.topics import SECTION_COMMANDS
from state.domain.keys import partition_of
from state.domain.outcome import ReservationView, as_stored
from state.domain.reservation import Status
from state.kafka.command_log import NotAppended
from state.owners.lookup import OwnerLookup
from state.owners.questions import OwnerNotReady, OwnersBusy, OwnerUnreachable
from state.redis.client import client_of
from state.redis.lease import Lease, Leases
from state.redis.policy import Evicts, check_policy
from state.redis.scripts import Ask
from state.redis.sweep import sweep
from state.views.outcomes.feed import OutcomeFeed

EVERY_S: Final = 20.0
"""So a lock without a hold is removed within a minute, also when the pod that looks dies."""

_LEASE_MS: Final = 30_000

_HOLDING: Final = frozenset({Status.HELD, Status.PAYING})
_UNANSWERED: Final = (NotAppended, OwnerNotReady, OwnerUnreachable, OwnersBusy)


class LockSweeper(Part):
    """Looks every `every_s`, if this pod has the lease.

    url:      of Redis; empty for none, and nothing is done then. leases: of the servers that grant
              the lease; none for the same.
    outcomes: the reservations that this pod remembers. owners: are asked about the others.
    swept:    how many locks were removed. locks: how many this pod's last look has left.
    evicts:   Redis drops keys when its memory is full, as it told last: no pod starts then.
    """

    name = "sweeper"

    def __init__(
        self,
        url: str,
        outcomes: OutcomeFeed,
        owners: OwnerLookup,
        *,
        leases: Sequence[str] = (),
        every_s: float = EVERY_S,
    ) -> None:
        self._url = url
        self._lease_urls = leases or (url,)
        self._outcomes = outcomes
        self._owners = owners
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._is_troubled = False
        self._is_closing = False
        self.swept = 0
        self.locks = 0
        self.evicts = False

    async def start(self) -> None:
        if self._url:
            self._task = asyncio.create_task(self._run(), name="locks: sweep")
            self._task.add_done_callback(_tell_of_fault)

    async def close(self) -> None:
        task, self._task = self._task, None
        # A client may take a cancellation for a lost connection.
        self._is_closing = True
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def readings(self) -> Iterator[Reading]:
        yield ApiMetrics.locks_swept, self.swept
        yield ApiMetrics.locks, self.locks
        yield ApiMetrics.redis_evicts, int(self.evicts)

    async def _run(self) -> None:
        client = client_of(self._url)
        leases = Leases(self._lease_urls)
        lease = leases.of("sweep", _LEASE_MS)
        try:
            while not self._is_closing:
                await asyncio.sleep(self._every_s)
                await self._round(lease, client.execute_command)
        finally:
            with suppress(RedisError, OSError):
                await lease.give_up()
            await leases.close()
            await client.aclose()

    async def _round(self, lease: Lease, ask: Ask) -> None:
        """Look through all locks, unless another pod does; Redis that fails is asked next time."""
        self.locks = 0
        try:
            await check_policy(ask)
            self.evicts = False
            if await lease.turn() is not False:
                await self._sweep(lease, ask)
        except Exception as error:  # noqa: BLE001  (nothing that lies in Redis ends a sweeper)
            # One that does not answer has told nothing else.
            self.evicts |= isinstance(error, Evicts)
            if not self._is_troubled:
                log.error("locks are not looked through: %s: %s", type(error).__name__, error)
            self._is_troubled = True
        else:
            self._is_troubled = False

    async def _sweep(self, lease: Lease, ask: Ask) -> None:
        known: dict[tuple[bytes, str, int], bool] = {}
        silent: set[int] = set()

        async def is_over(section: bytes, reservation_id: str, epoch: int) -> bool:
            hold = section, reservation_id, epoch
            if hold not in known:
                before = len(silent)
                known[hold] = await self._is_over(*hold, silent)
                if len(silent) > before:
                    # That took its patience: no other pod begins beside this one meanwhile.
                    await lease.turn()
            return known[hold]

        found = await sweep(ask, is_over)
        gone = found.orphans + found.repaired
        self.swept += gone
        self.locks = found.locks - gone
        if gone:
            log.warning(
                "of %d locks %d were of holds that are over, %d none of ours: removed",
                found.locks,
                found.orphans,
                found.repaired,
            )

    async def _is_over(
        self, section: bytes, reservation_id: str, epoch: int, silent: set[int]
    ) -> bool:
        """Say whether a hold has certainly ended; one that nobody knows may yet begin.

        silent: partitions whose owner did not answer in this look. None of them is asked again in
                it, and those that do not answer now are added.
        """
        view = self._outcomes.get(reservation_id.encode())
        if view is None:
            view = await self._stored(section, reservation_id, silent)
        if view is None:
            return False
        # Where it was rejected there never was an epoch.
        is_past = view.epoch > epoch or view.status is Status.REJECTED
        return is_past or (view.epoch == epoch and view.status not in _HOLDING)

    async def _stored(
        self, section: bytes, reservation_id: str, silent: set[int]
    ) -> ReservationView | None:
        """Return how it stands by its owner's word; None where there is none, or no word."""
        if not self._outcomes.partitions:
            return None
        # By the section: the id of a cart's part names the partition of its cart.
        partition = partition_of(section, self._outcomes.partitions)
        if partition in silent:
            return None
        try:
            held = await self._owners.reservation(partition, reservation_id.encode())
        except _UNANSWERED:
            silent.add(partition)
            return None
        prefix = f"{SECTION_COMMANDS.name}:{partition}:"
        return None if held is None else as_stored(held, prefix)


def _tell_of_fault(task: "asyncio.Task[None]") -> None:
    """Say that nobody here looks through locks any more: a fault of ours, and nothing of seats."""
    if not task.cancelled() and task.exception() is not None:
        log.error("locks are looked through no more", exc_info=task.exception())
