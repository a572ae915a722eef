"""Refusals as RFC 9457 problems: one reason, one status, one sentence that says what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import orjson

from state.domain.reasons import ApiReason, Reason

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
"""Told with 429 and 503 where nothing better is known."""

AnyReason = Reason | ApiReason

# Which status and title each reason has; `docs/http-api.md` explains what a client does.
STATUS: Final[Mapping[AnyReason, tuple[int, str]]] = {
    Reason.UNKNOWN_SECTION: (404, "There is no such section"),
    Reason.UNKNOWN_RESERVATION: (404, "There is no such reservation"),
    # Not 403: whether somebody else's reservation exists is nobody's business.
    Reason.FORBIDDEN: (404, "There is no such reservation"),
    Reason.BAD_COUNT: (400, "So many seats cannot be asked for"),
    Reason.UNKNOWN_SEAT: (400, "There is no such seat"),
    Reason.BAD_LAYOUT: (400, "The layout cannot be used"),
    Reason.NOT_OPEN: (409, "The sale has not begun"),
    Reason.SALE_CLOSED: (409, "The sale is over"),
    Reason.SEAT_TAKEN: (409, "A seat is taken"),
    Reason.SOLD_OUT: (409, "Not enough seats are free"),
    Reason.NO_ADJACENT_SEATS: (409, "Not enough adjacent seats are free"),
    Reason.ORPHAN_SEAT: (409, "A single seat would be left over"),
    Reason.CANCELLED: (409, "The reservation was cancelled before it was made"),
    Reason.STALE_EPOCH: (409, "The reservation has changed meanwhile"),
    Reason.NOT_HELD: (409, "The reservation is not held"),
    Reason.ALREADY_SOLD: (409, "The seats are sold"),
    Reason.EXTENSION_CAP: (409, "The hold cannot be extended any further"),
    Reason.HOLD_LIMIT: (409, "The user holds too much already"),
    Reason.REFUND_DUE: (409, "Money has to be returned first"),
    Reason.PAYMENT_IN_PROGRESS: (409, "A payment is under way"),
    Reason.NOT_PRICED: (409, "The seats have no price"),
    Reason.LAPSED: (409, "The hold has lapsed"),
    Reason.PAYMENT_FAILED: (409, "The payment has failed"),
    Reason.ALREADY_REFUNDED: (409, "The money was given back"),
    Reason.NOT_PAID: (409, "There is no payment"),
    Reason.WRONG_AMOUNT: (409, "Another amount was paid than the seats cost"),
    Reason.WRONG_CURRENCY: (409, "It was paid in another currency"),
    Reason.NOT_BLOCKED: (409, "The seats are not blocked"),
    Reason.CONFLICT: (422, "The id stands for another request"),
    Reason.STATE_TOO_LARGE: (413, "The section's state would grow too large"),
    Reason.KEY_MISMATCH: (500, "An error of ours"),
    Reason.WRONG_PARTITION: (500, "An error of ours"),
    Reason.INTERNAL: (500, "An error of ours"),
    Reason.UNSPECIFIED: (500, "A reason that this release does not know"),
    ApiReason.PARTIAL_REFUND: (409, "There are no partial refunds"),
    ApiReason.CART_NEEDED: (409, "Seats of this event are held by carts"),
    ApiReason.NOT_DESCRIBED: (409, "Nobody has described this event"),
    ApiReason.UNAUTHENTICATED: (401, "A valid token is needed"),
    ApiReason.NOT_SIGNED: (400, "No signature that is believed here"),
    ApiReason.NOT_ALLOWED: (403, "The token does not allow this"),
    ApiReason.NOT_FOUND: (404, "There is nothing here"),
    ApiReason.METHOD_NOT_ALLOWED: (405, "The method does not apply here"),
    ApiReason.MALFORMED: (400, "The request cannot be understood"),
    ApiReason.NOT_ACCEPTABLE: (406, "No acceptable representation"),
    ApiReason.UNSUPPORTED_CONTENT: (415, "The body's type or coding is not supported"),
    ApiReason.BODY_TOO_LARGE: (413, "The body is too large"),
    ApiReason.BODY_TOO_SLOW: (408, "The body took too long to arrive"),
    ApiReason.TARGET_TOO_LONG: (414, "The path is too long"),
    ApiReason.HEAD_TOO_LARGE: (431, "The head of the request is too large"),
    ApiReason.HEAD_TOO_SLOW: (408, "The head of the request took too long to arrive"),
    ApiReason.TOO_MANY_REQUESTS: (429, "Too many requests"),
    ApiReason.OVERLOADED: (429, "Too many commands are under way"),
    ApiReason.BROKER_UNAVAILABLE: (503, "The log takes nothing at the moment"),
    ApiReason.NOT_READY: (503, "Not ready yet"),
    ApiReason.OWNER_UNREACHABLE: (503, "The owner of the record does not answer"),
    ApiReason.GATEWAY_UNAVAILABLE: (503, "The gateway takes no payments at the moment"),
    ApiReason.STALE: (409, "Nothing fresh enough is known"),
    ApiReason.NOT_YET: (409, "The version asked for has not arrived"),
    ApiReason.ANOTHER_LOG: (409, "What the token stands for is no longer in the log"),
    ApiReason.SEAT_LOCKED: (409, "Another buyer is about to hold a seat"),
    ApiReason.IDEMPOTENCY_KEY_MISSING: (400, "An idempotency key is needed"),
    ApiReason.IDEMPOTENCY_KEY_REUSED: (422, "The idempotency key stands for another request"),
    ApiReason.STILL_RUNNING: (409, "The first request with this key is still under way"),
    ApiReason.NO_WAITING_ROOM: (404, "The event has no waiting room"),
    ApiReason.ROOM_CLOSED: (409, "The waiting room takes nobody in"),
    ApiReason.ROOM_FULL: (503, "The waiting room has no turn left"),
    ApiReason.NO_LOTS: (409, "Nobody can stand by lot in the waiting room"),
    ApiReason.ROOM_UNREACHABLE: (503, "The waiting room cannot be reached"),
    ApiReason.WAITS_ELSEWHERE: (409, "The user waits for another event"),
    ApiReason.TURN_NOT_PROVED: (401, "The token proves no turn here"),
    ApiReason.ADMISSION_REQUIRED: (403, "The user has to be let in first"),
}

Header = tuple[str, str]


class Problem(Exception):
    """A refusal on its way to the client.

    detail:     one sentence that says what to do; nothing of the request is repeated in it.
    headers:    further headers; 429 and 503 get a Retry-After where it is not among them.
    extensions: further members of the body.

    Operator action: none; the client has its answer.
    """

    def __init__(
        self,
        status: int,
        reason: AnyReason,
        detail: str,
        *,
        headers: tuple[Header, ...] = (),
        **extensions: Any,
    ) -> None:
        super().__init__(f"{status} {reason.name}: {detail}")
        self.status = status
        self.reason = reason
        self.detail = detail
        self.extensions = extensions
        has_retry_after = any(name.lower() == "retry-after" for name, _ in headers)
        if status in {429, 503} and not has_retry_after:
            headers = (*headers, ("Retry-After", str(RETRY_AFTER_S)))
        self.headers = headers

    @classmethod
    def of(
        cls,
        reason: AnyReason,
        detail: str,
        *,
        headers: tuple[Header, ...] = (),
        **extensions: Any,
    ) -> "Problem":
        """Return the problem with the status that the table gives to its reason."""
        return cls(STATUS[reason][0], reason, detail, headers=headers, **extensions)

    def body(self, instance: str, correlation_id: str) -> bytes:
        """Return the JSON body.

        instance: path of the request.
        """
        return orjson.dumps(
            {
                "type": f"urn:seatstream:problem:{self.reason.name}",
                "title": STATUS[self.reason][1],
                "status": self.status,
                "detail": self.detail,
                "instance": instance,
                "reason": self.reason.name,
                "correlation_id": correlation_id,
                **self.extensions,
            }
        )


def retry_after(wait_ms: int) -> Header:
    """Return the header for a wait, in whole seconds and never 0."""
    return ("Retry-After", str(max(1, (wait_ms + 999) // 1000)))


ToldAs = Mapping[type[Exception], tuple[AnyReason, str]]
"""What to say of errors, by their kind: reason and detail."""


@contextmanager
def told_as(told: ToldAs) -> Iterator[None]:
    """Raise the Problem of each of these errors instead, by reason and detail.

    told: of a kind of error and one that is a case of it, the case stands first.
    """
    try:
        yield
    except tuple(told) as error:
        problem = next(told[kind] for kind in told if isinstance(error, kind))
        raise Problem.of(*problem) from error


def another_log(*sections: str) -> Problem:
    """Return the refusal of tokens of these sections that another history of the log gave out."""
    return Problem.of(
        ApiReason.ANOTHER_LOG,
        "The log was restored to before it: see what became of it, and ask without the token.",
        sections=list(sections),
    )


def bad(where: str, needed: str) -> NoReturn:
    """Raise the Problem (400) of one value; what the value was is not repeated."""
    raise Problem.of(
        ApiReason.MALFORMED,
        "Correct what `errors` names; see /docs.",
        errors=[{"where": where, "why": needed}],
    )
