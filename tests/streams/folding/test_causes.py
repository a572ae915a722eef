"""The ids of a record go on to what it leads to, and to nothing else."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import Partition, guarded_tick, hold
from support.workers.tallies import IDLE_MS, OUTCOMES, TallyFold, fold_of, tally

from infra.process.record_ids import followed
from streams.batch import Outgoing, Told
from streams.driver import PipedRecord
from streams.folding.causes import _hand_on, each_followed

IDS = (("correlation-id", b"c1"),)
headers = st.lists(
    st.tuples(
        st.sampled_from(["correlation-id", "traceparent", "other"]),
        st.sampled_from([b"a", b"b c", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"]),
    ),
    max_size=3,
)


def headers_of(record: Told) -> tuple[tuple[str, bytes], ...]:
    return tuple(record[2]) if len(record) > 2 else ()


@given(st.lists(headers, min_size=1, max_size=8))
def test_each_outcome_has_the_ids_of_its_own_record(
    given_headers: list[list[tuple[str, bytes]]],
) -> None:
    partition = Partition(handler=tally)
    sent = partition.append(*(hold(f"r{n}", 1) for n in range(len(given_headers))))
    records = [
        replace(record, headers=tuple(one))
        for record, one in zip(sent, given_headers, strict=True)
    ]
    told = partition.run(records).outgoing[OUTCOMES]
    expected = [tuple(followed(one)) for one in given_headers]
    assert [headers_of(record) for record in told] == expected


def test_what_becomes_due_at_a_record_was_not_caused_by_it() -> None:
    partition = Partition(handler=tally)
    partition.run(partition.append(hold("old", 1), guarded_tick(partition.now_ms)))
    partition.now_ms += IDLE_MS
    tick, new = partition.append(guarded_tick(partition.now_ms), hold("new", 1))
    told = partition.run([replace(tick, headers=IDS), replace(new, headers=IDS)]).outgoing[
        OUTCOMES
    ]
    assert [(record[0], headers_of(record)) for record in told] == [(b"old", ()), (b"new", IDS)]


def test_every_topic_gets_the_ids_and_what_has_headers_keeps_them() -> None:
    partition = Partition(handler=tally)
    fold: TallyFold = fold_of([], partition.state)
    own = Outgoing(b"k", b"v", (("own", b"1"),))
    fold.effects.to("before").append((b"k", b"early"))
    record = PipedRecord("t", 0, 0, 0, None, None, IDS)
    for _ in each_followed(fold, [(record, 1)]):
        assert fold.cause == IDS
        fold.effects.to("before").append((b"k", b"late"))
        fold.effects.to("new").append(own)
    assert fold.effects.outgoing == {
        "before": [(b"k", b"early"), (b"k", b"late", IDS)],
        "new": [own],
    }
    assert fold.cause == ()


def test_nothing_is_handed_on_before_the_mark() -> None:
    told: list[Told] = [(b"a", b"1"), (b"b", b"2")]
    _hand_on(told, 1, IDS)
    assert told == [(b"a", b"1"), (b"b", b"2", IDS)]
