"""What a buyer asks of a pod over HTTP, and writes down as a browser would show it."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

import aiohttp

from scripts.auditing.http_history import NO_ANSWER, Act, Exchange, History, Kind
from state.plans.seating import SeatingPlan

METHOD = "card"
PATIENCE_S = 20.0
TRIES_MAX = 60
RETRY_S = 0.25
RETURNED = 0.3
"""Share of the sales whose buyers want their money back."""

Answer = dict[str, Any]


class Shop:
    """What all buyers of one pod share.

    history:       every request and answer.
    is_last_call:  set when few seats are left: nobody hesitates any more.
    may_return:    set while somebody may want the money of a sale back.
    wants_cart:    set until somebody holds a cart: in a short sale too seats are wanted as one.
    stale_answers: look-ups that a pod called stale.
    """

    def __init__(self, plan: SeatingPlan, history: History) -> None:
        self.plan = plan
        self.history = history
        self.is_last_call = False
        self.may_return = False
        self.wants_cart = True
        self.stale_answers = 0

    @property
    def event_id(self) -> int:
        return self.history.event_id


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer wants to reserve, under one idempotency key. seats: none for the best."""

    index: int
    section: str
    quantity: int
    seats: tuple[tuple[int, int], ...]
    key: str

    def body(self) -> Answer:
        """Return the request's body."""
        if self.seats:
            seats = [{"row": row, "seat": seat} for row, seat in self.seats]
            return {"section": self.section, "seats": seats}
        return {"section": self.section, "quantity": self.quantity}


class Browser:
    """One user's: it asks, and repeats with the same idempotency key what is not certain."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        user: str,
        token: str,
        draw: random.Random,
        shop: Shop,
    ) -> None:
        self.draw = draw
        self._session = session
        self.user = user
        self._authorization = f"Bearer {token}"
        self.shop = shop
        self._numbers = 0

    def new_key(self) -> str:
        """Return a new idempotency key."""
        self._numbers += 1
        return f"{self.user}-{self._numbers}"

    async def insist(self, act: Act, method: str, path: str, **asked: Any) -> Answer:
        """Ask until the answer is certain; return it where it is a good one. asked: as `ask`."""
        for _ in range(TRIES_MAX):
            kind, answer = await self.ask(act, method, path, **asked)
            if kind is Kind.OK or answer.get("payment_id"):
                return answer
            if kind is Kind.REFUSED and not is_for_later(answer):
                break
            await asyncio.sleep(RETRY_S)
        return {}

    async def ask(
        self,
        act: Act,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json: Answer | None = None,
        prefer: str = "",
        patience_s: float = PATIENCE_S,
        **what: Any,
    ) -> tuple[Kind, Answer]:
        """Ask, write down what was asked and answered, and return what it means.

        what: further fields of the Exchange.
        """
        self._numbers += 1
        correlation_id = f"{self.user}.{self._numbers}"
        headers = {"Authorization": self._authorization, "X-Correlation-Id": correlation_id}
        if what.get("key"):
            headers["Idempotency-Key"] = what["key"]
        if prefer:
            headers["Prefer"] = prefer
        status, body = NO_ANSWER, b""
        invoked_ns = monotonic_ns()
        try:
            async with (
                asyncio.timeout(patience_s),
                self._session.request(
                    method, path, params=query, json=json, headers=headers
                ) as response,
            ):
                body = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            body = b""
        exchange = Exchange(
            act,
            invoked_ns,
            monotonic_ns(),
            self.user,
            self.shop.event_id,
            correlation_id=correlation_id,
            status=status,
            body=body,
            **what,
        )
        self.shop.history.exchanges.append(exchange)
        answer = exchange.document()
        return exchange.kind(answer), answer


def is_for_later(answer: Mapping[str, Any]) -> bool:
    """Say whether a refusal speaks of the pod and not of the request."""
    return answer.get("status") in {429, 503}
