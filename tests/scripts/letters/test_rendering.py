"""What is told of letters is one line each, adds up, and steers no terminal."""

import json

from hypothesis import given
from hypothesis import strategies as st

from scripts.auditing.schemas import Unreadable
from scripts.letters import rendering
from scripts.letters.letter import Letter, Origin
from scripts.letters.plan import Standing, Step

texts = st.text(max_size=30)
letters = st.builds(
    Letter,
    st.integers(0, 19),
    st.integers(0, 10**6),
    st.integers(0, 2 * 10**12),
    st.builds(Origin, texts, st.integers(0, 19), st.integers(0, 10**6), st.integers(-1, 2**63)),
    texts,
    texts,
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=40),
    st.lists(st.tuples(texts, st.none() | st.binary(max_size=9)), max_size=3).map(tuple),
    st.dictionaries(texts, texts, max_size=3),
    texts,
)
steps = st.lists(st.builds(Step, letters, st.sampled_from(Standing), texts), max_size=8)


def nobody_knows(_: int) -> str:
    raise Unreadable("nobody knows")


@given(letters, st.booleans())
def test_every_line_of_a_letter_is_printable(letter: Letter, was_sent: bool) -> None:
    lines = [
        rendering.line_of(letter, was_sent=was_sent),
        *rendering.shown(letter, nobody_knows, was_sent=was_sent),
    ]
    assert all(line.isprintable() for line in lines)
    assert letter.place in lines[0]
    assert json.loads(json.dumps(rendering.as_json(letter, was_sent=was_sent)))


@given(steps)
def test_a_plan_has_a_line_for_each_step_and_sums_that_add_up(steps: list[Step]) -> None:
    lines = list(rendering.plan_as_text(steps))
    assert len(lines) == len(steps) + 1
    assert all(line.isprintable() for line in lines)
    assert sum(rendering.sums(steps).values()) == len(steps)
    assert lines[-1].startswith(f"{rendering.sums(steps)['send']} to send, ")


@given(st.lists(letters, max_size=8))
def test_counts_have_the_most_first(some: list[Letter]) -> None:
    counts = [int(line.split()[0]) for line in rendering.counts(some)]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == len(some)


def test_a_value_that_can_be_read_is_shown_as_fields() -> None:
    schema = {"type": "record", "name": "P", "fields": [{"name": "b", "type": "bytes"}]}
    letter = Letter(
        0, 1, 1, Origin("t", 0, 1, 1), "C", "", b"k", b"\0\0\0\0\1\x02\xff", (), {}, ""
    )
    lines = list(rendering.shown(letter, lambda _: json.dumps(schema), was_sent=False))
    assert "value: P, as it was written" in lines
    assert '  "b": "ff"' in lines
