"""A command in; its committed outcome out, or that it is pending, or why it was not taken.

The order is what makes it safe: first the waiter, then the record, then the wait. Nothing decided
after the record was appended can be missed, and nothing of the waiter is left when the answer is
given, whatever happened.
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from api.parts.part import Part
from api.web.metrics import ApiMetrics
from api.web.problems import Header, Problem
from api.web.requests import Receive
from api.web.room import Room
from api.web.waits import while_here
from infra.process.failpoints import Failpoints
from infra.process.metrics import Reading
from serdes.registry.ids import SchemaIds
from state.domain.outcome import Outcome, OutcomeKind
from state.domain.reasons import ApiReason
from state.kafka.command_log import AppendUnknown, CommandLog, NotAppended, TooLarge
from state.records.commands import CommandEncoders
from state.redis.idempotency import IdempotencyKeys
from state.views.outcomes.feed import OutcomeFeed
from state.views.outcomes.waiters import OutcomeWaiter, WaitsEnded

AFTER_SEND: Final = "api.after_send"
FAILPOINTS: Final = (AFTER_SEND,)

APPEND_WAIT_S: Final = 1.0
"""Shortest wait for the brokers' word, even where nobody waits for the outcome."""

FOR_EVER_S: Final = 86_400.0

SECTION_SHARE: Final = 4
"""One section may take one part in so many of the commands that a pod has under way."""

T = TypeVar("T")

