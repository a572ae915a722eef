"""Buyers who use the HTTP API: they look, reserve, think again, pay, and want their money back.

A tenth of what they want they want in several sections as one: `scripts.sale.web.carts`.

They write down every request and answer for `scripts.auditing.http`. What an unknown answer stands
for they find out as a shop would: they ask again with the same idempotency key.
"""

import asyncio
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiohttp

from scripts.auditing.http_history import Act, History, Kind
from scripts.processes.keys import DevelopmentKeys
from scripts.sale.web import carts
from scripts.sale.web.browser import (
    METHOD,
    PATIENCE_S,
    RETRY_S,
    RETURNED,
    TRIES_MAX,
    Answer,
    Browser,
    Shop,
    Wish,
    is_for_later,
)
from scripts.traffic.own_loop import OwnLoop
from scripts.traffic.workload import chosen_seats
from state.plans.seating import SeatingPlan
from streams.gateways.mock import NAME as GATEWAY

BUYERS = 12
THINK_S = 0.1
# The patience of a buyer whose connection breaks.
CUT_OFF_S = 0.01
# Share of the payments that are watched.
WATCHED = 0.5
PAID = frozenset({"DONE", "FAILED", "EXPIRED", "REJECTED", "COMPENSATION_REQUIRED"})
GIVEN_BACK = frozenset({"REFUNDED", "COMPENSATION_REQUIRED"})


