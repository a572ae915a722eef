"""Ids of items: the same request has the same one, and it says where the item lies."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.booking_queue.items import Item, event_of, item_id
from state.domain.booking_queue.statuses import ItemStatus
from state.domain.keys import EVENT_ID_MAX, IDEMPOTENCY_KEY

users = st.text(min_size=1, max_size=8)
keys = st.from_regex(r"\A[\x20-\x7e]{1,12}\Z")
event_ids = st.integers(0, EVENT_ID_MAX)


@given(users, keys, event_ids)
def test_an_id_tells_its_event_and_is_an_idempotency_key(user: str, key: str, event: int) -> None:
    made = item_id(user, key, event)
    assert event_of(made) == event
    assert made == item_id(user, key, event)
    assert IDEMPOTENCY_KEY.fullmatch(made)
    assert re.fullmatch(r"[a-z0-9-]{28,46}", made)


@given(st.lists(st.tuples(users, keys, event_ids), unique=True, max_size=8))
def test_two_requests_have_two_ids(asked: list[tuple[str, str, int]]) -> None:
    assert len({item_id(*one) for one in asked}) == len(asked)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 26,
        "a" * 26 + "-",
        "a" * 26 + "-01",
        "a" * 26 + "--1",
        "a" * 26 + "-1\n",
        "a" * 26 + f"-{EVENT_ID_MAX + 1}",
        "A" * 26 + "-1",
        "a" * 25 + "-1",
        "a" * 26 + "-1}",
        "a" * 26 + "-\u0661",
    ],
)
def test_what_is_no_id_names_no_event(text: str) -> None:
    assert event_of(text) is None


def test_an_item_that_is_tried_anew_asks_for_a_reservation_of_its_own() -> None:
    made = item_id("ann", "k", 7)
    item = Item(made, 7, "ann", ItemStatus.WAITING, 1, 0, 0, 0, 0, b"", b"", "")
    assert item.key == made
    again = {item._replace(round=count).key for count in range(3)}
    assert len(again) == 3
    assert all(IDEMPOTENCY_KEY.fullmatch(key) for key in again)
