"""What in a partition's whole state cannot be."""

import pytest
from support.payments.paying import CODECS, PARTITION, PARTITIONS, Paying, check

from schemas.topics import PAYMENT_COMMANDS
from state.records.payments import purchase_of
from streams.intents import INTENT, Result
from streams.take_payments.contradictions import contradiction


def stored() -> dict[bytes, bytes]:
    """Return a partition with a sold payment, an open one, and one that needs a person."""
    paying = Paying()
    paying.start("r1")
    paying.captures("r1")
    paying.start("r2")
    paying.start("r3")
    paying.captures("r3", id_="ch_1")
    paying.ends(Result.FAILED, "r2")
    check(paying)
    return paying.driver.stored(PAYMENT_COMMANDS.name, PARTITION)


def wrong(items: dict[bytes, bytes], partition: int = PARTITION) -> str:
    return contradiction(CODECS)(sorted(items.items()), partition, PARTITIONS)


def test_what_handlers_leave_contradicts_nothing() -> None:
    assert wrong(stored()) == ""
    assert wrong({}) == ""


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (b"ur1", "purchases by status"),
        (b"ur2", "nobody asks"),
        (b"ur3", "needs nobody"),
        (b"cr3", "and listed: False"),
        (b"n", "purchases by status"),
        (INTENT, "nobody performs"),
    ],
)
def test_what_is_missing_is_named(key: bytes, why: str) -> None:
    items = stored()
    for found in [one for one in items if one.startswith(key)]:
        del items[found]
    # Nothing but purchases counts them.
    assert why in (wrong(items) if key != b"n" else wrong({**items, b"n": CODECS.counts((0, 9))}))


@pytest.mark.parametrize("key", [b"ur1", b"cr3", b"gmock:ch_1", b"n", b"p", INTENT + b"r2"])
def test_what_cannot_be_read_is_named(key: bytes) -> None:
    items = stored()
    [found] = [one for one in items if one.startswith(key)]
    assert "cannot be read" in wrong({**items, found: b"\xff"})


def test_what_has_no_place_is_named() -> None:
    items = stored()
    assert "no place" in wrong({**items, b"x": b""})
    assert "another partition" in wrong(items, (PARTITION + 1) % PARTITIONS)
    moved = CODECS.stored(purchase_of(items[b"ur1"]))
    assert "another's" in wrong({**items, b"ur9": moved})
