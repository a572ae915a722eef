"""Of each purchase caches are forgotten once; what cannot be is logged, nobody waits for it."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.issuing.orders import CODECS, EVENT

from schemas.topics import PURCHASE_CREATED
from state.domain.issued.purchase import IssuedOrder, purchase_id
from state.domain.keys import buyer_key
from streams.driver import TopologyDriver
from streams.intents import INTENT, Answer, Intent, NotDone, Result
from streams.invalidate_caches import CACHES, Setup, performer, route
from streams.working.kept import WAITING
from topology import CACHES as CACHES_OF

SOURCE = PURCHASE_CREATED.name
ORDER = IssuedOrder(b"r1.1.0", b"r1", 3, True, 900, b"EUR", b"BK", ((b"A", 0, 0, 1),), 1_000)
DELETED = Answer(result=Result.ANSWERED, payload=b"3")


@dataclass
class Shown:
    """What others keep in Redis, and the role that has it forgotten."""

    kept: set[str] = field(default_factory=set)
    asked: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.driver = TopologyDriver([route(CACHES_OF, Setup(CODECS, performer(None)))])

    def bought(self, user: str, revision: int = 3, *, is_active: bool = True) -> None:
        own_id = purchase_id(user.encode(), EVENT, 0).encode()
        head = own_id, user.encode(), EVENT, revision
        created = CODECS.created(*head, ORDER)
        value = created if is_active else CODECS.changed(*head, False, ORDER)
        self.driver.pipe(SOURCE, buyer_key(EVENT, user.encode()), value)

    def answer(self, result: Result = Result.ANSWERED) -> None:
        """Have all that is due deleted, or not."""
        for pending in self.driver.intents(SOURCE, due=True):
            keys = json.loads(pending.intent.payload)
            self.asked.append(keys)
            if result is Result.ANSWERED:
                self.kept -= set(keys)
            self.driver.answer(
                pending, DELETED if result is Result.ANSWERED else Answer(result=result)
            )

    def left(self) -> list[bytes]:
        """Return the keys of all that waits or is asked still."""
        stored = self.driver.stored(SOURCE, 0)
        return [key for key in stored if key.startswith((WAITING, INTENT))]


def test_s002_5_a_purchase_and_its_end_have_the_pages_of_its_buyer_and_event_forgotten() -> None:
    pages = {"user:home:ann", "user:tickets:ann", f"event:availability:{EVENT}"}
    shown = Shown(pages | {"user:home:bob"})
    shown.bought("ann")
    shown.answer()
    assert shown.kept == {"user:home:bob"}
    shown.kept |= pages
    shown.bought("ann", 4, is_active=False)
    shown.answer()
    assert shown.kept == {"user:home:bob"}
    assert shown.left() == []


def test_s002_5_what_cannot_be_deleted_is_given_up_after_three_attempts_and_no_dead_letter() -> (
    None
):
    shown = Shown()
    shown.bought("ann")
    shown.bought("ann", 4)
    for _ in range(20):
        shown.answer(Result.FAILED)
        shown.driver.advance(10_000)
    # Three attempts each, and the second purchase waited for none of Redis' answers for ever.
    assert len(shown.asked) == 6
    assert shown.left() == []
    assert shown.driver.dead_letters == []
    # It counts as done.
    shown.bought("ann")
    assert shown.driver.intents(SOURCE) == []


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.integers(1, 3)), max_size=8))
def test_what_comes_again_deletes_nothing_again(some: list[tuple[str, int]]) -> None:
    shown = Shown()
    for user, revision in some:
        shown.bought(user, revision)
        shown.answer()
    assert len(shown.asked) == len(set(some))
    if log := shown.driver.log(SOURCE, 0):
        shown.driver.replay(SOURCE, 0, log)
    shown.answer()
    assert len(shown.asked) == len(set(some))


def test_what_is_no_purchase_is_a_dead_letter_and_none_of_its_store_is_anothers() -> None:
    shown = Shown()
    shown.driver.pipe(SOURCE, b"7-ann", b"rubbish")
    assert len(shown.driver.dead_letters) == 1
    made = route(CACHES_OF, Setup(CODECS, performer(None)))
    assert made.may_store is not None
    assert made.contradiction is not None
    items = shown.driver.stored(SOURCE, 0)
    assert all(made.may_store(key, 0, 1) for key in items)
    assert not made.may_store(b"i" + b"a" * 26, 0, 1)
    assert made.contradiction(items.items(), 0, 1) == ""


def test_without_redis_it_says_which_setting_is_missing() -> None:
    intent = Intent(
        id="i",
        destination=CACHES,
        idempotency_key="k",
        payload=b'["a"]',
        due_ms=0,
        opened_ms=0,
    )
    with pytest.raises(NotDone, match="REDIS_URL"):
        asyncio.run(_performed(None, intent))

    async def forget(keys: object) -> int:
        await asyncio.sleep(0)
        assert keys == ["a"]
        return 1

    assert asyncio.run(_performed(forget, intent)) == b"1"


async def _performed(forget: object, intent: Intent) -> bytes:
    assert forget is None or callable(forget)
    return await performer(forget)(intent)
