"""Buyers know what a shop knows, answer for what they asked, and pay for what they hold."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from support.logs.audit_logs import ID_BY_NAME, NAMES, identity, value_of

from infra.stack.processes import wait_until
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS, SECTION_STATUS, Topic
from scripts.sale import buyers as module
from scripts.sale.buyers import EVENT_ID, Buyers
from serdes.avro.codegen import decoder
from serdes.registry.ids import SchemaIds, counted_ids
from state.plans.reading import parse_plan

PLAN = parse_plan(b'{"event": "e", "sections": [{"section": "A", "rows": 2, "seats": 5}]}')
KEY = b"1-A"
COMMANDS = "io.seatstream.commands."
PRICE: dict[str, Any] = {"amount": 500, "currency": "EUR"}
NAME_BY_ID = {ID_BY_NAME[name]: name for name in NAMES}
FULL_NAMES = {
    name.rpartition(".")[2]: name
    for topic in (RESERVATION_OUTCOMES, SECTION_STATUS)
    for name in topic.records
}


class Message(NamedTuple):
    """A record as a consumer hands it out."""

    told_key: bytes
    told: bytes

    def key(self) -> bytes:
        return self.told_key

    def value(self) -> bytes:
        return self.told


class Reader:
    """Hands out what a test has put into it, once."""

    def __init__(self, _: str, __: SchemaIds, topic: Topic | None = None) -> None:
        self.topic = topic
        self.messages: list[Message] = []

    def read(self, _: float) -> Iterator[Message]:
        messages, self.messages = self.messages, []
        yield from messages

    def name_of(self, value: bytes) -> str:
        return NAME_BY_ID[int.from_bytes(value[1:5], "big")]

    def fields_of(self, value: bytes) -> tuple[Any, ...]:
        return tuple(decoder(FULL_NAMES[self.name_of(value)])(value, 5))

    def close(self) -> None:
        pass


class Sender:
    """Keeps what was sent."""

    def __init__(self, _: str, *, linger_ms: int) -> None:
        assert linger_ms > 0
        self.records: list[tuple[bytes, bytes]] = []
        self.failed: list[str] = []

    @property
    def sent(self) -> int:
        return len(self.records)

    def send(self, key: bytes, value: bytes) -> None:
        self.records.append((key, value))

    def poll(self) -> None:
        pass


class Shop:
    """Buyers, with everything that they read and send in the test's hand."""

    def __init__(self, *, paying: float = 1.0) -> None:
        self.buyers = Buyers(PLAN, counted_ids(), "nowhere:1", rate=1_000.0, seed=1, paying=paying)
        self.outcomes: Reader = self.buyers._reader  # type: ignore[assignment]
        self.statuses: Reader = self.buyers._statuses  # type: ignore[assignment]
        self.sender: Sender = self.buyers._sender  # type: ignore[assignment]

    def step_until(self, condition: Callable[[], bool]) -> None:
        """Let the buyers do what is due until something has happened."""

        def stepped() -> bool:
            self.buyers.step()
            return condition()

        assert wait_until(stepped, 60)

    def publish(self, free: int, held: int = 0, version: int = 1, key: bytes = KEY) -> None:
        fields = {
            "eventId": EVENT_ID,
            "section": "A",
            "availableCount": free,
            "timestamp": 1,
            "version": version,
            "heldCount": held,
            "largestBlock": min(free, 5),
        }
        self.statuses.messages.append(Message(key, value_of("SectionStatusEvent", fields)))
        self.buyers.read(0)

    def tell(
        self, name: str, reservation_id: str, offset: int, correlation: str = "", **fields: Any
    ) -> None:
        number = reservation_id[1:]
        request = identity(
            reservation_id, f"buyer{number}", "A", EVENT_ID, correlation or f"c{number}"
        )
        head = {
            "request": request,
            "outcomeId": f"section-commands:0:{offset}:0",
            "version": 1,
            "decidedAtMs": 1,
        }
        value = value_of(name, head | fields)
        self.outcomes.messages.append(Message(reservation_id.encode(), value))
        self.buyers.read(0)


@pytest.fixture(autouse=True)
def without_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OutcomeReader", Reader)
    monkeypatch.setattr(module, "CommandSender", Sender)
    monkeypatch.setattr(module, "THINK_S", (0.0, 0.0))


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_what_they_know_is_what_was_published(shop: Shop) -> None:
    assert (shop.buyers.free, shop.buyers.sold) == (10, 0)
    shop.publish(free=3, held=2, version=9)
    assert (shop.buyers.free, shop.buyers.held, shop.buyers.sold) == (3, 2, 5)
    [sighting] = shop.buyers.sightings
    assert (sighting.event_id, sighting.section, sighting.version) == (EVENT_ID, "A", 9)
    shop.publish(free=0, key=b"1-ANOTHER")
    assert shop.buyers.free == 3
    shop.publish(free=0)
    assert shop.buyers.is_sold_out


def test_nobody_asks_before_a_section_is_open_nor_for_what_is_left_to_others(shop: Shop) -> None:
    shop.buyers.step()
    assert shop.sender.sent == 0
    shop.publish(free=4)
    shop.buyers.keep_free = 4
    shop.buyers.step()
    assert shop.sender.sent == 0


