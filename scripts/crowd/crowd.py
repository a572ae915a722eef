"""A crowd over HTTP: each enters, asks as often as told, buys once let in, and makes room.

Whoever gets no answer asks another pod; who
was given up enters again with the queue token, and has been lost.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import jwt

from scripts.crowd.fairness import Story
from scripts.processes.keys import DevelopmentKeys
from scripts.sale.web.browser import METHOD
from scripts.traffic.own_loop import OwnLoop
from streams.gateways.mock import NAME as GATEWAY

ENTER_WITHIN_S: Final = 10.0
RETRY_S: Final = 0.5
PATIENCE_S: Final = 20.0
FOLLOW_S: Final = 2
TRIES_MAX: Final = 200
AT_ONCE_MAX: Final = 200
SEATS_MAX: Final = 2
LATER: Final = frozenset({0, 429, 500, 502, 503, 504})
"""Statuses after which somebody asks again; 0 for no answer."""

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sale:
    """What is sold: an event of one section, at any of some pods."""

    event_id: int
    section: str
    pods: tuple[str, ...]


class Crowd(OwnLoop):
    """Everybody; users: names in any order.

    stories: what each was told, also while they ask.
    """

    def __init__(
        self, sale: Sale, users: Sequence[str], keys: DevelopmentKeys, *, seed: int
    ) -> None:
        super().__init__("crowd")
        self.stories = {user: Story() for user in users}
        self._sale = sale
        self._keys = keys
        self._seed = seed

    def close(self, within_s: float = 2 * PATIENCE_S) -> None:
        """Have nobody ask any more; who buys still finds out how it ends."""
        super().close(within_s)

    async def everybody(self) -> None:
        connector = aiohttp.TCPConnector(limit=AT_ONCE_MAX)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            for user, story in self.stories.items():
                draw = random.Random(f"{self._seed}-{user}")  # noqa: S311 - seeded
                visitor = Visitor(session, self._sale, user, self._keys.token(user), story, draw)
                group.create_task(visitor.visit(self))


class Visitor:
    """One of the crowd."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        sale: Sale,
        user: str,
        token: str,
        story: Story,
        draw: random.Random,
    ) -> None:
        self._session = session
        self._sale = sale
        self._user = user
        self._headers = {"Authorization": f"Bearer {token}"}
        self._story = story
        self._draw = draw
        self._queue_token: str | None = None
        self._position = 0
        self._numbers = 0

    async def visit(self, crowd: Crowd) -> None:
        """Wait until let in, or until all is sold; then buy."""
        await asyncio.sleep(self._draw.uniform(0, ENTER_WITHIN_S))
        told = await self._enter(crowd)
        while not crowd.is_over and told.get("state") != "ADMITTED":
            if told.get("sold_out"):
                return
            await asyncio.sleep(told.get("poll_after_ms", 1_000) / 1_000)
            told = await self._look(crowd)
            if told.get("state") == "NONE":
                self._story.lost += 1
                told = await self._enter(crowd)
        if told.get("state") == "ADMITTED":
            await self._buy(told["entry_token"])
            await self._insist("DELETE", self._room)

    @property
    def _room(self) -> str:
        return f"/v1/events/{self._sale.event_id}/waiting-room"

    async def _enter(self, crowd: Crowd) -> Answer:
        body = {} if self._queue_token is None else {"queue_token": self._queue_token}
        while not crowd.is_over:
            status, told = await self._ask("POST", self._room, json=body)
            if status in {200, 201}:
                return self._noted(told)
            await asyncio.sleep(RETRY_S)
        return {}

    async def _look(self, crowd: Crowd) -> Answer:
        while not crowd.is_over:
            status, told = await self._ask("GET", self._room)
            if status == 200:
                return self._noted(told)
            await asyncio.sleep(RETRY_S)
        return {}

    def _noted(self, told: Answer) -> Answer:
        story = self._story
        if token := told.get("queue_token"):
            self._queue_token = token
            story.turn = turn_of(token)
        if told["state"] == "WAITING":
            story.rises += 0 < self._position < told["position"]
            self._position = told["position"]
        elif told["state"] == "ADMITTED":
            turn = turn_of(told["entry_token"])
            story.turn = story.turn or turn
            story.let_in.add((turn, told["last_ms"]))
        return told

    async def _buy(self, entry_token: str) -> None:
        """Buy a seat or two, and see how that ends."""
        entry = {"Seatstream-Entry-Token": entry_token}
        for quantity in range(self._draw.randint(1, SEATS_MAX), 0, -1):
            path = f"/v1/events/{self._sale.event_id}/reservations"
            body = {"section": self._sale.section, "quantity": quantity}
            hold = await self._insist("POST", path, json=body, key=self._key(), headers=entry)
            place = hold.get("reservation_id")
            if place is None:
                continue
            hold = await self._until(place, {"REQUESTED"})
            if hold.get("status") == "HELD":
                payment = {"epoch": hold["epoch"], "method": METHOD, "gateway": GATEWAY}
                path = f"/v1/reservations/{place}/payments"
                await self._insist("POST", path, json=payment, key=self._key())
                ended = await self._until(place, {"REQUESTED", "HELD", "PAYING"})
                self._story.sold = ended.get("status") == "SOLD"
                return

    async def _until(self, place: str, on_the_way: set[str]) -> Answer:
        """Return how a reservation stands once it has come further."""
        told: Answer = {}
        for _ in range(TRIES_MAX):
            wait = {"Prefer": f"wait={FOLLOW_S}"}
            query = {"changed_from": told["outcome_id"]} if told.get("outcome_id") else {}
            path = f"/v1/reservations/{place}"
            status, told = await self._ask("GET", path, params=query, headers=wait)
            if status == 200 and told.get("status") not in on_the_way:
                return told
            if status != 200:
                await asyncio.sleep(RETRY_S)
        return {}

    async def _insist(self, method: str, path: str, **asked: Any) -> Answer:
        """Ask until the answer is certain; return it, or nothing where it is a refusal."""
        for _ in range(TRIES_MAX):
            status, told = await self._ask(method, path, **asked)
            if status not in LATER:
                return told if status < 300 else {}
            if told.get("reservation_id") or told.get("payment_id"):
                return told
            await asyncio.sleep(RETRY_S)
        return {}

    def _key(self) -> str:
        self._numbers += 1
        return f"{self._user}-{self._numbers}"

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        key: str = "",
        headers: dict[str, str] | None = None,
        **asked: Any,
    ) -> tuple[int, Answer]:
        """Return status and document of an answer by any pod; 0 and nothing without one."""
        headers = self._headers | (headers or {}) | ({"Idempotency-Key": key} if key else {})
        url = self._draw.choice(self._sale.pods) + path
        try:
            async with (
                asyncio.timeout(PATIENCE_S),
                self._session.request(method, url, headers=headers, **asked) as response,
            ):
                document = await response.json(content_type=None)
                return response.status, document if isinstance(document, dict) else {}
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return 0, {}


def turn_of(token: str) -> int:
    """Return the turn that one of our tokens tells of; nobody relies on it here."""
    claims = jwt.decode(token, options={"verify_signature": False})
    turn: int = claims["turn"]
    return turn
