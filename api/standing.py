"""How a reservation or an event stands, by whoever knows: this pod's memory, owners, brokers."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated, Final

from fastapi import Header, Request, params

from api.access.identity import Identity
from api.admission.passes import PASS_BYTES_MAX
from api.commands.desk import own_outcome
from api.guard import ENTRY_TOKEN, Buyer, pod_of
from api.pod import Pod
from api.web.ids import EventIdInPath
from api.web.problems import Problem, ToldAs, told_as
from api.web.waits import CERTAIN_S
from schemas.topics import SECTION_COMMANDS
from state.domain.carts.limits import UNLIMITED, Limits
from state.domain.event import Event
from state.domain.keys import split_issued_id
from state.domain.outcome import Outcome, ReservationView, as_stored, moves, newer_view
from state.domain.reasons import ApiReason, Reason
from state.kafka.command_log import NotAppended
from state.owners.questions import OwnerNotReady, OwnerUnreachable

_NO_RESERVATION: Final = "There is none, or none of yours; a pending one may be there later."

_STARTING: Final = (
    ApiReason.NOT_READY,
    "Its keeper is starting or changing; ask again shortly.",
)
UNANSWERED: Final[ToldAs] = {
    NotAppended: _STARTING,
    OwnerNotReady: _STARTING,
    OwnerUnreachable: (
        ApiReason.OWNER_UNREACHABLE,
        "Its keeper does not answer; ask again shortly.",
    ),
}
"""What to say where an owner does not."""


async def standing_of(pod: Pod, reservation_id: str) -> ReservationView | None:
    """Return how a reservation stands: from memory where that is fresh, else from its owner.

    None only where it is certain that no pod told anybody of it before this was asked. Raises
    Problem (503) where nobody who knows can be asked.
    """
    parts = split_issued_id(reservation_id)
    if parts is None:
        return None
    key, feed = reservation_id.encode(), pod.outcomes
    asked_ns = feed.now_ns()
    if feed.staleness_ms() <= pod.settings.stale_after_ms:
        view = feed.get(key)
        if view is not None:
            return view
    decided = feed.decided(parts.partition)
    view = await _stored(pod, parts.partition, key)
    if view is None and parts.partition < pod.commands.partitions:
        # Another pod may have told what has reached neither the owner's store nor us.
        if not await feed.knows_since(parts.partition, asked_ns, CERTAIN_S):
            raise Problem.of(
                ApiReason.NOT_READY,
                "The brokers do not tell yet whether there is one; ask again shortly.",
            )
        view = feed.get(key)
        if view is None and feed.decided(parts.partition) > decided:
            view = await _stored(pod, parts.partition, key)
    return view


async def awaited(
    pod: Pod, reservation_id: str, is_met: Callable[[ReservationView], bool], wait_s: float
) -> ReservationView | None:
    """Return how a reservation stands as soon as that is as demanded, or when time is over."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    # Registered before it is read: what is decided in between is told.
    with pod.outcomes.waiting(reservation_id.encode()) as waiter:
        view = await standing_of(pod, reservation_id)
        while view is None or not is_met(view):
            if await own_outcome(waiter, is_news, until_s - loop.time()) is None:
                break
            view = await standing_of(pod, reservation_id)
    return view


def is_news(outcome: Outcome) -> bool:
    """Say whether a reservation may stand otherwise after an outcome."""
    return moves(outcome.kind, outcome.reason)


def own(view: ReservationView | None, who: Identity) -> ReservationView:
    """Return a reservation of this user; raises Problem (404) for none and for others'."""
    if view is None or view.user_id != who.user_id:
        raise unknown()
    return view


def unknown() -> Problem:
    """Return the refusal of an id that is none of this user's reservations."""
    return Problem.of(Reason.UNKNOWN_RESERVATION, _NO_RESERVATION)


