"""What clients asked a pod over HTTP and what they were told, with the times of both.

Clients write it down while they buy; `scripts.auditing.http` judges it. Times are ns of the
machine's monotonic clock.
"""

import json
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import Any

STEM_CHARS = 26
# The status of a request whose client was cut off, or had no more patience.
NO_ANSWER = 0


class Act(Enum):
    """What was asked; PAY: to begin a payment, PAYMENT: how it stands, REFUND: the money back.

    CART: anything of a cart; its parts are in the answer.
    """

    LOOK = "look"
    RESERVE = "reserve"
    SHOW = "show"
    RELEASE = "release"
    EXTEND = "extend"
    PAY = "pay"
    PAYMENT = "payment"
    REFUND = "refund"
    CART = "cart"


class Kind(Enum):
    """What an answer means to who asked.

    OK:      it is done, or so it stands.
    REFUSED: it is not done, and will not be.
    PENDING: nobody knows: it may be done already, later, or never.
    """

    OK = "ok"
    REFUSED = "refused"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer.

    key:              idempotency key; correlation_id: of this request and no other.
    section:          asked about; empty for a look at several.
    quantity, seats:  of a reservation; without seats the best available.
    reservation_id:   of all acts but a look and a reservation.
    least_version:    demanded of a look at one section.
    waits:            asked for an answer that comes when something has happened.
    status:           of HTTP, NO_ANSWER for none.
    """

    act: Act
    invoked_ns: int
    returned_ns: int
    user: str
    event_id: int
    section: str = ""
    key: str = ""
    correlation_id: str = ""
    quantity: int = 0
    seats: tuple[tuple[int, int], ...] = ()
    reservation_id: str = ""
    least_version: int = 0
    waits: bool = False
    status: int = NO_ANSWER
    body: bytes = b""

    def document(self) -> dict[str, Any]:
        """Return the answer's JSON object; empty for anything else."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def kind(self, answer: Mapping[str, Any]) -> Kind:
        """Return what the answer means."""
        if self.status in {200, 201}:
            return Kind.OK
        if self.status == 202 or answer.get("reason") == "STILL_RUNNING":
            return Kind.PENDING
        # 503 is said of what was certainly not appended, of all other errors nobody knows.
        if 400 <= self.status < 500 or (self.status == 503 and "reason" in answer):
            return Kind.REFUSED
        return Kind.PENDING

    @property
    def stem(self) -> str:
        """Return what stands for user and key in the log."""
        digest = sha256(f"{self.user}\0{self.key}".encode()).digest()
        return b32encode(digest)[:STEM_CHARS].decode().lower()

    @property
    def latency_ms(self) -> float:
        return (self.returned_ns - self.invoked_ns) / 1e6


@dataclass(frozen=True, slots=True)
class Sighting:
    """A version of a section that somebody else read, so that a pod could have known it."""

    seen_ns: int
    event_id: int
    section: str
    version: int


@dataclass(slots=True)
class History:
    """All exchanges with one pod, and what else was seen meanwhile.

    sightings:   of the status topic.
    bound_ms:    age from which the pod calls its answers stale.
    final_view:  a look at the whole event when the log was at rest; empty for none.
    """

    event_id: int
    bound_ms: int
    exchanges: list[Exchange] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    final_view: bytes = b""
