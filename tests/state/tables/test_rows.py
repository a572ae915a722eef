"""Of each row the newest version counts; what contradicts the row of its version does nothing."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from support.tables.words import ANN, EVENT, histories, order_of, rows_after, words_of

from state.domain.issued.purchase import IssuedPurchase
from state.tables.rows import Key, Mark, PurchaseRow, Row, Word, key_of, order_row, planned

OWN_ID = ANN.purchase_id.decode()


class InMemory:
    """Tables that keep what a plan says."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.marks: set[Mark] = set()

    def takes(self, *words: Word) -> list[str]:
        plan = planned(words, self.rows, self.marks)
        self.rows |= plan.rows
        self.marks |= {word.mark for word in plan.new}
        return plan.wrong


@st.composite
def told_anyhow(draw: st.DrawFn) -> tuple[list[IssuedPurchase], list[list[Word]]]:
    """Give what happened, and its words shuffled, some of them twice, in some batches."""
    history = draw(histories())
    words = words_of(history)
    again = draw(st.lists(st.sampled_from(words))) if words else []
    shuffled = draw(st.permutations([*words, *again]))
    size = draw(st.integers(1, 5))
    return history, [shuffled[at : at + size] for at in range(0, len(shuffled), size)]


@given(told_anyhow())
def test_59_shuffled_and_doubled_words_give_the_tables_of_what_is_stored(
    told: tuple[list[IssuedPurchase], list[Sequence[Word]]],
) -> None:
    history, batches = told
    tables = InMemory()
    for words in batches:
        assert not any(tables.takes(*words))
    assert set(tables.rows.values()) == rows_after(history)
    assert tables.marks == {word.mark for word in words_of(history)}


def word(*rows: Row, event_id: str = "e") -> Word:
    return Word("purchase-created", 0, event_id, "PURCHASE_CREATED", "c", rows)


def test_the_same_row_again_is_success_and_another_one_of_its_version_is_wrong() -> None:
    tables, row = InMemory(), PurchaseRow(OWN_ID, "ann", EVENT, 3, is_active=True)
    other, newer = row._replace(is_active=False), row._replace(revision=4, is_active=False)
    assert tables.takes(word(row), word(row, event_id="f")) == ["", ""]
    [wrong] = tables.takes(word(other, event_id="g"))
    assert wrong == f"{OWN_ID} at version 3 has another is_active already"
    assert set(tables.rows.values()) == {row}
    # Wrong words mark nothing: mended and sent again, they are worked on.
    assert tables.marks == {("purchase-created", "e"), ("purchase-created", "f")}
    assert tables.takes(word(newer, event_id="h"), word(other, event_id="g")) == ["", ""]
    assert set(tables.rows.values()) == {newer}


def test_a_word_of_which_one_row_is_wrong_does_nothing_at_all() -> None:
    tables, order = InMemory(), order_row(ANN.purchase_id, ANN.orders[0])
    tables.takes(word(order))
    purchase = PurchaseRow(OWN_ID, "ann", EVENT, 9, is_active=True)
    [wrong] = tables.takes(word(purchase, order._replace(amount=1, currency="USD"), event_id="f"))
    assert wrong == f"{order.order_id} at version 1 has another amount, currency already"
    assert set(tables.rows.values()) == {order}
    assert key_of(purchase) not in tables.rows


def test_the_tickets_of_an_order_are_its_seats_and_as_valid_as_it_is() -> None:
    order = order_row(ANN.purchase_id, order_of("ann", 2, 2))
    assert [one.ticket_id for one in order.tickets()] == [
        "r-0-2.1.0.A-1.2.0",
        "r-0-2.1.0.A-1.2.1",
        "r-0-2.1.0.B.0.5",
    ]
    assert not any(one.is_valid for one in order.tickets())
