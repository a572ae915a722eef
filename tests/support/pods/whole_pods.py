"""A pod of all parts in memory, with one event of one section, decided by the real handler."""

from types import SimpleNamespace
from typing import Any

from support.carts.carting import Carting
from support.pods.api_client import TrustingVerifier
from support.pods.carts_asked import CartLog
from support.pods.event_log import ENCODE, EventLog
from support.pods.reservation_pods import Seats, pod_over
from support.pods.told_seats import Owners, records
from support.records.event_values import event
from support.records.status_records import Fed, counts
from support.seats.section_commands import IDS
from support.waiting.model import ModelOfRoom
from support.waiting.rooms_in_memory import DeskInMemory

from api.admission.desk import WaitingDesk
from api.building import pod_of
from api.commands.cart_desk import CartDesk
from api.parts.booking import RedisBookingDesk
from api.pod import Pod
from state.domain.waiting.admission import RoomState

EVENT = 7


class AnyOwners(Owners):
    """Owners of seat maps who know of no reservation beyond what the pod has seen."""

    async def reservation(self, partition: int, reservation_id: bytes) -> None: ...

    async def get(self, topic: str, partition: int, store_key: bytes) -> None: ...

    async def keys(self, topic: str, partition: int, prefix: bytes, begin: bytes) -> list[bytes]:  # noqa: ARG002
        return []


def whole_pod(waiting: WaitingDesk | None = None, **of_event: object) -> Pod:
    """Return a pod of all parts with one event of one section; inside a running loop.

    waiting: its waiting rooms; by default one is open.
    of_event: fields of the event that are not as usual.
    """
    seats = Seats().open("." * 20)
    fed = Fed()
    fed.tell(counts(1, 20), event=EVENT)
    fed.heartbeat()
    log = EventLog()
    log.append(b"7", ENCODE(event(EVENT, **of_event)))
    owners: Any = AnyOwners()
    owners.tell(EVENT, "A", records(5, (0, 0)))
    decided = pod_over(seats, view=fed.view, wait_ms=20, wait_max_ms=20)
    descriptions: Any = log
    cart_log: Any = CartLog(Carting(("....",)))
    return pod_of(
        decided.settings,
        verifier=TrustingVerifier(),
        view=fed.view,
        outcomes=decided.outcomes,
        commands=decided.commands,
        desk=decided.desk,
        owners=owners,
        issued=owners,
        catalogue=log.catalogue(),
        descriptions=descriptions,
        ids=IDS,
        payments=decided.payments,
        carts=CartDesk(IDS, cart_log),
        waiting=waiting or waiting_for(EVENT),
        booking=EmptyQueue(),
    )


class EmptyQueue(RedisBookingDesk):
    """A booking queue that has no item, and takes none."""

    def __init__(self) -> None:
        super().__init__("")
        queue: Any = SimpleNamespace(look=_no_item)
        self.queue = queue


async def _no_item(_: str) -> None:
    return None


def waiting_for(event: int) -> DeskInMemory:
    """Return waiting rooms of which one is open; who is first there is let in."""
    desk = DeskInMemory()
    room = desk.rooms.models[event] = ModelOfRoom(state=RoomState.OPEN, cap=1)
    room.enter("first", 0)
    room.promote("p-1", 1, -1)
    return desk
