"""A day of sales drawn by chance, over all roles on one partition: what the logs record.

Run as `support.logs.role_logs` says.
"""

import json
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from support.carts.carting import (
    best,
    cart_id_of,
    extend_cart,
    open_cart,
    party,
    pay_cart,
    release_cart,
)
from support.logs.role_logs import FOLDER, Form, flow, folded, ids_of, line_of
from support.payments.claims import SECRET, completed, signed
from support.payments.ledger import Ledger, said
from support.payments.paying import IDS, PODS
from support.seats.section_commands import (
    A,
    B,
    C,
    block,
    confirm,
    extend,
    hold,
    hold_chosen,
    identity,
    open_section,
    release,
    sale_window,
    start_payment,
    unblock,
)

from schemas.topics import (
    CART_COMMANDS,
    PAYMENT_COMMANDS,
    PAYMENT_COMPLETED,
    PURCHASE_CREATED,
    SEAT_UNLOCK,
    SECTION_COMMANDS,
)
from state.domain.carts.limits import UNLIMITED, Limits
from state.domain.carts.statuses import OnFailure
from state.domain.carts.values import Cart
from state.domain.keys import CART, PURCHASE, RESERVATION, split_part_id
from state.domain.purchases.values import Finding, Heard, Question
from state.domain.reservation import Reservation, Status
from state.records.carts import cart_of
from state.records.payments import PurchaseRecord, purchase_of
from state.records.reservation import read_reservation
from state.records.seat_codecs import SeatCodecs
from streams.driver import Pending, TopologyDriver
from streams.intents import Answer, Result
from streams.take_payments.questions import Asked, Word

One = TypeVar("One")

TURNS = 700
_HOLD_MS = 240_000
_PAYMENT_MS = 120_000
_FAILED = Answer(result=Result.FAILED, detail="no answer in time")
_AWAY = Answer(result=Result.NOT_DONE, detail="no connection", may_have_run=False)