async def _stored(pod: Pod, partition: int, key: bytes) -> ReservationView | None:
    """Return how a reservation stands by its owner's word, or by ours where that is newer."""
    with told_as(UNANSWERED):
        if partition >= pod.commands.partitions:
            return None
        held = await pod.owners.reservation(partition, key)
    if held is None:
        return None
    stored = as_stored(held, f"{SECTION_COMMANDS.name}:{partition}:")
    view = newer_view(stored, pod.outcomes.get(key))
    pod.outcomes.told(view.outcome_id.encode())
    return view


async def described(pod: Pod, event_id: int) -> tuple[Event | None, bool]:
    """Return what stands of an event, and whether that is certain.

    None is certain where nobody was told of one before this was asked; not where the brokers do
    not tell in time, nor where what they have cannot be read.
    """
    event: Event | None = pod.catalogue.get(event_id)
    if event is not None:
        return event, True
    # Another pod may have told what has not reached us.
    is_certain = await pod.catalogue.certain(event_id, CERTAIN_S)
    event = pod.catalogue.get(event_id)
    return event, is_certain or event is not None


async def limits_of(pod: Pod, event_id: int, sections: Iterable[str]) -> Limits:
    """Return what an event allows each buyer; raises Problem where this pod cannot know.

    Limits never change, so what is known of them is true however old it is; and they are told
    before any section of their event is open. So an event that nobody has described has none, and
    once a section of it was open it never will.

    sections: those that are asked for.
    """
    event: Event | None = pod.catalogue.get(event_id)
    if event is not None:
        return event.limits
    if event_id in pod.unlimited:
        return UNLIMITED
    is_open = any(pod.view.knows(event_id, section) for section in sections)
    event = await _described_for_sure(pod, event_id)
    if event is None and is_open:
        pod.unlimited.add(event_id)
    return UNLIMITED if event is None else event.limits


async def _described_for_sure(pod: Pod, event_id: int) -> Event | None:
    """Return what stands of an event; raises Problem where this pod cannot know.

    None where nobody has described it: opened by commands alone, or its description is lost, with
    what it demands. No pod can tell these two apart, so an operator who describes all events says
    so, and nothing of another is held.
    """
    event, is_certain = await described(pod, event_id)
    if event is None and pod.catalogue.is_unreadable(event_id):
        raise Problem.of(ApiReason.NOT_READY, "This pod cannot read what the event allows.")
    if event is None and not is_certain:
        raise Problem.of(
            ApiReason.BROKER_UNAVAILABLE, "They do not tell what the event allows; ask again."
        )
    if event is None and pod.settings.described_only:
        raise Problem.of(
            ApiReason.NOT_DESCRIBED,
            "What it allows is not known, so nothing of it is held. Where it is sold, an operator"
            " opens it again with what it was opened with: that changes nothing else.",
        )
    return event


async def _admitted(
    request: Request,
    event_id: EventIdInPath,
    identity: Buyer,
    entry_token: Annotated[
        str | None,
        Header(
            alias=ENTRY_TOKEN,
            max_length=PASS_BYTES_MAX,
            description="As the event's waiting room gave it out; where the event demands one.",
        ),
    ] = None,
) -> None:
    """Demand that a buyer was let in, where the event demands it; raises Problem."""
    await check_admission(pod_of(request), event_id, identity.user_id, entry_token)


async def check_admission(pod: Pod, event_id: int, user_id: str, entry_token: str | None) -> None:
    """Raise Problem unless a user was let in, or the event demands no such thing."""
    event: Event | None = pod.catalogue.get(event_id)
    if event is None and event_id not in pod.unlimited:
        # Not known is not no.
        event = await _described_for_sure(pod, event_id)
    if event is not None and event.admission_required:
        await pod.waiting.check_admitted(event_id, user_id, entry_token)


ADMITTED: Final = [params.Depends(_admitted)]
"""What who asks for seats of an event has to be, where the event demands it."""