class WebBuyers(OwnLoop):
    """All HTTP buyers of one pod; they share a shop."""

    def __init__(
        self,
        plan: SeatingPlan,
        url: str,
        keys: DevelopmentKeys,
        history: History,
        *,
        seed: int,
    ) -> None:
        super().__init__("web-buyers")
        self.shop = Shop(plan, history)
        self._url = url
        self._keys = keys
        self._seed = seed

    async def everybody(self) -> None:
        async with (
            aiohttp.ClientSession(
                self._url, connector=aiohttp.TCPConnector(limit=2 * BUYERS)
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            for number in range(1, BUYERS + 1):
                user = f"web{number}"
                draw = random.Random(f"{self._seed}-{number}")  # noqa: S311 - seeded
                buyer = WebBuyer(session, user, self._keys.token(user), draw, self.shop)
                group.create_task(self._buy(buyer))

    async def _buy(self, buyer: "WebBuyer") -> None:
        while not self.is_over:
            await buyer.visit()
            await asyncio.sleep(buyer.draw.uniform(0, THINK_S))


class WebBuyer(Browser):
    """One user with a browser."""

    async def visit(self) -> None:
        """Look, reserve, and decide what becomes of it."""
        draw = self.draw
        known = await self._look()
        if not known:
            return
        if draw.random() < carts.SHARE or self.shop.wants_cart:
            wishes = self._wishes(known)
            if len(wishes) > 1:
                await carts.visit(self, wishes)
                return
        wish = self._wish(known)
        if wish is None:
            return
        hold = await self._reserve(wish)
        if hold is None or hold["status"] != "HELD":
            return
        if draw.random() < 0.3:
            await self._look_again(wish.section, hold["version"])
        await self._decide(wish, hold)

    def _wish(self, known: Mapping[str, Mapping[str, int]]) -> Wish | None:
        draw = self.draw
        names = [name for name in known if known[name]["free"]]
        # Somebody asks where nothing is left, too.
        if not names and draw.random() > 0.2:
            return None
        return self._wish_in(draw.choice(names or list(known)))

    def _wishes(self, known: Mapping[str, Mapping[str, int]]) -> list[Wish]:
        """Return what is wanted as one: something in a few sections that have seats left."""
        names = [name for name in known if known[name]["free"]]
        count = self.draw.randint(2, carts.SECTIONS_MAX)
        return [self._wish_in(name) for name in self.draw.sample(names, min(count, len(names)))]

    def _wish_in(self, name: str) -> Wish:
        draw, plan = self.draw, self.shop.plan
        index = [each.section for each in plan.sections].index(name)
        quantity = draw.choices((1, 2, 3, 4), (2, 5, 2, 2))[0]
        seats: tuple[tuple[int, int], ...] = ()
        if draw.random() < 0.2:
            seats = tuple(chosen_seats(draw, plan.sections[index], quantity))
            quantity = len(seats)
        return Wish(index, name, quantity, seats, self.new_key())

    # Looks.

    async def _look(self) -> Mapping[str, Mapping[str, int]]:
        """Return the counts of a few sections, or now and then of all, by section."""
        plan, draw = self.shop.plan, self.draw
        query = {}
        if draw.random() > 0.05:
            some = draw.sample(plan.sections, min(3, len(plan.sections)))
            query["sections"] = ",".join(each.section for each in some)
        _, answer = await self._look_at(query)
        return {entry["section"]: entry for entry in answer.get("sections", ())}

    async def _look_again(self, section: str, version: int) -> None:
        """See the own reservation in the counts."""
        query = {"sections": section, "min_version": str(version), "wait_ms": "2000"}
        await self._look_at(query, section=section, least_version=version, waits=True)

    async def _look_at(self, query: Mapping[str, str], **what: Any) -> tuple[Kind, Answer]:
        path = f"/v1/events/{self.shop.event_id}/availability"
        kind, answer = await self.ask(Act.LOOK, "GET", path, query=query, **what)
        self.shop.stale_answers += bool(answer.get("stale"))
        return kind, answer

    # Reservations.

    async def _reserve(self, wish: Wish) -> Answer | None:
        """Return the reservation as it stands when it is known; None for a refusal."""
        path = f"/v1/events/{self.shop.event_id}/reservations"
        what: dict[str, Any] = {
            "section": wish.section,
            "key": wish.key,
            "quantity": wish.quantity,
            "seats": wish.seats,
        }
        is_cut_off = self.draw.random() < 0.03
        for _ in range(TRIES_MAX):
            kind, answer = await self.ask(
                Act.RESERVE,
                "POST",
                path,
                json=wish.body(),
                patience_s=CUT_OFF_S if is_cut_off else PATIENCE_S,
                **what,
            )
            is_cut_off = False
            if kind is Kind.OK:
                await self._repeat(path, wish, what)
                return answer
            if kind is Kind.REFUSED and not is_for_later(answer):
                return None
            if kind is Kind.PENDING and "reservation_id" in answer:
                place = answer["reservation_id"]
                kind, answer = await self._show(place, wish.section, wait_s=2)
                if kind is Kind.OK:
                    return answer
            await asyncio.sleep(RETRY_S)
        return None

    async def _repeat(self, path: str, wish: Wish, what: Mapping[str, Any]) -> None:
        """Ask again with the same key, now and then, and rarely for something else with it."""
        chance = self.draw.random()
        if chance < 0.05:
            await self.ask(Act.RESERVE, "POST", path, json=wish.body(), **what)
        elif chance < 0.06:
            other = replace(wish, quantity=wish.quantity % 4 + 1, seats=())
            what = {**what, "quantity": other.quantity, "seats": ()}
            await self.ask(Act.RESERVE, "POST", path, json=other.body(), **what)

    async def _decide(self, wish: Wish, hold: Answer) -> None:
        """Pay, mostly; or cancel, ask for more time, forget."""
        draw, shop = self.draw, self.shop
        place, epoch = hold["reservation_id"], hold["epoch"]
        fate = 1.0 if shop.is_last_call else draw.random()
        if fate < 0.03:
            return  # forgotten: the hold will lapse
        if fate < 0.12:
            for _ in range(1 + (draw.random() < 0.2)):
                await self._insist(Act.RELEASE, "DELETE", place, wish.section)
            await self._show(place, wish.section)
            return
        if fate < 0.2:
            key = self.new_key()
            for _ in range(1 + (draw.random() < 0.2)):
                extended = await self._insist(
                    Act.EXTEND, "POST", f"{place}:extend", wish.section, key, {"epoch": epoch}
                )
                # A lapse may have come first; the till knows what to do about it.
                hold = {**hold, **extended}
        await self._pay(place, wish.section, epoch)
        if draw.random() < WATCHED:
            await self._watch(place, wish.section, PAID)
        ended = await self._follow(place, wish.section, hold["outcome_id"], {"SOLD", "RELEASED"})
        if ended.get("status") == "SOLD" and shop.may_return and draw.random() < RETURNED:
            await self._return(place, wish.section, ended["outcome_id"])

    async def _return(self, place: str, section: str, outcome_id: str) -> None:
        """Want the money back, and wait for it."""
        await self._insist(Act.REFUND, "POST", f"{place}:refund", section, self.new_key())
        if self.draw.random() < WATCHED:
            await self._watch(place, section, GIVEN_BACK)
        await self._follow(place, section, outcome_id, {"REFUNDED"})

    async def _pay(self, place: str, section: str, epoch: int) -> None:
        """Begin to pay; now and then twice with the same key."""
        key = self.new_key()
        for _ in range(1 + (self.draw.random() < 0.1)):
            await self._insist(
                Act.PAY,
                "POST",
                f"{place}/payments",
                section,
                key,
                {"epoch": epoch, "method": METHOD, "gateway": GATEWAY},
            )

    async def _follow(self, place: str, section: str, outcome_id: str, ends: set[str]) -> Answer:
        """Wait until a reservation has come to one of its ends; return how it stands."""
        answer: Answer = {}
        for _ in range(TRIES_MAX):
            _, answer = await self._show(place, section, wait_s=2, changed_from=outcome_id)
            if answer.get("status") in ends:
                break
            outcome_id = answer.get("outcome_id", outcome_id)
            if not answer:
                await asyncio.sleep(RETRY_S)
        return answer

    async def _watch(self, place: str, section: str, ends: frozenset[str]) -> None:
        """Wait until a payment has come to one of its ends."""
        revision = ""
        for _ in range(TRIES_MAX):
            _, answer = await self.ask(
                Act.PAYMENT,
                "GET",
                f"/v1/payments/{place}",
                query={"changed_from": revision} if revision else {},
                prefer="wait=2",
                section=section,
                reservation_id=place,
                waits=True,
            )
            if answer.get("status") in ends:
                break
            revision = answer.get("revision", "")
            if not revision:
                await asyncio.sleep(RETRY_S)

    async def _show(
        self, place: str, section: str, *, wait_s: int = 0, changed_from: str = ""
    ) -> tuple[Kind, Answer]:
        return await self.ask(
            Act.SHOW,
            "GET",
            f"/v1/reservations/{place}",
            query={"changed_from": changed_from} if changed_from else {},
            prefer=f"wait={wait_s}",
            section=section,
            reservation_id=place,
            waits=bool(wait_s),
        )

    async def _insist(
        self,
        act: Act,
        method: str,
        place: str,
        section: str,
        key: str = "",
        json: Answer | None = None,
    ) -> Answer:
        """Insist on something of a reservation; place: its id and what is asked of it."""
        return await self.insist(
            act,
            method,
            f"/v1/reservations/{place}",
            json=json,
            section=section,
            key=key,
            reservation_id=re.split("[:/]", place)[0],
        )
