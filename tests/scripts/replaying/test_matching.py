"""Each outcome is equal, wrong, lost, a phantom or a stranger's, wherever it lies."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from scripts.auditing.topics import LogRecord
from scripts.replaying.matching import Findings, Heard, Named

JUNK = b"junk"


def told(offset: int, said: str = "") -> bytes:
    """Return an outcome of a command."""
    return f"section-commands:0:{offset}:0 {said}".encode()


def decode(value: bytes) -> Named | None:
    if value == JUNK:
        return None
    outcome_id, _, said = value.decode().partition(" ")
    return "Told", {"outcomeId": outcome_id, "said": said}


def compared(
    expected: Sequence[bytes], lying: Sequence[bytes], *, behind: int, first: int = 0
) -> tuple[Heard, dict[str, int]]:
    """Compare outcomes of commands one after the other, each in a batch of its own."""
    findings = Findings()
    records = [LogRecord(at, 0, b"k", value) for at, value in enumerate(lying)]
    heard = Heard(0, iter(records), decode, findings)
    heard.skip_before(first, is_cut=False)
    for value in expected:
        heard.expect(b"k", value)
        heard.compare(int(value.split(b":")[2]))
    heard.end(behind)
    return heard, findings.counts


ALL = [told(at) for at in range(10)]


def test_equal_outcomes_are_counted() -> None:
    heard, found = compared(ALL, ALL, behind=10)
    assert (heard.equal, found, heard.read_to) == (10, {}, 10)


@given(st.sets(st.integers(0, 9)))
def test_every_outcome_that_is_missing_is_found(gone: set[int]) -> None:
    lying = [one for at, one in enumerate(ALL) if at not in gone]
    heard, found = compared(ALL, lying, behind=10)
    assert found == ({"lost outcome": len(gone)} if gone else {})
    assert heard.equal == 10 - len(gone)


@given(st.sets(st.integers(0, 9)))
def test_every_outcome_that_says_something_else_is_found(wrong: set[int]) -> None:
    lying = [told(at, "else") if at in wrong else one for at, one in enumerate(ALL)]
    _, found = compared(ALL, lying, behind=10)
    assert found == ({"wrong outcome": len(wrong)} if wrong else {})


@given(st.lists(st.integers(0, 9), max_size=5))
def test_outcomes_that_no_command_led_to_are_found(twice: list[int]) -> None:
    lying = sorted([*ALL, *(told(at) for at in twice)])
    _, found = compared(ALL, lying, behind=10)
    assert found == ({"phantom outcome": len(twice)} if twice else {})


@given(st.lists(st.integers(0, 10), max_size=6))
def test_what_strangers_wrote_is_counted_and_passed(places: list[int]) -> None:
    lying = [*ALL]
    for place in places:
        lying.insert(place, JUNK)
    heard, found = compared(ALL, lying, behind=10)
    assert (heard.foreign, heard.equal, found) == (len(places), 10, {})


def test_outcomes_of_commands_behind_the_end_are_not_judged() -> None:
    heard, found = compared(ALL[:6], ALL, behind=6)
    assert (heard.equal, found, heard.read_to) == (6, {}, 6)


def test_outcomes_of_earlier_commands_are_passed() -> None:
    heard, found = compared(ALL[4:], ALL, behind=10, first=4)
    assert (heard.equal, found) == (6, {})


def test_where_retention_removed_outcomes_nothing_is_said_of_their_commands() -> None:
    findings = Findings()
    heard = Heard(0, iter([LogRecord(7, 0, b"k", told(7))]), decode, findings)
    heard.skip_before(2, is_cut=True)
    for at in range(2, 8):
        heard.expect(b"k", told(at))
        heard.compare(at)
    heard.end(8)
    assert (heard.equal, findings.counts) == (1, {})


def test_the_first_of_a_kind_is_shown_with_both_records() -> None:
    findings = Findings()
    heard = Heard(3, iter([LogRecord(7, 0, b"k", told(5, "sold"))]), decode, findings)
    heard.skip_before(0, is_cut=False)
    heard.expect(b"k", told(5, "held"))
    heard.compare(5)
    [one] = findings.first.values()
    assert (one.kind, one.partition, one.offset) == ("wrong outcome", 3, 5)
    assert "said is 'sold' instead of 'held'" in one.message
    assert "held" in one.excerpt[0]
    assert "sold" in one.excerpt[1]
