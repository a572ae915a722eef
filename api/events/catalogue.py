"""What every endpoint about events begins with: the catalogue, an event of it, the time."""

import time
from typing import Annotated

from fastapi import Depends, Request

from api.guard import pod_of
from api.pod import Pod
from api.standing import described
from api.web.problems import Problem
from api.web.waits import Caller
from state.domain.event import Event
from state.domain.reasons import ApiReason
from state.views.events.catalogue import Events


# On the loop: a function that is not async would cost a thread's turn for each request.
async def catalogue_of(request: Request) -> Events:
    """Return the pod's catalogue; raises Problem (503) until it was read once."""
    catalogue: Events = pod_of(request).catalogue
    if not catalogue.is_ready():
        raise Problem.of(
            ApiReason.NOT_READY, "This pod still reads what there is; ask again, or another."
        )
    return catalogue


Catalogue = Annotated[Events, Depends(catalogue_of)]


def now_ms() -> int:
    """Return this machine's clock, Unix ms; sections go by the brokers' clock alone."""
    return time.time_ns() // 1_000_000


async def known_event(pod: Pod, caller: Caller, event_id: int) -> Event:
    """Return what stands of an event.

    Raises Problem: 404 only where it is certain that nobody was told of one before this was asked,
    503 where the brokers do not tell in time.
    """
    catalogue: Events = pod.catalogue
    event = catalogue.get(event_id)
    if event is None:
        event, is_certain = await pod.waits.of(caller, lambda: described(pod, event_id))
        if event is None and not is_certain:
            raise Problem.of(
                ApiReason.NOT_READY,
                "The brokers do not tell yet whether there is one; ask again shortly.",
            )
    if event is None:
        raise Problem.of(ApiReason.NOT_FOUND, "There is no such event; see /v1/events.")
    return event
