"""Both handlers, a gateway that loses answers, buyers in any order: seats and money add up."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.payments.deadly import Deadly, dying
from support.payments.ledger import SLOW_MS, Ledger
from support.payments.paying import BY_NAME, CODECS, IDS, PODS
from support.seats.section_commands import CODECS as SEAT_CODECS
from support.seats.section_commands import (
    A,
    claim_payment,
    confirm,
    extend,
    hold,
    identity,
    open_section,
    release,
    start_payment,
    tick,
)

from schemas.topics import PAYMENT_COMMANDS, SECTION_COMMANDS
from state.domain.keys import PURCHASE, RESERVATION
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Finding, Question
from state.domain.reservation import Later, Reservation, Status
from state.records.cart_codecs import CartCodecs
from state.records.payments import PurchaseRecord, purchase_of
from state.records.reservation import read_reservation
from streams.driver import Pending, TopologyDriver
from streams.intents import Answer, Result
from streams.take_payments.questions import Asked
from streams.wiring import Parts
from topology import routes

SEATS, PAYMENTS = SECTION_COMMANDS.name, PAYMENT_COMMANDS.name
BUYERS = ("r1", "r2", "r3")
PRICE = 4_000
HOLD_MS, PAYMENT_MS = 120_000, 300_000
DECODERS = {SEATS: SEAT_CODECS.commands, PAYMENTS: CODECS.records}
# What may kill workers: words about money to sections, and what payments hear.
WORDS = frozenset({"ConfirmReservation", "FailPayment", "RefundSeats"})
HEARD = frozenset({"PaymentRequested", "GatewayAnswered", "SaleDecided"})


class Named:
    """A gateway of which only the name is asked."""

    name = "mock"


class World:
    """One section of three seats, for which three buyers want two each."""

    def __init__(self) -> None:
        named: Any = [Named()]
        flow = routes(
            Parts(SEAT_CODECS, CODECS, CartCodecs.of(IDS), cached_seats=1_000, gateways=named)
        )
        self.routes = {route.source: route for route in flow}
        self.deadly = Deadly()
        flow = tuple(dying(route, DECODERS, self.deadly) for route in flow)
        # Those whose reservation another shop has confirmed, and has money for.
        self.elsewhere: set[str] = set()
        # Of those, whose seats a person has left to it.
        self.kept: set[str] = set()
        # Of whom a shop has said that they have paid.
        self.claimed: set[str] = set()
        self.hints = 0
        self.driver = TopologyDriver(flow, relays=False)
        self.ledger = Ledger()
        self.seen: list[Pending] = []
        self.driver.advance(1)
        opened = open_section(
            "...", currency="EUR", amounts=(PRICE,), hold_ms=HOLD_MS, payment_ms=PAYMENT_MS
        )
        self.driver.pipe(SEATS, *opened)

    @property
    def now_ms(self) -> int:
        return self.driver.log_time_ms

    def reservation(self, buyer: str) -> Reservation | None:
        stored = self.driver.state(SEATS, 0).get(RESERVATION + buyer.encode())
        return None if stored is None else read_reservation(SEAT_CODECS, stored)

    def purchase(self, buyer: str) -> PurchaseRecord | None:
        stored = self.driver.state(PAYMENTS, 0).get(PURCHASE + buyer.encode())
        return None if stored is None else purchase_of(stored)

    def relay(self) -> None:
        while self.driver.relay(SEATS, 0) + self.driver.relay(PAYMENTS, 0):
            pass

    def answer(self, pending: Pending, how: str, amount: int = 2 * PRICE) -> None:
        """Perform an intent that is due, as a gateway on a bad day does."""
        asked = Asked.of(pending.intent.payload)
        self.seen.append(pending)
        answer = self.ledger.answered(asked, how, amount, self.now_ms)
        self.driver.answer(pending, answer)

    def findings(self, buyer: str) -> list[Finding]:
        """Return what an honest person may say of a payment that needs one."""
        order_id = f"{buyer}.1.0"
        purchase, held = self.purchase(buyer), self.reservation(buyer)
        if purchase is None or purchase.status != PurchaseStatus.COMPENSATION_REQUIRED:
            return []
        was_paid = order_id in self.ledger.captured
        if order_id in self.ledger.on_their_way:
            return [Finding.LOOK_AGAIN]
        is_sold = held is not None and held.status == Status.SOLD and purchase.is_sold
        is_kept = is_sold and buyer in self.elsewhere
        return [
            Finding.LOOK_AGAIN,
            Finding.REFUNDED if was_paid else Finding.FOUND_UNPAID,
            *([Finding.PAID_ELSEWHERE] if is_kept else []),
        ]

    def resolve(self, buyer: str, finding: Finding) -> None:
        """Do as a person does who finds a payment in the list: bring it about, and say so."""
        order_id = f"{buyer}.1.0"
        if finding in {Finding.REFUNDED, Finding.PAID_ELSEWHERE} and self.ledger.kept(order_id):
            self.ledger.refunded[order_id] = self.ledger.captured[order_id]
        value = PODS.compensation_resolved(identity(buyer, user="operator"), finding)
        self.driver.pipe(PAYMENTS, buyer.encode(), value)
        if finding == Finding.PAID_ELSEWHERE:
            self.kept.add(buyer)

    def look_beside(self, buyer: str) -> bool:
        """Do as a person does about payments beside a purchase; say whether there was any."""
        purchase = self.purchase(buyer)
        order_id = f"{buyer}.1.0"
        # While the gateway is asked, the money may yet become that of the purchase.
        if purchase is None or purchase.question or order_id in self.ledger.on_their_way:
            return False
        is_ours = purchase.status == PurchaseStatus.DONE
        unseen = [one for one in purchase.others if not one.finding]
        for one in unseen:
            finding = Finding.FOUND_UNPAID
            if one.payment_id == f"ch_{order_id}".encode() and not is_ours:
                if self.ledger.kept(order_id):
                    self.ledger.refunded[order_id] = self.ledger.captured[order_id]
                finding = Finding.REFUNDED
            about = one.gateway.decode(), one.payment_id.decode()
            value = PODS.compensation_resolved(identity(buyer, user="operator"), finding, *about)
            self.driver.pipe(PAYMENTS, buyer.encode(), value)
        return bool(unseen)

    def hint(self, buyer: str, *, is_again: bool = False) -> None:
        """Have a webhook come, a new one or the last one again."""
        self.hints += not is_again
        value = PODS.hint("mock", f"evt_{self.hints}", f"{buyer}.1.0")
        self.driver.pipe(PAYMENTS, buyer.encode(), value)

    def start_again(self) -> None:
        """Do as buyers do whose payment nobody has heard of."""
        for buyer in BUYERS:
            held = self.reservation(buyer)
            if held is not None and held.status == Status.PAYING and self.purchase(buyer) is None:
                self.driver.pipe(SEATS, *start_payment(buyer, parameters=b""))

    def claim(self, buyer: str, amount: int = 2 * PRICE, **changed: Any) -> None:
        """Do as another shop does that says it was paid; whether it was, the ledger knows."""
        paid_as = changed.pop("payment_id", f"ch_{buyer}.1.0")
        self.claimed.add(buyer)
        self.driver.pipe(SEATS, *claim_payment(buyer, amount, payment_id=paid_as, **changed))

    def claim_again(self) -> bool:
        """Do as shops do that hear nothing of what they were paid; say whether any did."""
        again = False
        for buyer in BUYERS:
            purchase = self.purchase(buyer)
            is_known = purchase is not None and (purchase.payment_id or purchase.question)
            if self.ledger.kept(f"{buyer}.1.0") and not is_known:
                # The one ledger stands for both gateways here.
                gateway = "mock" if purchase is None else purchase.gateway.decode()
                self.claim(buyer, gateway=gateway)
                again = True
        self.relay()
        return again

    def settle(self) -> None:
        """Let everything come to rest: gateway and workers are well again, people look."""
        self.deadly.names = set()
        for number in range(60):
            self.relay()
            self.driver.advance(SLOW_MS, step_ms=50_000)
            self.ledger.arrive(self.now_ms)
            pending = self.driver.intents(PAYMENTS, due=True)
            for one in pending:
                self.answer(one, "answered")
            self.relay()
            self.start_again()
            again = self.claim_again()
            lost = [
                buyer
                for buyer in BUYERS
                if (record := self.purchase(buyer)) is not None
                and record.status == PurchaseStatus.COMPENSATION_REQUIRED
            ]
            for buyer in lost:
                self.resolve(buyer, self.findings(buyer)[-(number % 2)])
            looked = [self.look_beside(buyer) for buyer in BUYERS]
            purchases = [self.purchase(buyer) for buyer in BUYERS]
            is_telling = any(one is not None and one.saying for one in purchases)
            if not (
                pending or again or lost or any(looked) or is_telling
            ) and not self.driver.intents(PAYMENTS):
                return
        raise AssertionError("it never comes to rest")

    def check(self) -> None:
        """Nothing contradicts itself, and money is where the seats say."""
        for source, route in self.routes.items():
            assert route.contradiction is not None
            stored = self.driver.stored(source, 0)
            assert route.contradiction(stored.items(), 0, 1) == ""
        assert all(
            letter.is_strangers or letter.reason == "QUARANTINED"
            for letter in self.driver.dead_letters
        )
        for buyer in BUYERS:
            held, purchase = self.reservation(buyer), self.purchase(buyer)
            assert purchase is None or not purchase.needs_person
            order_id = f"{buyer}.1.0"
            assert self.ledger.charges[order_id] <= 1
            # What was refused is charged by no repeat either.
            is_refused = self.deadly.killed_first("PaymentRequested", buyer.encode())
            is_charged = order_id in self.ledger.asked_for and buyer not in self.claimed
            assert not (is_refused and is_charged)
            kept = self.ledger.kept(order_id)
            if held is None or purchase is None:
                assert kept == 0
                continue
            assert held.status != Status.PAYING
            assert not purchase.saying
            is_ours = purchase.status == PurchaseStatus.DONE
            assert kept == (held.amount if is_ours else 0)
            is_sold = held.status == Status.SOLD
            assert is_sold or not is_ours
            if is_sold and not is_ours:
                end = held.last_end
                assert end is not None
                # Another shop may have sold what was free again; else a person has looked.
                assert buyer in self.elsewhere
                is_claim = not purchase.deadline_ms
                assert is_claim or end.kind == Later.REACQUIRED or buyer in self.kept
            # Nobody pays in two places.
            assert not (kept and buyer in self.kept)


# What happens oftener, so that what only follows from several steps is reached.
THEMES = (
    (),
    # The section dies of what it is told, and a person looks after it.
    ("deadly", "answered", "pass", "found", "both"),
    # Another shop sells the seats.
    ("elsewhere", "declined", "less", "answered", "found", "both"),
    # Webhooks overtake answers.
    ("hint", "lost", "slow", "next"),
    # The same is asked for twice, and its first request kills.
    ("start", "start", "deadly", "payments", "answered", "seats"),
)


def moves_of(world: World, buyer: str, theme: tuple[str, ...]) -> list[str]:
    """Return what may happen next, and oftener what belongs to the theme."""
    open_ones = world.driver.intents(PAYMENTS)
    due = world.driver.intents(PAYMENTS, due=True)
    gateway = (
        ["answered", "lost", "slow", "away", "unheard", "declined", "less", "refused"]
        if due
        else []
    )
    # The clock goes on to what is due next, or nothing deep would ever be reached.
    waits = ["next"] * 6 if open_ones and not due else []
    people = ["hold", "start", "cancel", "extend", "hint", "hint again", "refund", "elsewhere"]
    people += ["deadly", "well"] + ["found"] * 4 * bool(world.purchase(buyer))
    shops = ["paid", "paid", "claim", "claim", "false claim"]
    brokers = ["seats", "payments", "both", "both", "both", "again", "lose", "pass"]
    moves = [*people, *shops, *gateway, *gateway, *brokers, *waits]
    return moves + [move for move in theme if move in moves] * 8


def step(world: World, draw: st.DataObject, theme: tuple[str, ...]) -> None:
    """Let one thing happen."""
    driver = world.driver
    buyer = draw.draw(st.sampled_from(["r1", *BUYERS]))
    due = driver.intents(PAYMENTS, due=True)
    match draw.draw(st.sampled_from(moves_of(world, buyer, theme))):
        case "next":
            ms = driver.intents(PAYMENTS)[0].intent.due_ms - world.now_ms
            driver.advance(ms, step_ms=50_000)
        case "hold":
            driver.pipe(SEATS, *hold(buyer, 2))
        case "start":
            driver.pipe(SEATS, *start_payment(buyer, parameters=b""))
        case "cancel":
            driver.pipe(SEATS, *release(buyer))
        case "extend":
            driver.pipe(SEATS, *extend(buyer))
        case "hint":
            world.hint(buyer)
        case "hint again":
            world.hint(buyer, is_again=True)
        case "elsewhere":
            world.elsewhere.add(buyer)
            driver.pipe(SEATS, *confirm(buyer, correlation="another shop"))
        case "deadly":
            world.deadly.names = draw.draw(st.sampled_from([WORDS, HEARD, WORDS | HEARD]))
            world.deadly.times = draw.draw(st.sampled_from([1, 1_000]))
        case "well":
            world.deadly.names = set()
        case "found":
            if findings := world.findings(buyer):
                world.resolve(buyer, draw.draw(st.sampled_from(findings)))
        case "refund":
            driver.pipe(PAYMENTS, buyer.encode(), PODS.refund_requested(identity(buyer)))
        case "paid" | "claim" | "false claim" as what:
            step_of_shop(world, draw, buyer, what)
        case "seats":
            driver.relay(SEATS, 0)
        case "payments":
            driver.relay(PAYMENTS, 0)
        case "both":
            world.relay()
        case "again":
            # An answer that was appended twice.
            if world.seen:
                driver.answer(draw.draw(st.sampled_from(world.seen)), Answer(result=Result.FAILED))
        case "lose":
            # What the section was told, and nobody has read, is lost with its broker.
            driver.pass_over(SEATS, 0)
        case "pass":
            ms = draw.draw(st.sampled_from([1_000, 60_000, 150_000, 400_000]))
            driver.advance(ms, step_ms=50_000)
        case "less":
            world.answer(draw.draw(st.sampled_from(due)), "answered", 2 * PRICE - 1)
        case how:
            world.answer(draw.draw(st.sampled_from(due)), how)


def step_of_shop(world: World, draw: st.DataObject, buyer: str, what: str) -> None:
    """Let another shop do one thing."""
    if what == "paid":
        # What it says of the money that it takes for the order may be lost.
        amount = draw.draw(st.sampled_from([2 * PRICE] * 5 + [PRICE]))
        world.ledger.charge(f"{buyer}.1.0", amount)
        return
    changed: list[dict[str, Any]] = [
        {"amount": PRICE}, {"currency": "USD"}, {"gateway": "other"}, {"user": "eve"},
        {"epoch": 2}, {"payment_id": "ch_other"},
    ]  # fmt: skip
    is_false = what == "false claim"
    world.claim(buyer, **(draw.draw(st.sampled_from(changed)) if is_false else {}))


@settings(max_examples=of_whole(100))
@given(st.data())
def test_i6_i7_i10_i11_whatever_happens_in_any_order_seats_and_money_add_up(
    data: st.DataObject,
) -> None:
    world = data.draw(st.sampled_from([paying, paying, paying_late, twice_asked]))("r1")
    theme = data.draw(st.sampled_from(THEMES))
    for _ in range(data.draw(st.integers(0, 40))):
        step(world, data, theme)
    world.settle()
    world.check()


def paying(*buyers: str) -> World:
    """Return a world in which these pay, and nothing is answered."""
    world = World()
    for buyer in buyers:
        world.driver.pipe(SEATS, *hold(buyer, 2))
        world.driver.pipe(SEATS, *start_payment(buyer, parameters=b""))
    world.relay()
    return world


def twice_asked(*buyers: str) -> World:
    """Return a world in which these have asked to pay, twice, and the sections alone know."""
    world = World()
    for buyer in buyers:
        world.driver.pipe(SEATS, *hold(buyer, 2))
        for correlation in ("first", "second"):
            start = start_payment(buyer, parameters=b"", correlation=correlation)
            world.driver.pipe(SEATS, *start)
    return world


def paying_late(*buyers: str) -> World:
    """Return a world in which nobody hears of these payments before their time is nearly over."""
    world = World()
    for buyer in buyers:
        world.driver.pipe(SEATS, *hold(buyer, 2))
        world.driver.pipe(SEATS, *start_payment(buyer, parameters=b""))
    # Ticks of the sections alone: nobody takes payments.
    for _ in range(PAYMENT_MS // 50_000):
        world.driver.log_time_ms += 50_000
        world.driver.pipe(SEATS, *tick(world.now_ms, b"tick-2"))
    return world


def test_d25_u1_f57_money_that_comes_after_the_release_gets_the_same_seats_or_goes_back() -> None:
    for is_taken in (False, True):
        world = paying("r1")
        world.driver.advance(PAYMENT_MS, step_ms=50_000)
        [charge] = world.driver.intents(PAYMENTS)
        world.answer(charge, "slow")
        world.driver.advance(5_000)
        [look] = world.driver.intents(PAYMENTS, due=True)
        world.answer(look, "answered")
        world.relay()
        held = world.reservation("r1")
        assert held is not None
        assert held.status == Status.RELEASED
        if is_taken:
            world.driver.pipe(SEATS, *hold("r2", 2))
        world.ledger.charge("r1.1.0", 2 * PRICE)
        world.hint("r1")
        [look] = world.driver.intents(PAYMENTS, due=True)
        world.answer(look, "answered")
        world.settle()
        world.check()
        held = world.reservation("r1")
        assert held is not None
        assert held.status == (Status.RELEASED if is_taken else Status.SOLD)


def test_a_sale_whose_command_was_lost_is_told_again_and_sold() -> None:
    world = paying("r1")
    [charge] = world.driver.intents(PAYMENTS)
    world.answer(charge, "answered")
    assert world.driver.pass_over(SEATS, 0) == 1
    world.driver.advance(120_000, step_ms=50_000)
    world.relay()
    purchase = world.purchase("r1")
    assert purchase is not None
    assert purchase.status == PurchaseStatus.DONE
    world.check()


def test_what_a_shop_was_paid_for_seats_that_another_has_sold_again_is_looked_for() -> None:
    world = paying("r1")
    [charge] = world.driver.intents(PAYMENTS)
    world.answer(charge, "declined")
    world.relay()
    # Sold without a payment, under the next epoch; then money comes in for the former one.
    world.elsewhere.add("r1")
    world.driver.pipe(SEATS, *confirm("r1", correlation="another shop"))
    world.ledger.declined.clear()
    world.ledger.charge("r1.1.0", 2 * PRICE)
    world.settle()
    world.check()
    purchase = world.purchase("r1")
    assert purchase is not None
    assert purchase.status == PurchaseStatus.DONE


def test_a_stranger_who_confirms_sells_nothing_and_turns_no_money_back() -> None:
    world = paying("r1")
    [charge] = world.driver.intents(PAYMENTS)
    world.answer(charge, "answered")
    world.driver.pipe(SEATS, *confirm("r1", user="eve"))
    world.relay()
    world.check()
    held = world.reservation("r1")
    assert held is not None
    assert held.status == Status.SOLD
    assert A in held.section_id.decode()


def test_f53_a_charge_that_was_made_before_a_refusal_is_found_and_its_seats_are_sold() -> None:
    world = paying("r1")
    [charge] = world.driver.intents(PAYMENTS)
    # Charged; its worker died before it could say so. The next one's credentials are wrong.
    world.ledger.do(Asked.of(charge.intent.payload), 2 * PRICE)
    world.answer(charge, "refused")
    world.settle()
    world.check()
    held = world.reservation("r1")
    assert held is not None
    assert held.status == Status.SOLD


def test_a_request_that_payments_never_took_in_is_made_again_by_a_repeated_start() -> None:
    for away_ms in (0, HOLD_MS, 24 * 3_600_000):
        world = World()
        world.driver.pipe(SEATS, *hold("r1", 2))
        world.driver.pipe(SEATS, *start_payment("r1", parameters=b""))
        world.driver.pass_over(PAYMENTS, 0)
        world.driver.advance(away_ms, step_ms=50_000)
        world.driver.pipe(SEATS, *start_payment("r1", parameters=b"", correlation="again"))
        world.relay()
        for one in world.driver.intents(PAYMENTS, due=True):
            world.answer(one, "answered")
        world.settle()
        world.check()
        purchase = world.purchase("r1")
        assert purchase is not None
        is_in_time = away_ms < PAYMENT_MS
        assert purchase.status == (PurchaseStatus.DONE if is_in_time else PurchaseStatus.EXPIRED)


def test_a_payment_that_was_begun_while_workers_were_away_has_its_whole_time() -> None:
    world = World()
    world.driver.pipe(SEATS, *hold("r1", 2))
    # Nothing is appended for longer than a payment may take, then the buyer's start.
    world.driver.log_time_ms += 4 * PAYMENT_MS
    world.driver.pipe(SEATS, *start_payment("r1", parameters=b""))
    # The first ticks of the new owners.
    world.driver.advance(1)
    world.relay()
    [charge] = world.driver.intents(PAYMENTS, due=True)
    asked = Asked.of(charge.intent.payload)
    assert asked.question == Question.CHARGE
    assert asked.until_ms - world.now_ms >= PAYMENT_MS - 1
    world.answer(charge, "answered")
    world.settle()
    world.check()
    purchase = world.purchase("r1")
    assert purchase is not None
    assert purchase.status == PurchaseStatus.DONE


@pytest.mark.parametrize("holder", ["", "ann", "bob"])
@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_money_of_a_payment_that_the_section_does_not_know_goes_back(
    holder: str, *, is_elsewhere: bool
) -> None:
    world = World()
    if holder:
        world.driver.pipe(SEATS, *hold("r1", 2, user=holder))
        world.driver.pipe(SEATS, *release("r1", user=holder))
    who = identity("r1", section="NOWHERE") if is_elsewhere else identity("r1")
    about = b"section-commands:0:9:0", 1, 2 * PRICE, b"EUR", b"mock", b"card", b""
    request = BY_NAME["io.seatstream.payments.PaymentRequested"]
    value = request(who, *about, world.now_ms + PAYMENT_MS)
    world.driver.pipe(PAYMENTS, b"r1", value)
    [charge] = world.driver.intents(PAYMENTS)
    world.answer(charge, "answered")
    world.settle()
    purchase = world.purchase("r1")
    assert purchase is not None
    assert (purchase.status, purchase.saying) == (PurchaseStatus.REFUNDED, 0)
    assert world.ledger.kept("r1.1.0") == 0


def test_seats_that_were_sold_to_money_of_a_payment_that_is_unknown_settle_it() -> None:
    world = World()
    world.driver.pipe(SEATS, *hold("r1", 2))
    about = b"section-commands:0:9:0", 1, 2 * PRICE, b"EUR", b"mock", b"card", b""
    request = BY_NAME["io.seatstream.payments.PaymentRequested"]
    value = request(identity("r1"), *about, world.now_ms + PAYMENT_MS)
    world.driver.pipe(PAYMENTS, b"r1", value)
    [charge] = world.driver.intents(PAYMENTS)
    world.answer(charge, "answered")
    world.settle()
    world.check()
    purchase = world.purchase("r1")
    assert purchase is not None
    assert purchase.status == PurchaseStatus.DONE


def test_seats_that_another_confirmed_and_nobody_paid_for_are_a_persons() -> None:
    world = paying("r1")
    world.driver.pipe(SEATS, *confirm("r1", correlation="old shop"))
    world.relay()
    [charge] = world.driver.intents(PAYMENTS)
    world.answer(charge, "declined")
    world.relay()
    purchase = world.purchase("r1")
    assert purchase is not None
    assert purchase.status == PurchaseStatus.COMPENSATION_REQUIRED
    # A person finds no money, and the seats are free again.
    world.settle()
    held = world.reservation("r1")
    assert held is not None
    assert held.status == Status.REFUNDED
    world.check()