# What stands between quotes may hold commas.
_PREFERENCE: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")*')
_WAIT: Final = re.compile(r'\s*wait\s*=\s*("?)([0-9]{1,9})\1\s*(?:;|$)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long an answer may take, and the headers that say so."""

    seconds: float
    headers: tuple[Header, ...]


def wait_of(prefer: Sequence[str], default_ms: int, max_ms: int) -> Wait:
    """Return the wait that Prefer asks for (RFC 7240), bounded by `max_ms`.

    prefer: values of the header; one without a wait, or with a bad one, means the default.
    """
    waits = map(_WAIT.match, _preferences(",".join(prefer)))
    found = next(filter(None, waits), None)
    if found is None:
        return Wait(default_ms / 1000, ())
    seconds = min(int(found[2]), max_ms // 1000)
    return Wait(seconds, (("Preference-Applied", f"wait={seconds}"),))


def _preferences(text: str) -> list[str]:
    """Return the members of a list; none where a quote has no end."""
    found, at = [], 0
    while True:
        member = _PREFERENCE.match(text, at)
        assert member is not None
        found.append(member[0])
        at = member.end() + 1
        if at > len(text):
            return found
        if text[at - 1] != ",":
            return []


@dataclass(frozen=True, slots=True)
class Command:
    """A command on its way.

    kinds:       outcomes that can be its own, apart from a refusal of the command.
    correlation: the one in `value`; tells our refusal from that of another command for the same
                 reservation while its place in the log is not known.
    """

    reservation_id: bytes
    section_key: bytes
    partition: int
    value: bytes
    kinds: frozenset[OutcomeKind]
    correlation: bytes
    headers: tuple[tuple[str, bytes], ...]


class CommandDesk(Part):
    """Where handlers hand commands in.

    encoders: values of commands; keys: who came first under an idempotency key.
    partitions_fault: says why no command may be appended to the topics as they are; mostly empty.
    """

    name = "desk"

    def __init__(
        self,
        ids: SchemaIds,
        commands: CommandLog,
        outcomes: OutcomeFeed,
        metrics: ApiMetrics,
        *,
        in_flight_max: int,
        keys: IdempotencyKeys | None = None,
        failpoints: Failpoints | None = None,
    ) -> None:
        self.encoders = CommandEncoders(ids)
        self.commands = commands
        self.outcomes = outcomes
        self.keys = keys or IdempotencyKeys("")
        # Memory stays bounded, and one section cannot take it all.
        self.in_flight: Room[bytes] = Room(
            in_flight_max,
            "This pod has enough to do; ask again shortly, or another.",
            max(1, in_flight_max // SECTION_SHARE),
            "Too many want this section at once; ask again shortly.",
        )
        self.partitions_fault: Callable[[], str] = lambda: ""
        self._metrics = metrics
        self._failpoints = failpoints or Failpoints("", FAILPOINTS)

    async def close(self) -> None:
        await self.keys.close()

    def readings(self) -> Iterator[Reading]:
        yield ApiMetrics.commands_overloaded, self.in_flight.refused
        yield ApiMetrics.idempotency_unknown, self.keys.unknown

    def partition_of(self, section_key: bytes) -> int:
        """Return the partition of a section; raises Problem (503) until the pod is ready."""
        if not self.outcomes.is_ready():
            raise Problem.of(ApiReason.NOT_READY, "This pod is starting; ask again, or another.")
        if self.partitions_fault():
            # A section would get a second writer, who knows nothing of what the first one sold.
            raise Problem.of(
                ApiReason.NOT_READY, "Nothing is sold until the operator has mended the topics."
            )
        try:
            return self.commands.partition_of(section_key)
        except NotAppended as error:
            raise _unavailable() from error

    async def decided(
        self, command: Command, wait_s: float, receive: Receive | None = None
    ) -> Outcome | None:
        """Append a command and return its outcome, or None while that is pending.

        None also where nobody knows whether the record was appended: it may yet be decided.
        Raises Problem: 429 when too many are under way, 503 when it was certainly not appended,
        413 when it never will be.

        receive: tells when the client has gone; from `APPEND_WAIT_S` on nobody waits for it any
                 more then, and ClientGone is raised. The command stays on its way.
        """
        began_s = time.perf_counter()
        with (
            self.in_flight.of(command.section_key),
            self._metrics.commands_in_flight.track_inprogress(),
            self.outcomes.waiting(command.reservation_id) as waiter,
        ):
            appending = asyncio.ensure_future(self._append(command))
            # An outcome proves more than the brokers' word, which may be lost.
            telling = asyncio.ensure_future(own_outcome(waiter, _settles(command), FOR_EVER_S))
            try:

                async def first_word(timeout_s: float) -> bool:
                    words = {appending, telling}
                    done, _ = await asyncio.wait(
                        words, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
                    )
                    return bool(done)

                await _patiently(first_word, max(wait_s, APPEND_WAIT_S), receive)
                outcome = telling.result() if telling.done() else None
                if outcome is None:
                    telling.cancel()
                    offset = appending.result() if appending.done() else None
                    left_s = wait_s - (time.perf_counter() - began_s)
                    outcome = await _patiently(
                        partial(own_outcome, waiter, _answers(command, offset)), left_s, receive
                    )
            finally:
                telling.cancel()
                appending.cancel()
                # Awaited, so that neither outlives the request or complains that nobody asked.
                await asyncio.gather(telling, appending, return_exceptions=True)
        if outcome is not None:
            # The memory of reservations may be older than what the waiter heard.
            self.outcomes.told(outcome.outcome_id)
            self._metrics.outcome_seconds.observe(time.perf_counter() - began_s)
        return outcome

    async def _append(self, command: Command) -> int | None:
        """Return the offset of the record, or None where nobody knows it."""
        began_s = time.perf_counter()
        try:
            appended = await self.commands.send(
                command.section_key,
                command.value,
                partition=command.partition,
                headers=command.headers,
            )
        except TooLarge as error:
            raise Problem.of(ApiReason.BODY_TOO_LARGE, "Ask for less at once.") from error
        except NotAppended as error:
            raise _unavailable() from error
        except AppendUnknown:
            return None
        finally:
            self._metrics.produce_seconds.observe(time.perf_counter() - began_s)
        self._failpoints.reach(AFTER_SEND)
        return appended.offset


async def _patiently(
    attempt: Callable[[float], Coroutine[Any, Any, T]], wait_s: float, receive: Receive | None
) -> T:
    """Return what an attempt of so many seconds brings, as long as the client is there.

    Most commands are answered within `APPEND_WAIT_S`: only for the others is the client watched.
    """
    found = await attempt(min(wait_s, APPEND_WAIT_S))
    left_s = wait_s - APPEND_WAIT_S
    if found or left_s <= 0:
        return found
    rest = attempt(left_s)
    return await (rest if receive is None else while_here(receive, rest))


def _settles(command: Command) -> Callable[[Outcome], bool]:
    """Return what tells an outcome of a command that is no refusal of it."""

    def is_own(outcome: Outcome) -> bool:
        if outcome.kind not in command.kinds:
            return False
        # The log knows an extension by its correlation id, and may tell of others meanwhile.
        is_extension = outcome.kind is OutcomeKind.EXTENDED
        return not is_extension or outcome.correlation_id == command.correlation

    return is_own


def _answers(command: Command, offset: int | None) -> Callable[[Outcome], bool]:
    """Return what tells any outcome of a command; offset: where it lies, if that is known."""
    settles = _settles(command)

    def is_own(outcome: Outcome) -> bool:
        if outcome.kind is not OutcomeKind.REFUSED:
            return settles(outcome)
        if offset is None:
            return outcome.correlation_id == command.correlation
        return outcome.command_offset == offset

    return is_own


async def own_outcome(
    waiter: OutcomeWaiter, accepts: Callable[[Outcome], bool], wait_s: float
) -> Outcome | None:
    """Return the first outcome that is accepted, or None when time is over or the pod ends."""
    try:
        # Even where no time is left, what has come already is looked at.
        async with asyncio.timeout(max(wait_s, 0.0)):
            return await waiter.first(accepts)
    except (TimeoutError, WaitsEnded):
        return None


def _unavailable() -> Problem:
    return Problem.of(
        ApiReason.BROKER_UNAVAILABLE,
        "Nothing was accepted; ask again with the same idempotency key.",
    )
