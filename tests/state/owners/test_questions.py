"""What an owner answers is believed only where it is that owner's, and new enough."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.owners.protocol import OWNER_HEADER, PROGRESS_HEADER, framed
from state.owners.questions import OwnerNotReady, OwnerUnreachable, Question, payloads_in

ME = "seats-one-3"


def headers(owner: str = ME, progress: str = "7") -> dict[str, str]:
    return {OWNER_HEADER: owner, PROGRESS_HEADER: progress}


@given(st.lists(st.none() | st.binary(max_size=20), min_size=2, max_size=8))
def test_several_payloads_are_what_was_framed(payloads: list[bytes | None]) -> None:
    assert payloads_in(ME, 200, headers(), framed(payloads), len(payloads), 7) == payloads


def test_one_payload_is_the_body_and_an_absent_one_a_404() -> None:
    assert payloads_in(ME, 200, headers(), b"stored", 1, 0) == [b"stored"]
    assert payloads_in(ME, 404, headers(), b"", 1, 0) == [None]


@pytest.mark.parametrize(
    ("status", "given", "least", "refusal"),
    [
        (401, headers(), 0, OwnerUnreachable),
        (503, headers(), 0, OwnerNotReady),
        (421, {}, 0, OwnerNotReady),
        (500, headers(), 0, OwnerUnreachable),
        (200, {}, 0, OwnerUnreachable),
        (200, headers("seats-two-4"), 0, OwnerNotReady),
        (200, headers(progress="soon"), 0, OwnerUnreachable),
        # It has not stored yet what this pod was told.
        (200, headers(), 8, OwnerNotReady),
        (404, headers(), 8, OwnerNotReady),
    ],
)
def test_no_other_answer_says_anything(
    status: int, given: dict[str, str], least: int, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        payloads_in(ME, status, given, b"stored", 1, least)


def test_a_list_of_another_length_than_was_asked_for_is_none() -> None:
    with pytest.raises(OwnerUnreachable, match="something else than 3 records"):
        payloads_in(ME, 200, headers(), framed([b"a", b"b"]), 3, 0)
    # Whoever lists keys asks for any number.
    listing = Question("in", 0, (b"p", b"p"), is_listing=True)
    assert listing.count is None
    assert payloads_in(ME, 200, headers(), framed([b"a", b"b"]), listing.count, 0) == [b"a", b"b"]
