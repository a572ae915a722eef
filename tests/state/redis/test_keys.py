import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.keys import stem_of
from state.redis.keys import PREFIX, idempotency, limit_of_network, limit_of_user

LIMITS = (limit_of_user, limit_of_network)
# Ids as tokens may hold them, with what has a meaning to Redis or to who reads its log.
odd = ["", "a:b", "{x}", "*", "a\r\nDEL", "\0", "é" * 300]
texts = st.text(max_size=20) | st.sampled_from(odd)


@pytest.mark.parametrize("limit_of", LIMITS)
@given(texts)
def test_no_text_of_a_caller_becomes_part_of_a_key(
    limit_of: Callable[[str, str], str], text: str
) -> None:
    key = limit_of("create", text)
    assert re.fullmatch(r"seatstream:limit:create:(user|net):[0-9a-f]{24}", key)


@given(st.lists(texts, unique=True, max_size=20), st.sampled_from(["create", "cancel", "all"]))
def test_each_user_and_each_network_has_a_limit_of_each_kind_to_itself(
    callers: list[str], kind: str
) -> None:
    keys = [
        limit_of(of_kind, caller)
        for caller in callers
        for limit_of in LIMITS
        for of_kind in (kind, "other")
    ]
    assert len(set(keys)) == len(keys)
    # The same in every pod and after every restart.
    assert keys[:1] == [LIMITS[0](kind, caller) for caller in callers[:1]]


def test_a_ticket_stands_in_its_key_as_it_is() -> None:
    stem = stem_of("ann", "my-key")
    assert idempotency(stem) == f"seatstream:idem:{stem}"


@pytest.mark.parametrize(
    "key", [idempotency("x"), limit_of_user("a", "x"), limit_of_network("a", "x")]
)
def test_every_key_lies_under_our_prefix(key: str) -> None:
    assert key.startswith(PREFIX)


def test_the_keys_of_a_release_find_what_former_pods_counted() -> None:
    """Worked out with `b2sum -l 96`: pods of two releases share their limits."""
    users, networks = "seatstream:limit:create:user:", "seatstream:limit:all:net:"
    assert limit_of_user("create", "ann") == users + "d9f9f463211e0927f2c3ebf4"
    assert limit_of_network("all", "10.0.0.0/24") == networks + "6d7d5e789881d00fcf30a430"
