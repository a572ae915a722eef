"""What happens after the money of the sale: a worker, and the service that it asks."""

from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_urlsafe
from time import monotonic, sleep
from typing import Self

from schemas.topics import PURCHASE_CONFIRMED, PURCHASE_CREATED, SEATS_ALLOCATED
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import rest
from scripts.processes.allocation import AllocationService
from scripts.processes.workers import Supervisor, Worker

GROUP = "purchase-creation-workers"
DONE_S = 120.0
LOOK_EVERY_S = 0.2
OPEN_INTENTS = "seatstream_open_intents"


class Issuing:
    """One worker that plays all three roles, in a group of its own beside the sale."""

    def __init__(
        self,
        where: Servers,
        directory: Path,
        settings: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._where = where
        self._say = say
        self._service = AllocationService(directory / "allocation")
        own = {
            "SEATSTREAM_ROLES": "issue_purchases,allocate_purchases,schedule_slots",
            "SEATSTREAM_APP_ID": GROUP,
            "ADMIN_SERVICE_URL": self._service.url,
            "SEATSTREAM_ANSWER_SECRET": token_urlsafe(),
        }
        self._worker = Worker("issuing", where, directory, {**settings, **own})
        self._supervisor = Supervisor([self._worker], say)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start both, without waiting for them."""
        self._service.start()
        self._worker.start()

    def kill(self) -> None:
        """End the worker as a crash would, and start it again, without waiting for it."""
        self._say("kill -9 of the worker that issues; it starts again")
        self._worker.kill()
        self._worker.finish()
        self._worker.start()

    def revive(self) -> None:
        """Start the worker again where it ended itself; raises WorkerFailed for any other end."""
        self._supervisor.revive()

    def until_done(self) -> None:
        """Wait until all that is confirmed is issued and allocated; but not for ever."""
        end_s = monotonic() + DONE_S
        while not self.is_done():
            if monotonic() > end_s:
                self._say("not all is issued")
                return
            self.revive()
            sleep(LOOK_EVERY_S)

    def is_done(self) -> bool:
        """Say whether its topics are at rest, and nothing is to be asked of the service."""
        # What is issued is allocated later: so the questions are looked at behind that, and what
        # follows from their answers last.
        topics = PURCHASE_CONFIRMED, PURCHASE_CREATED
        return (
            not rest(self._where, GROUP, topics).behind
            and self._worker.metric(OPEN_INTENTS) == 0
            and not rest(self._where, GROUP, [SEATS_ALLOCATED]).behind
        )

    def leave(self) -> None:
        """Ask both to leave, without waiting for them."""
        for process in (self._worker, self._service):
            process.terminate()

    def stop(self) -> None:
        """Let both leave; may be called at any time, and again."""
        self.leave()
        for process in (self._worker, self._service):
            process.finish()
