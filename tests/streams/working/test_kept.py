"""A record that waits is stored whole, and comes back to the byte."""

from hypothesis import given
from hypothesis import strategies as st

from streams.working.inbox import Event
from streams.working.kept import Kept, line_of, offsets_of, waiting_key

some_bytes = st.one_of(st.none(), st.binary(max_size=20))
# As the runtime reads names that are no UTF-8.
names = st.binary(max_size=10).map(lambda name: name.decode("utf-8", "surrogateescape"))
kepts = st.builds(
    Kept,
    st.builds(Event, st.text(max_size=5), st.text(max_size=5), st.text(max_size=5)),
    st.integers(0, 2**62),
    st.integers(0, 2**62),
    some_bytes,
    some_bytes,
    st.lists(st.tuples(names, some_bytes), max_size=3).map(tuple),
    st.integers(0, 100),
)


@given(kepts)
def test_a_stored_record_is_read_as_it_was(kept: Kept) -> None:
    assert Kept.of_stored(kept.stored()) == kept


@given(kepts, kepts)
def test_records_of_one_key_have_one_line_and_those_without_a_key_have_none(
    one: Kept, other: Kept
) -> None:
    are_together = one.key == other.key and (one.key is not None or one.offset == other.offset)
    assert (one.line == other.line) == are_together
    # No byte of a stranger's key comes into the store's keys.
    assert one.line[2:].isalnum()
    assert one.line[2:].isascii()
    line, _, offset = one.place.partition(":")
    assert one.waiting == waiting_key(line, int(offset))


@given(st.lists(st.integers(0, 2**62), min_size=1))
def test_a_line_is_read_in_its_order(offsets: list[int]) -> None:
    assert offsets_of(line_of(offsets)) == offsets
    assert offsets_of(None) == []


def test_of_failures_the_first_and_the_last_are_kept() -> None:
    kept = Kept(Event("e", "c"), 7, 5, b"k", b"v", ())
    for number, now_ms in enumerate((10, 20, 30)):
        kept = kept.after_failure(f"why {number} " + "x" * 300, now_ms)
    letter = kept.letter("R", "post")
    assert letter.attempts == 3
    assert letter.detail.startswith("why 2 ")
    assert letter.failures is not None
    assert letter.failures.first.startswith("why 0 ")
    assert len(letter.failures.first) == len(letter.detail) == 200
    assert (letter.failures.first_ms, letter.failures.last_ms) == (10, 30)
