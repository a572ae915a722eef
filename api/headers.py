"""What endpoints of buyers are given: who asks, for how long, under which key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Header, Query, Request, Response, params
from pydantic import BaseModel, ConfigDict

from api.access.identity import Identity
from api.commands.desk import Command, Wait, wait_of
from api.commands.idempotency_keys import IdempotencyKey
from api.commands.payment_way import RefundWish
from api.guard import Buyer, LimitKind, limited, pod_of
from api.pod import Pod
from api.web.answers import json_answer
from api.web.problems import Header as ProblemHeader
from api.web.problems import Problem
from api.web.requests import Receive
from api.web.waits import Caller, Waiting
from infra.process.log_lines import Correlation
from infra.process.record_ids import record_headers
from state.domain.keys import section_key, stem_of
from state.domain.outcome import OutcomeKind
from state.domain.reasons import ApiReason
from state.redis.idempotency import Use, digest_of

T = TypeVar("T")

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

ChangedFrom = Annotated[
    str | None, Query(max_length=200, description="A revision: wait until it is another.")
]


class NothingElse(BaseModel):
    """The body of a request that its address says all of: none, or an empty object."""

    model_config = ConfigDict(extra="forbid", strict=True)


COME_BACK: Final[ProblemHeader] = ("Retry-After", "1")


@dataclass(frozen=True, slots=True)
class Asked:
    """A buyer's request: who asks, the pod that answers, and how long the answer may take.

    receive: tells when the client has gone.
    """

    who: Identity
    pod: Pod
    wait: Wait
    correlation: Correlation
    receive: Receive

    async def until(self, waiting: Waiting[T]) -> T:
        """Wait as one of this buyer's requests that wait; raises Problem where they are many."""
        return await self.pod.waits.of(Caller(self.who.user_id, self.receive), waiting)

    def stem(self, key: str) -> str:
        """Return what this buyer's idempotency key stands for."""
        return stem_of(self.who.user_id, key)

    def identity(self, reservation_id: str, where: tuple[int, str], correlation: str) -> bytes:
        """Return the first fields of a command for a reservation; where: event and section."""
        event_id, section = where
        return self.pod.desk.encoders.identity(
            reservation_id, self.who.user_id, section, event_id, correlation
        )

    def command(
        self,
        reservation_id: str,
        where: tuple[int, str],
        value: bytes,
        kinds: frozenset[OutcomeKind],
        correlation: str,
    ) -> Command:
        """Return a command for a reservation; where: event and section. Others as of Command."""
        key = section_key(*where)
        return Command(
            reservation_id.encode(),
            key,
            self.pod.desk.partition_of(key),
            value,
            kinds,
            correlation.encode(),
            record_headers(self.correlation),
        )

    async def use(self, stem: str, wish: Mapping[str, Any]) -> Use:
        """Take a key for a wish; raises Problem (422) where it stands for another."""
        return await _used(self.pod, stem, wish)

    async def nothing_decided(self, stem: str, use: Use) -> None:
        """Let a key stand for nothing where its wish is refused before the log is asked."""
        if use is Use.FIRST:
            await self.pod.desk.keys.give_back(stem)

    async def check_gateway(self, stem: str, payment_id: str, gateway: str) -> None:
        """Raise Problem (503) where a payment that nobody has begun could not be made now.

        Ask before the stem is used. One that was used may stand for a payment that is in the
        log, undecided: it is taken again, and the log knows it for a repeat.
        """
        problem = await self.pod.payments.refusal(payment_id, gateway)
        if problem is not None and await self.pod.desk.keys.is_unused(stem):
            raise problem


async def _by_buyer(request: Request, who: Buyer, wait: AskedWait) -> Asked:
    return Asked(who, pod_of(request), wait, request.state.correlation, request.receive)


ByBuyer = Annotated[Asked, Depends(_by_buyer)]


@dataclass(frozen=True, slots=True)
class AskedRefund:
    """A buyer who wants all of the money of a payment back; stem: of the idempotency key."""

    who: Identity
    pod: Pod
    stem: str
    correlation: Correlation

    async def tell(self, payment_id: str, partition: int, section: str, event_id: int) -> None:
        """Have payments told, on the partition that has this one; raises Problem.

        422 where the key stands for another wish, as far as Redis remembers.
        """
        await _used(self.pod, self.stem, {"refund": payment_id})
        identity = self.pod.desk.encoders.identity(
            payment_id, self.who.user_id, section, event_id, self.stem
        )
        value = self.pod.payments.encoders.refund_requested(identity)
        await self.pod.payments.tell(payment_id, partition, value, self.correlation)


async def _by_refund(
    request: Request, who: Buyer, key: Key, wish: RefundWish | None = None
) -> AskedRefund:
    if wish is not None:
        wish.check_whole()
    stem = stem_of(who.user_id, key)
    return AskedRefund(who, pod_of(request), stem, request.state.correlation)


ByRefund = Annotated[AskedRefund, Depends(_by_refund)]


async def _used(pod: Pod, stem: str, wish: Mapping[str, Any]) -> Use:
    """Take a key for a wish; raises Problem (422) where it stands for another."""
    use = await pod.desk.keys.use(stem, digest_of(wish))
    if use is Use.OTHER:
        raise reused()
    return use


def reused() -> Problem:
    """Return the problem of an idempotency key that stands for another wish."""
    return Problem.of(
        ApiReason.IDEMPOTENCY_KEY_REUSED, "Use a new key for each different request."
    )


def still_running(place: str, **named: str) -> Problem:
    """Return the problem of a wish that is asked for again before anybody knows what became of it.

    place: where it is shown. named: the id of what was asked for.
    """
    return Problem.of(
        ApiReason.STILL_RUNNING,
        "Ask at Location, or again with the same key.",
        headers=(("Location", place), COME_BACK),
        **named,
    )


def decided_as(
    model: Any, model_before: Any, kind: LimitKind, *demands: params.Depends
) -> dict[str, Any]:
    """Return what a command's endpoint says of itself: its answers, and the limit it counts for.

    model: of what was decided; model_before: of an answer that comes before the decision.
    demands: what is demanded beside.
    """
    description = "Taken, not decided yet: ask at Location after Retry-After seconds."
    return {
        "response_model": model,
        "responses": {202: {"model": model_before, "description": description}},
        "dependencies": [*limited(kind), *demands],
    }


def taken(place: str, body: Any, headers: tuple[ProblemHeader, ...]) -> Response:
    """Return the answer to a wish that is in the log; place: where it is shown."""
    return json_answer(body, 202, (("Location", place), COME_BACK, *headers))
