"""One question to an owner, what its answer says, and why there may be no answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from state.owners.protocol import (
    OWNER_HEADER,
    PROGRESS_HEADER,
    path_to,
    path_to_keys,
    path_to_left_alone,
    unframed,
)

# Eight records of the largest size, with room to spare.
_ANSWER_BYTES_MAX: Final = 8 << 20


class OwnerNotReady(Exception):
    """The partition's owner cannot answer yet: it restores, or the partition changes hands."""


class OwnerUnreachable(Exception):
    """Nobody can be asked: no owner is known, it does not answer, or it refuses to.

    Operator action: look at the workers; when they run, at the token and the advertised address.
    """


class OwnersBusy(Exception):
    """An owner answers, but more is asked of it at once than it answers in time.

    Operator action: none as long as it passes; else more workers, or fewer clients that poll.
    """


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of an owner: some store keys, to list them, or what it leaves alone.

    topic, partition: of the owner's input. keys: whose payloads are wanted; of a listing, its
    prefix and where it begins; none to be told what is left alone.
    """

    topic: str
    partition: int
    keys: tuple[bytes, ...]
    is_listing: bool = False

    @property
    def path(self) -> str:
        if self.is_listing:
            return path_to_keys(self.topic, self.partition, *self.keys)
        if not self.keys:
            return path_to_left_alone(self.topic, self.partition)
        return path_to(self.topic, self.partition, self.keys)

    @property
    def count(self) -> int | None:
        """Return how many payloads an answer has; None for any number."""
        return None if self.is_listing or not self.keys else len(self.keys)


def payloads_in(
    owner: str, status: int, headers: Mapping[str, str], body: bytes, count: int | None, least: int
) -> list[bytes | None]:
    """Return what an owner's answer says.

    count: of the payloads that were asked for. least: every command below it must be in what is
    answered.
    """
    if status in {401, 403}:
        raise OwnerUnreachable(f"{owner} refuses look-ups: {status} {body[:100]!r}")
    if status in {421, 503}:
        raise OwnerNotReady(f"{owner}: {body[:100]!r}")
    answers = {200} if count is None else {200, 404}
    if status not in answers or OWNER_HEADER not in headers:
        # Somebody else listens there, or a newer worker.
        raise OwnerUnreachable(f"{owner} answers {status} {body[:100]!r}")
    if headers[OWNER_HEADER] != owner:
        raise OwnerNotReady(f"{headers[OWNER_HEADER]} answers in the place of {owner}")
    progress = headers.get(PROGRESS_HEADER, "")
    if not progress.isdecimal():
        raise OwnerUnreachable(f"{owner} does not say how far it has come: {progress!r}")
    if int(progress) < least:
        raise OwnerNotReady(f"{owner} has stored what is below {progress}, {least} is decided")
    if count == 1:
        return [body if status == 200 else None]
    payloads = unframed(body)
    if payloads is None or count not in {None, len(payloads)}:
        raise OwnerUnreachable(f"{owner} answers something else than {count} records")
    return payloads


async def body_of(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body of an answer, as far as it is within bounds."""
    body = await answer.content.read(_ANSWER_BYTES_MAX)
    while body and not answer.content.at_eof() and len(body) < _ANSWER_BYTES_MAX:
        part: Any = await answer.content.read(_ANSWER_BYTES_MAX - len(body))
        body += part
    return body
