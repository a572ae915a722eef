from hypothesis import given
from hypothesis import strategies as st

from state.domain.keys import RESERVATION_ID
from state.domain.tickets import IDEMPOTENCY_KEY, issued_id, split_issued_id, ticket_of

KEYS = st.from_regex(IDEMPOTENCY_KEY, fullmatch=True)
USERS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=16)


@given(USERS, KEYS, st.integers(0, 999_999))
def test_an_id_given_out_is_one_that_commands_may_carry_and_tells_its_parts(
    user: str, key: str, partition: int
) -> None:
    ticket = ticket_of(user, key)
    reservation_id = issued_id(ticket, partition)
    assert RESERVATION_ID.fullmatch(reservation_id.encode())
    assert split_issued_id(reservation_id) == (ticket, partition)


@given(st.tuples(USERS, KEYS), st.tuples(USERS, KEYS))
def test_tickets_are_the_same_for_the_same_user_and_key_only(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (ticket_of(*one) == ticket_of(*other)) == (one == other)


def test_no_user_can_shift_characters_between_name_and_key() -> None:
    assert ticket_of("ann", "bc") != ticket_of("an", "nbc")


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[a-z2-7]{26}-[0-9]{1,8}")))
def test_whatever_is_split_is_put_together_as_it_was(text: str) -> None:
    parts = split_issued_id(text)
    assert parts is None or issued_id(*parts) == text


def test_an_id_that_only_looks_alike_is_none_of_ours() -> None:
    ticket = ticket_of("ann", "k")
    for text in (ticket, f"{ticket}-", f"{ticket}-01", f"{ticket}--1", f"{ticket.upper()}-1"):
        assert split_issued_id(text) is None
        assert split_issued_id(text + "\n") is None