def test_no_more_wait_for_an_answer_than_are_allowed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ask() -> bool:
        asked.append(shop.sender.sent)
        return False

    monkeypatch.setattr(module, "WAITING_MAX", 3)
    monkeypatch.setattr(shop.buyers, "_ask", ask)
    shop.publish(free=4)
    shop.sender.records = [(KEY, b"")] * 4
    shop.buyers.step()
    shop.sender.records = [(KEY, b"")] * 3
    shop.step_until(lambda: bool(asked))
    assert set(asked) == {3}


def one_buyer(shop: Shop) -> str:
    """Let one buyer ask for the last seats; return the reservation's id."""
    shop.publish(free=1)
    shop.step_until(lambda: shop.sender.sent > 0)
    shop.publish(free=0)
    return next(iter(shop.buyers._holds)).decode()


def what_follows_a_hold(shop: Shop, buyer: str) -> str:
    """Tell a buyer that he holds seats; return the name of the command that he sends then."""
    before = shop.sender.sent
    # With so few seats left nobody hesitates.
    for sent in range(before):
        shop.tell("SeatsHeld", buyer, sent, epoch=1, deadlineMs=2, seats=[], **PRICE)
    shop.step_until(lambda: shop.sender.sent > before)
    key, value = shop.sender.records[-1]
    assert key == KEY
    ids = counted_ids().id_by_subject
    names = {ids[f"{SECTION_COMMANDS.name}-{name}"]: name for name in SECTION_COMMANDS.records}
    return names[int.from_bytes(value[1:5], "big")].removeprefix(COMMANDS)


def test_who_does_not_pay_at_the_gateway_is_confirmed_by_a_shop() -> None:
    shop = Shop(paying=0.0)
    assert what_follows_a_hold(shop, one_buyer(shop)) == "ConfirmReservation"


def test_who_holds_seats_begins_a_payment_and_what_payments_are_told_answers_nobody(
    shop: Shop,
) -> None:
    buyer = one_buyer(shop)
    assert what_follows_a_hold(shop, buyer) == "StartPayment"
    waiting = shop.buyers.waiting
    payment: dict[str, Any] = {"epoch": 1, "deadlineMs": 2, "seats": [], "gateway": "mock"}
    shop.tell("PaymentStarted", buyer, 8, **payment, **PRICE)
    assert shop.buyers.waiting == waiting - 1
    # Payments ask in the buyer's name.
    sold: dict[str, Any] = {"epoch": 1, "seats": [], "reacquired": False}
    shop.tell("ReservationConfirmed", buyer, 9, **sold, **PRICE)
    shop.tell("ReservationReleased", buyer, 10, epoch=1, cause="DECLINED", seats=[])
    assert shop.buyers.waiting == waiting - 1
    assert "ReservationConfirmed" not in shop.buyers.by_reason


def test_the_parts_of_a_cart_are_one_payment_whose_seats_were_given_back(shop: Shop) -> None:
    back: dict[str, Any] = {"epoch": 1, "seats": []}
    for at, part in enumerate((f"{'a' * 26}-3_1", f"{'a' * 26}-3_0", f"{'b' * 26}-3_0"), start=1):
        shop.tell("ReservationRefunded", part, at, **back, **PRICE)
    assert shop.buyers.refunds == 2
    assert shop.buyers.waiting == 0


def test_a_refusal_is_counted_by_its_reason(shop: Shop) -> None:
    buyer = one_buyer(shop)
    shop.tell("ReservationRejected", buyer, 2, reason="SOLD_OUT", seat=None)
    assert shop.buyers.by_reason == {"SOLD_OUT": 1}


def test_a_lapse_answers_nobody_and_is_counted_once(shop: Shop) -> None:
    for _ in range(2):
        shop.tell("ReservationReleased", "d1", 5, epoch=1, cause="LAPSED", seats=[])
    assert (shop.buyers.lapses, shop.buyers.outcomes) == (1, 0)
    shop.tell("ReservationReleased", "d1", 6, epoch=1, cause="LAPSED", seats=[])
    assert shop.buyers.lapses == 2


def test_outcomes_of_strangers_are_none_of_ours(shop: Shop) -> None:
    shop.tell("SeatsHeld", "somebody", 1, epoch=1, deadlineMs=2, seats=[])
    assert (shop.buyers.outcomes, shop.buyers.by_reason) == (0, {})


def test_seats_that_were_given_back_are_not_sold_out_before_their_status_says_so(
    shop: Shop,
) -> None:
    shop.publish(free=0, version=6)
    assert shop.buyers.is_sold_out
    for _ in range(2):
        refunded: dict[str, Any] = {"epoch": 1, "seats": [], **PRICE}
        shop.tell("ReservationRefunded", "w1", 7, correlation="payments", version=7, **refunded)
    seen = [shop.buyers.is_sold_out]
    for free, version in ((2, 7), (0, 9)):
        shop.publish(free=free, version=version)
        seen.append(shop.buyers.is_sold_out)
    assert (shop.buyers.refunds, seen) == (1, [False, False, True])
