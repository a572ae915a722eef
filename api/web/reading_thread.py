"""Answers in the thread that reads requests what needs no event loop.

granian reads requests in a thread of its own and hands each one to the event loop, which costs
more than a look-up does, and has a look-up wait for whatever the loop is doing. It knows no way
to leave that out: what is leaned on here is named by a test, and the version is pinned.
"""

from collections.abc import Callable
from typing import Any

from granian import _futures

from api.web.requests import Message, Scope

Quick = Callable[[Scope], tuple[Message, Message] | None]
"""Returns the two messages of an answer, or None at once: it blocks on nothing."""

_schedule_of: Callable[..., Callable[[Any], None]] = _futures._cbsched_aioschedule


def answer_where_read(quick: Quick) -> None:
    """Have servers that start in this process from now on ask `quick` first.

    Requests that it returns None for are handed to the event loop as ever.
    """

    def schedule_of(*args: Any) -> Callable[[Any], None]:
        hand_over = _schedule_of(*args)

        def schedule(request: Any) -> None:
            messages = quick(request.scope)
            if messages is None:
                hand_over(request)
                return
            try:
                # Both act at once; what they return is for those who wait.
                request.proto.send(messages[0])
                request.proto.send(messages[1])
            except Exception as error:  # noqa: BLE001  (the server's to tell)
                request.err(error)
            else:
                request.done()

        return schedule

    _futures._cbsched_aioschedule = schedule_of
