"""One active allocation for each buyer and event, also over a restart."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.allocation.books import Asked, Books, Ended, KeyReused

ANN = Asked("ann", 7, "p-0")


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.integers(7, 8), st.integers(0, 3))))
def test_whatever_is_asked_each_buyer_has_one_of_each_event(asked: list[Any]) -> None:
    with Books(Path(":memory:")) as books:
        for user, event, number in asked:
            books.allocate(f"{user}-{event}-{number}", Asked(user, event, "p"))
        whose = [(one["user_id"], one["event_id"]) for one in books.all()]
        assert sorted(whose) == sorted({(user, event) for user, event, _ in asked})


def test_a_key_hears_again_what_it_led_to_also_after_a_restart(tmp_path: Path) -> None:
    with Books(tmp_path / "deep" / "file") as books:
        made, is_new = books.allocate("k", ANN)
        assert is_new
    with Books(tmp_path / "deep" / "file") as books:
        assert books.allocate("k", ANN) == (made, False)
        assert books.allocate("other", ANN) == (made, False)


def test_a_key_with_another_request_is_refused_and_changes_nothing() -> None:
    with Books(Path(":memory:")) as books:
        books.allocate("k", ANN)
        with pytest.raises(KeyReused):
            books.allocate("k", Asked("bob", 7, "p-1"))
        assert len(books.all()) == 1


def test_the_database_itself_holds_the_rule() -> None:
    with Books(Path(":memory:")) as books:
        books.allocate("k", ANN)
        with pytest.raises(sqlite3.IntegrityError):
            books._file.execute("INSERT INTO allocations VALUES ('x', 'ann', 7, 'p', 'active')")
        books._file.execute("INSERT INTO allocations VALUES ('x', 'ann', 7, 'p', 'ended')")


def test_one_that_has_ended_makes_room_for_another_and_ends_once() -> None:
    with Books(Path(":memory:")) as books:
        made, _ = books.allocate("k", ANN)
        assert books.end(Ended(made["allocation_id"]))
        assert books.end(Ended(made["allocation_id"]))
        assert not books.end(Ended("another"))
        again, is_new = books.allocate("k2", ANN)
        assert is_new
        assert again["allocation_id"] != made["allocation_id"]
        assert [one["status"] for one in books.all()] == ["ended", "approved"]
        assert not books.end(Ended(purchase_id="another"))
        assert books.end(Ended(purchase_id=ANN.purchase_id))
        assert [one["status"] for one in books.all()] == ["ended", "ended"]


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], {}, {"user_id": "ann"}),
        *({**ANN._asdict(), "event_id": event} for event in (True, "7", -1, 1 << 63, 1.0)),
        *({**ANN._asdict(), "user_id": user} for user in ("", 5, "x" * 256, "\ud800")),
        {**ANN._asdict(), "more": 1},
    ],
)
def test_what_is_no_request_is_refused(body: Any) -> None:
    with pytest.raises(ValueError):
        Asked.of(body)


def test_a_request_is_read() -> None:
    assert Asked.of(ANN._asdict()) == ANN
