"""Commands that no worker survived are decided by themselves; whatever the batches, alike."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import SEATS_CHANGELOG
from scripts.auditing.topics import LogRecord
from scripts.replaying.folding import AT_ONCE, Scratch, batches, compare_states
from scripts.replaying.matching import Findings
from scripts.replaying.snapshots import Items


def record(offset: int) -> LogRecord:
    return LogRecord(offset, 0, b"k", b"v", (("h", None),))


@given(st.integers(0, 3 * AT_ONCE), st.sets(st.integers(0, 3 * AT_ONCE), max_size=8))
def test_commands_come_in_their_order_and_those_that_killed_by_themselves(
    count: int, quarantined: set[int]
) -> None:
    found = list(batches(map(record, range(count)), quarantined))
    assert [one.offset for some in found for one in some] == list(range(count))
    for some in found:
        assert len(some) <= AT_ONCE
        assert len(some) == 1 or not {one.offset for one in some} & quarantined


def test_a_header_without_a_value_is_read_as_an_empty_one() -> None:
    [[one]] = batches([record(1)], ())
    assert one.headers == (("h", b""),)


def test_a_scratch_store_has_what_a_snapshot_had(tmp_path: Path) -> None:
    items: Items = {b"r%d" % at: (b"v%d" % at, at) for at in range(AT_ONCE + 3)}
    scratch = Scratch(tmp_path, SEATS_CHANGELOG.name, 3)
    scratch.fill(items)
    assert dict(scratch.items()) == items
    scratch.store.close()


@given(
    st.dictionaries(st.binary(max_size=2), st.tuples(st.binary(max_size=2), st.integers(0, 3))),
    st.dictionaries(st.binary(max_size=2), st.tuples(st.binary(max_size=2), st.integers(0, 3))),
)
def test_every_key_is_equal_wrong_lost_or_a_phantom(lives: Items, again: Items) -> None:
    findings = Findings()
    equal = compare_states(0, 9, lives, sorted(again.items()), lambda _key, _made: False, findings)
    both = lives.keys() & again.keys()
    want = {
        "wrong state": sum(lives[key] != again[key] for key in both),
        "lost state": len(again.keys() - lives.keys()),
        "phantom state": len(lives.keys() - again.keys()),
    }
    assert findings.counts == {kind: count for kind, count in want.items() if count}
    assert equal == len(both) - want["wrong state"]
