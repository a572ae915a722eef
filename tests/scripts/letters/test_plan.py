"""A re-drive sends each record once, in the order of each key, and says what stays behind."""

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.letters.letter import REDRIVEN_FROM, Letter, Origin, sent_back
from scripts.letters.plan import Standing, Step, batches, pause_s, plan
from scripts.letters.wanted import Wanted

SOURCE = "section-commands"


def letter(
    at: int, key: bytes = b"a", cause: str = "SCHEMA", *, origin: int | None = None
) -> Letter:
    """Return a letter at offset `at`, of the original at `origin`."""
    of = Origin(SOURCE, 0, at if origin is None else origin, 1)
    return Letter(0, at, 1, of, cause, "", key, b"v", (), {}, "")


letters_ = st.lists(
    st.builds(
        lambda at, key, cause, cut: replace(letter(at, key, cause), cut=cut),
        st.integers(0, 30),
        st.sampled_from([b"a", b"b", b""]),
        st.sampled_from(["SCHEMA", "LOST", "QUARANTINED"]),
        st.sampled_from(["", "", "", "cut"]),
    ),
    max_size=25,
    unique_by=lambda one: one.offset,
)
wanted_ = st.builds(Wanted, causes=st.sets(st.sampled_from(["SCHEMA", "QUARANTINED"])))


def standings(steps: list[Step]) -> list[tuple[int, Standing]]:
    return [(step.letter.offset, step.standing) for step in steps]


def sent_by(steps: list[Step]) -> list[Letter]:
    return [step.letter for step in steps if step.standing is Standing.SEND]


@given(letters_, wanted_, st.booleans())
def test_a_second_run_sends_nothing(letters: list[Letter], wanted: Wanted, leave: bool) -> None:
    sent = {one.origin.id for one in sent_by(plan(letters, set(), wanted, leave_earlier=leave))}
    again = plan(letters, sent, wanted, leave_earlier=leave)
    assert not sent_by(again)
    assert {step.letter.origin.id for step in again if step.standing is Standing.SENT} == sent


@given(letters_, wanted_, st.data())
def test_a_run_that_was_stopped_is_finished_by_the_next(
    letters: list[Letter], wanted: Wanted, data: st.DataObject
) -> None:
    whole = [one.origin.id for one in sent_by(plan(letters, set(), wanted))]
    done = data.draw(st.integers(0, len(whole)))
    rest = [one.origin.id for one in sent_by(plan(letters, set(whole[:done]), wanted))]
    assert whole[:done] + rest == whole


@given(letters_, wanted_)
def test_no_letter_overtakes_an_earlier_one_of_its_key(
    letters: list[Letter], wanted: Wanted
) -> None:
    sent = {one.offset for one in sent_by(plan(letters, set(), wanted))}
    by_key = defaultdict(list)
    for one in sorted(letters, key=lambda one: one.offset):
        if one.key:
            by_key[one.key].append(one.offset in sent)
    # What was sent of a key is its beginning.
    for is_sent in by_key.values():
        assert is_sent == sorted(is_sent, reverse=True)


@given(letters_, wanted_)
def test_with_leave_earlier_all_that_can_be_sent_is(letters: list[Letter], wanted: Wanted) -> None:
    steps = plan(letters, set(), wanted, leave_earlier=True)
    can = [one for one in letters if wanted.has(one) and not one.unsendable]
    assert sent_by(steps) == sorted(can, key=lambda one: one.offset)
    assert len(steps) == sum(wanted.has(one) for one in letters)


def test_two_letters_of_one_record_send_it_once() -> None:
    twice = [letter(1, origin=7), letter(2, origin=7)]
    assert standings(plan(twice, set(), Wanted())) == [(1, Standing.SEND), (2, Standing.SENT)]


def test_what_is_asked_for_waits_behind_what_is_not() -> None:
    both = [letter(1, cause="LATER"), letter(2), letter(3, b"b")]
    steps = plan(both, set(), Wanted(causes={"SCHEMA"}))
    assert standings(steps) == [(2, Standing.BEHIND), (3, Standing.SEND)]
    assert "0:1" in steps[0].why


def test_letters_are_sent_in_the_order_of_their_originals() -> None:
    assert standings(plan([letter(2, origin=4), letter(1, origin=9)], set(), Wanted())) == [
        (2, Standing.SEND),
        (1, Standing.SEND),
    ]


def test_a_record_that_failed_again_keeps_its_place_before_later_ones_of_its_key() -> None:
    first, second = letter(1, origin=4), letter(2, origin=9)
    again = letter(3, origin=12)
    for _ in range(2):
        again = replace(again, headers=sent_back(first, 1, None).headers)
        steps = plan([first, second, again], {first.origin.id}, Wanted())
        assert [one.offset for one in sent_by(steps)] == [again.offset, second.offset]
        # Sent back once more, and failed once more.
        first, again = again, letter(5, origin=20)


@pytest.mark.parametrize(
    "said",
    [b"", b"junk", b"section-commands-0:x@1", b"elsewhere-0:1@1", b"section-commands-1:1@1"],
)
def test_a_place_that_a_stranger_made_up_moves_nothing(said: bytes) -> None:
    forged = replace(letter(2, origin=9), headers=((REDRIVEN_FROM, said),))
    steps = plan([letter(1, origin=4), forged], set(), Wanted())
    assert [one.offset for one in sent_by(steps)] == [1, 2]


@given(letters_, st.integers(1, 7))
def test_batches_are_all_that_is_sent_in_order(letters: list[Letter], size: int) -> None:
    steps = plan(letters, set(), Wanted(), leave_earlier=True)
    parts = batches(steps, size)
    assert [step.letter for part in parts for step in part] == sent_by(steps)
    assert all(1 <= len(part) <= size for part in parts)


@pytest.mark.parametrize(
    ("sent", "rate", "elapsed_s", "pause"),
    [(10, 5.0, 0.5, 1.5), (10, 5.0, 9.0, 0.0), (10, 0, 0, 0)],
)
def test_a_pause_holds_the_rate(sent: int, rate: float, elapsed_s: float, pause: float) -> None:
    assert pause_s(sent, rate, elapsed_s) == pause