class Day:
    """Everybody who sells, buys, is asked or errs; `chance` draws what they do."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        played, _ = flow(IDS)
        self.sources = [route.source for route in played]
        self.driver = TopologyDriver(played, relays=False)
        self.ledger = Ledger()
        self.seats = SeatCodecs.of(IDS)
        self.number = 0
        self.carts = 0
        self.answered: list[Pending] = []
        self.driver.advance(1)
        rows = "..........\n.....|.....\n........\n.........."
        for section, amounts in ((A, (4_500, 2_950, 0)), (B, (99_000,)), (C, ())):
            opened = open_section(
                rows,
                section=section,
                currency="EUR" if amounts else "",
                amounts=amounts,
                hold_ms=_HOLD_MS,
                payment_ms=_PAYMENT_MS,
            )
            self.driver.pipe(SECTION_COMMANDS.name, *opened)

    def turn(self) -> None:
        """Let somebody do something, and all roles what follows."""
        turns = [
            *[self.hold] * 4,
            *[self.ask_section] * 5,
            *[self.claim] * 4,
            *[self.open_cart] * 4,
            *[self.ask_cart] * 6,
            *[self.gateway] * 9,
            *[self.redis] * 4,
            *[self.service] * 4,
            *[self.of_payment] * 4,
            *[self.operate] * 2,
            self.rubbish,
            *[self.wait] * 3,
        ]
        self.chance.choice(turns)()
        while any(self.driver.relay(source, 0) for source in self.sources):
            pass

    def hold(self) -> None:
        self.number += 1
        rid = f"r{self.number}"
        who: dict[str, Any] = {
            "section": self.chance.choice([A, A, A, B, C]),
            "user": self._user(),
        }
        seats = [(self.chance.randrange(3), self.chance.randrange(6)) for _ in range(2)]
        wanted = hold(rid, self.chance.choice([1, 2]), **who)
        chosen = hold_chosen(rid, seats[: self.chance.choice([1, 1, 2])], **who)
        self.driver.pipe(SECTION_COMMANDS.name, *self.chance.choice([wanted, chosen]))

    def ask_section(self) -> None:
        """Have a buyer go on with what he holds; one in eight errs in its epoch."""
        if (one := self._any(self._reservations())) is None:
            return
        rid, who = one.reservation_id.decode(), self._who(one)
        epoch = self.chance.choice([one.epoch] * 7 + [one.epoch + 1])
        pairs = [
            *[start_payment(rid, epoch, parameters=b'{"token":"tok-1"}', **who)] * 5,
            extend(rid, epoch, **who),
            release(rid, epoch, **who),
            confirm(rid, epoch, **who),
        ]
        self.driver.pipe(SECTION_COMMANDS.name, *self.chance.choice(pairs))

    def claim(self) -> None:
        """Have another shop say that it was paid; it may err, lie, or say so again."""
        if (one := self._any(self._reservations())) is None:
            return
        rid, epoch = one.reservation_id.decode(), max(1, one.epoch)
        amount = max(1, one.amount - self.chance.choice([0, 0, 0, 0, 0, 1]))
        currency = self.chance.choice(["EUR"] * 8 + ["KRW"])
        order_id = f"{rid}.{epoch}.0"
        who: dict[str, Any] = {
            "section": one.section_id.decode(),
            "user": one.user_id.decode(),
            "gateway": self.chance.choice(["mock"] * 7 + ["other"]),
            "payment_id": self.chance.choice([f"ch_{order_id}"] * 7 + ["pay_1"]),
        }
        key, value = completed(rid, amount, epoch=epoch, currency=currency, **who)
        if self.chance.random() < 0.6:
            self.ledger.charge(order_id, amount)
        record = signed(key, value, self.chance.choice([SECRET] * 7 + [b"a stranger's secret"]))
        ids = (("correlation-id", b"shop-1"),) if self.chance.random() < 0.5 else ()
        topic = PAYMENT_COMPLETED.name
        self.driver.pipe(topic, key, value, headers=(*record.headers, *ids))

    def open_cart(self) -> None:
        user = self._user()
        own_id = cart_id_of(self.carts % 64, user, 1)
        self.carts += self.chance.random() < 0.9
        sections = self.chance.sample([A, B, C], self.chance.choice([1, 2, 2, 3]))
        items = [best(section, self.chance.choice([1, 1, 2])) for section in sections]
        if self.chance.random() < 0.25:
            # Larger than a row: it is parted inside the section, or over all that are named.
            items = [party(sections[0], self.chance.choice([4, 11]), *sections[1:])]
        rule = self.chance.choice([OnFailure.RELEASE, OnFailure.KEEP])
        limits = self.chance.choice([UNLIMITED, UNLIMITED, Limits(6, 2)])
        pair = open_cart(own_id, *items, user=user, on_failure=rule, limits=limits)
        self.driver.pipe(CART_COMMANDS.name, *pair)

    def ask_cart(self) -> None:
        """Have a buyer go on with a cart; one in eight has seen another sum."""
        carts = list(self._carts())
        if not carts:
            return
        own_id, cart = self.chance.choice(carts)
        user = cart.user_id.decode()
        held = [part.standing for part in cart.parts if part.status == Status.HELD]
        amount = sum(one.amount for one in held) + self.chance.choice([0] * 7 + [1])
        pairs = [
            *[pay_cart(own_id, amount, user)] * 6,
            extend_cart(own_id, f"wish-{self.chance.randrange(3)}", user),
            release_cart(own_id, user),
        ]
        self.driver.pipe(CART_COMMANDS.name, *self.chance.choice(pairs))

    def gateway(self) -> None:
        """Have the gateway answer a question that is due, or the one before once more."""
        if (pending := self._pending(PAYMENT_COMMANDS.name)) is None:
            return
        asked = Asked.of(pending.intent.payload)
        is_charge = asked.question == Question.CHARGE
        how = self.chance.choice(["as asked"] * 7 + ["declined", "lost", "away", "less", "open"])
        if how == "declined" and is_charge:
            self.ledger.declined.add(asked.order_id)
        if how == "away":
            self.driver.answer(pending, _AWAY)
        elif how == "open":
            self.driver.answer(pending, said(Word(Heard.OPEN)))
        elif asked.question == Question.REFUND and asked.order_id not in self.ledger.captured:
            self.driver.answer(pending, said(Word(Heard.NOT_FOUND)))
        else:
            word = self.ledger.do(asked, asked.amount - (how == "less"))
            self.driver.answer(pending, _FAILED if how == "lost" else said(word))

    def redis(self) -> None:
        if (pending := self._pending(SEAT_UNLOCK.name)) is not None:
            gone = Answer(result=Result.ANSWERED, payload=b"%d" % self.chance.randrange(3))
            self.driver.answer(pending, self.chance.choice([gone, gone, gone, _FAILED, _AWAY]))

    def service(self) -> None:
        """Have the allocation service answer what is due."""
        if (pending := self._pending(PURCHASE_CREATED.name)) is None:
            return
        # Without one it is told that an allocation has ended.
        own_id = json.loads(pending.intent.payload).get("purchase_id", "over")
        status = self.chance.choice(["approved", "approved", "active", "rejected"])
        payload = json.dumps({"allocation_id": f"al-{own_id[:4]}", "status": status}).encode()
        told = Answer(result=Result.ANSWERED, payload=payload)
        self.driver.answer(pending, self.chance.choice([told, told, told, _FAILED, _AWAY]))

    def of_payment(self) -> None:
        """Have a webhook come, a buyer want his money back, or an operator say what he found."""
        if (one := self._any(self._purchases())) is None:
            return
        rid = one.reservation_id.decode()
        order_id = f"{rid}.{one.epoch}.0"
        who: dict[str, Any] = {
            "user": one.user_id.decode(),
            "section": one.section.decode(),
        }
        findings = [Finding.REFUNDED, Finding.FOUND_UNPAID, Finding.LOOK_AGAIN]
        beside = [(other.gateway.decode(), other.payment_id.decode()) for other in one.others]
        about = self.chance.choice([*beside, ("", "")])
        values = [
            *[PODS.hint("mock", f"evt_{self.chance.randrange(4)}", order_id)] * 3,
            *[PODS.refund_requested(identity(rid, **who))] * 2,
            *[
                PODS.compensation_resolved(
                    identity(rid, **who), self.chance.choice(findings), *about
                )
            ]
            * 2,
        ]
        self.driver.pipe(PAYMENT_COMMANDS.name, rid.encode(), self.chance.choice(values))

    def operate(self) -> None:
        """Have an operator block a seat, free it, or say when the sale of a section ends."""
        section = self.chance.choice([A, C])
        seats = [(3, 9, 1)]
        ends_ms = self.chance.choice([0, self.driver.log_time_ms + 3_600_000])
        pairs = [
            block(seats, section=section),
            unblock(seats, section=section),
            sale_window(0, ends_ms, section=section),
        ]
        self.driver.pipe(SECTION_COMMANDS.name, *self.chance.choice(pairs))

    def rubbish(self) -> None:
        value = self.chance.choice([b"rubbish", b"", None])
        self.driver.pipe(self.chance.choice(self.sources), b"k", value)

    def wait(self) -> None:
        self.driver.advance(self.chance.choice([1_000, 15_000, 45_000]))

    def _user(self) -> str:
        return self.chance.choice(["ann", "ann", "bob", "cy"])

    def _who(self, one: Reservation) -> dict[str, Any]:
        user = self.chance.choice([one.user_id.decode()] * 9 + ["bob"])
        return {"section": one.section_id.decode(), "user": user}

    def _any(self, some: Iterator[One]) -> One | None:
        """Return one of the last, so that what was begun goes on."""
        found = list(some)
        return self.chance.choice(found[-8:]) if found else None

    def _pending(self, topic: str) -> Pending | None:
        due = self.driver.intents(topic, due=True)
        if self.answered and self.chance.random() < 0.08:
            again = [one for one in self.answered if one.topic == topic]
            return again[-1] if again else None
        if not due:
            return None
        self.answered.append(self.chance.choice(due))
        return self.answered[-1]

    def _reservations(self) -> Iterator[Reservation]:
        """Give the reservations that are no cart's, oldest first."""
        stored = self.driver.stored(SECTION_COMMANDS.name, 0)
        found = (
            read_reservation(self.seats, payload)
            for key, payload in stored.items()
            if key.startswith(RESERVATION) and split_part_id(key[1:]) is None
        )
        return iter(sorted(found, key=lambda one: one.decided_offset))

    def _carts(self) -> Iterator[tuple[str, Cart]]:
        for key, payload in self.driver.stored(CART_COMMANDS.name, 0).items():
            if key.startswith(CART):
                yield key[1:].decode(), cart_of(payload)

    def _purchases(self) -> Iterator[PurchaseRecord]:
        for key, payload in self.driver.stored(PAYMENT_COMMANDS.name, 0).items():
            if key.startswith(PURCHASE):
                yield purchase_of(payload)


def _record(release_name: str) -> None:
    day = Day(random.Random(11))
    for _ in range(TURNS):
        day.turn()
    played, _ = flow(IDS)
    for route in played:
        ids = ids_of(route, IDS)
        log = day.driver.log(route.source, 0)
        form = Form(release_name, {})
        lines: Sequence[object] = [
            {"source": route.source, "ids": ids},
            *(line_of(step) for step in folded(route, log, form)),
        ]
        file = FOLDER / route.role / f"{release_name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        texts = [json.dumps(line, separators=(",", ":")) for line in lines]
        file.write_text("\n".join(texts) + "\n", encoding="ascii")


if __name__ == "__main__":
    _record(sys.argv[1])
