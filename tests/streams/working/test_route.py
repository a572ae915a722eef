"""A piece of work as a route: two groups on one topic, batches of any size, poison, rewinds."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.workers.postings import DONE, SOURCE, Office, headers

from streams.batch import Batch
from streams.driver import PipedRecord, TopologyDriver
from streams.intents import Answer, Result
from streams.working.fold import Work


def test_a_role_is_a_word() -> None:
    with pytest.raises(ValueError, match="is no role"):
        Work("a b", SOURCE, lambda _: None)


def test_two_groups_on_one_topic_both_act_and_hear_their_own_answers_only() -> None:
    """Each has a store of its own; of the other's answers and ticks it takes no harm."""
    one, other = Office(calls=True), Office(calls=True, role="cache")
    for office in (one, other):
        office.order("ann", "e1", correlation="c", kind="BOUGHT")
    [pending] = one.driver.intents(SOURCE)
    said = Answer(result=Result.ANSWERED, payload=b"said")
    told = one.driver.answer(pending, said)
    other.driver.pipe(SOURCE, told.key, told.value, partition=0)
    other.driver.advance(10)
    assert (one.posted("ann"), other.posted("ann")) == (["e1"], [])
    assert other.answer_all() == 1
    assert other.posted("ann") == ["e1"]
    assert other.letters() == []


events = st.tuples(st.sampled_from("ab"), st.integers(0, 6), st.integers(0, 3))


def folded(office: Office, records: Sequence[PipedRecord], size: int) -> dict[bytes, bytes]:
    """Fold records in batches of a size; return what is stored."""
    for begin in range(0, len(records), size):
        office.driver.replay(SOURCE, 0, records[begin : begin + size])
    return office.driver.stored(SOURCE, 0)


@given(st.lists(events, min_size=1, max_size=15), st.integers(1, 15))
def test_where_a_batch_ends_decides_nothing(
    given_events: list[tuple[str, int, int]], size: int
) -> None:
    records = []
    for offset, (key, number, later) in enumerate(given_events):
        at_ms = 1_700_000_000_000 + 900 * offset
        is_tick = later == 3
        records.append(
            PipedRecord(
                SOURCE,
                0,
                offset,
                at_ms,
                b"\0tick" if is_tick else key.encode(),
                b"%d" % at_ms if is_tick else b"v%d" % number,
                () if is_tick else headers(f"e{number}"),
            )
        )
    whole, parted = Office(), Office()
    for office in (whole, parted):
        office.fails.update({"e1": 1, "e2": 5})
    assert folded(whole, records, len(records)) == folded(parted, records, size)
    assert whole.letters() == parted.letters()
    assert [one.value for one in whole.driver.read(DONE)] == [
        one.value for one in parted.driver.read(DONE)
    ]


def test_f34_a_rewind_to_the_beginning_changes_nothing() -> None:
    office = Office()
    office.fails["a1"] = 1
    office.order("ann", "a1")
    office.order("ann", "a2")
    office.driver.advance(1_000)
    before = office.driver.stored(SOURCE, 0)
    office.driver.read(DONE)
    office.replay()
    assert office.driver.stored(SOURCE, 0) == before
    assert office.driver.read(DONE) == []


def refuse(driver: TopologyDriver, office: Office, record: PipedRecord) -> None:
    """Do as the runtime does with a record that no handler survived."""
    assert office.route.refuse is not None
    state = driver.state(SOURCE, 0)
    office.route.refuse(Batch(SOURCE, 0, 1, [record]), state, record, 0)
    state.write(state.seal(), None)
    state.release()


def test_f23_an_answer_that_nobody_survived_is_a_failed_attempt() -> None:
    office = Office(calls=True)
    office.order("ann", "a1")
    office.order("ann", "a2")
    driver = office.driver
    for attempt in (1, 2, 3):
        [pending] = driver.intents(SOURCE)
        assert pending.intent.attempt == attempt
        assert office.route.answer is not None
        key, value = office.route.answer(pending.intent, Answer(result=Result.ANSWERED))
        at = len(driver.log(SOURCE, 0)) + attempt
        refuse(driver, office, PipedRecord(SOURCE, 0, at, driver.log_time_ms, key, value))
    # Who waited behind it has its turn with the next record.
    assert driver.intents(SOURCE) == []
    driver._log[SOURCE, 0].extend([driver._log[SOURCE, 0][0]] * 10)
    driver.advance(1)
    [pending] = driver.intents(SOURCE)
    assert pending.intent.idempotency_key == "post:a2"


def test_f23_progress_moves_over_any_record_that_nobody_survived() -> None:
    office = Office()
    record = PipedRecord(SOURCE, 0, 6, 1_700_000_000_000, b"ann", b"v")
    refuse(office.driver, office, record)
    assert office.route.progress is not None
    assert office.route.progress(office.driver.state(SOURCE, 0)).next_offset == 7
