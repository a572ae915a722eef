"""Buyers know what a shop knows, answer for what they asked, and pay for what they hold."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from support.logs.audit_logs import ID_BY_NAME, NAMES, identity, value_of

from infra.stack.processes import wait_until
from schemas.topics import RESERVATION_OUTCOMES, SECTION_STATUS, Topic
from scripts.sale import buyers as module
from scripts.sale.buyers import EVENT_ID, Buyers
from scripts.sale.web_buyers import Paid
from serdes.avro.codegen import decoder
from serdes.registry.ids import SchemaIds, counted_ids
from state.plans.reading import parse_plan

PLAN = parse_plan(b'{"event": "e", "sections": [{"section": "A", "rows": 2, "seats": 5}]}')
KEY = b"1-A"
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

    def __init__(self, *, rate: float = 1e9) -> None:
        self.buyers = Buyers(PLAN, counted_ids(), "nowhere:1", rate=rate, seed=1)
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

    def tell(self, name: str, reservation_id: str, offset: int, **fields: Any) -> None:
        head = {
            "request": identity(reservation_id, "u", "A", EVENT_ID),
            "outcomeId": f"section-commands:0:{offset}:0",
            "version": 1,
            "decidedAtMs": 1,
        }
        value = value_of(name, head | fields)
        self.outcomes.messages.append(Message(reservation_id.encode(), value))
        self.buyers.read(0)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(module, "OutcomeReader", Reader)
    monkeypatch.setattr(module, "CommandSender", Sender)
    return Shop()


def paid(reservation_id: str) -> Paid:
    return Paid(reservation_id, "web1", 0, 1)


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


def test_at_the_till_a_hold_of_another_is_confirmed_and_answered_once(shop: Shop) -> None:
    shop.buyers.pay(paid("w1"))
    shop.buyers.keep_free = 10
    shop.step_until(lambda: shop.sender.sent > 0)
    [(key, value)] = shop.sender.records
    assert key == KEY
    assert b"w1" in value
    # What the one who held it is told is none of ours.
    shop.tell("SeatsHeld", "w1", 1, epoch=1, deadlineMs=2, seats=[])
    assert (shop.buyers.waiting, shop.buyers.latencies_ms) == (1, [])
    shop.tell("ReservationConfirmed", "w1", 2, epoch=1, seats=[], reacquired=False)
    assert (shop.buyers.waiting, len(shop.buyers.latencies_ms)) == (0, 1)
    assert shop.buyers.by_reason == {"ReservationConfirmed": 1}


def test_a_refusal_is_counted_by_its_reason(shop: Shop) -> None:
    shop.buyers.pay(paid("w1"))
    shop.buyers.keep_free = 10
    shop.step_until(lambda: shop.sender.sent > 0)
    shop.tell("CommandRefused", "w1", 2, reason="REFUND_DUE", seat=None)
    assert shop.buyers.by_reason == {"REFUND_DUE": 1}


def test_a_lapse_answers_nobody_and_is_counted_once(shop: Shop) -> None:
    for _ in range(2):
        shop.tell("ReservationReleased", "d1", 5, epoch=1, cause="LAPSED", seats=[])
    assert (shop.buyers.lapses, shop.buyers.outcomes) == (1, 0)
    shop.tell("ReservationReleased", "d1", 6, epoch=1, cause="LAPSED", seats=[])
    assert shop.buyers.lapses == 2


def test_outcomes_of_strangers_are_none_of_ours(shop: Shop) -> None:
    shop.tell("SeatsHeld", "somebody", 1, epoch=1, deadlineMs=2, seats=[])
    assert (shop.buyers.outcomes, shop.buyers.by_reason) == (0, {})
