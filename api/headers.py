"""Headers of requests that become commands: which wish it is, and how long the answer may take."""

from typing import Annotated

from fastapi import Depends, Header, Request

from api.commands.desk import Wait, wait_of
from api.commands.idempotency_keys import IdempotencyKey
from api.guard import pod_of

Key = Annotated[
    IdempotencyKey,
    Header(
        alias="Idempotency-Key",
        description="The same key and body get the same answer; a new one for each request. "
        'Plain or quoted: `abc` and `"abc"` are one key.',
    ),
]


async def _asked_wait(
    request: Request,
    _: Annotated[
        str | None,
        Header(alias="Prefer", description="`wait=N`: seconds that the answer may take."),
    ] = None,
) -> Wait:
    """Return how long the answer may take; a client may send several headers (RFC 7240)."""
    settings = pod_of(request).settings
    prefer = request.headers.getlist("prefer")
    return wait_of(prefer, settings.wait_ms, settings.wait_max_ms)


AskedWait = Annotated[Wait, Depends(_asked_wait)]
