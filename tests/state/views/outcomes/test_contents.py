"""What a pod knows of recent reservations, held against a slow fold and against the owner."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import (
    CODECS,
    IDS,
    START_MS,
    A,
    Partition,
    confirm,
    extend,
    hold,
    logs,
    opened,
    release,
    tick,
)

from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS
from serdes.decoding import Decoded, TopicDecoder
from state.domain.outcome import (
    Outcome,
    OutcomeKind,
    ReservationView,
    after,
    as_stored,
    moves,
    place_of,
)
from state.domain.reservation import ReleaseCause, Status
from state.records.outcomes import outcome_of
from state.records.reservation import read_reservation
from state.views.outcomes.contents import OutcomeContents, OutcomeCounters
from streams.driver import PipedRecord

DECODER = TopicDecoder(RESERVATION_OUTCOMES, IDS)
PREFIX = f"{SECTION_COMMANDS.name}:0:"
RESERVATION_TAG = b"r"


def reading(*, since_ms: int = 0, bytes_max: int = 1 << 30) -> OutcomeContents:
    return OutcomeContents(
        1,
        DECODER,
        lambda _: False,
        OutcomeCounters(),
        since_ms=since_ms,
        bytes_max=bytes_max,
        never_ns=-1,
    )


def fed(
    values: Sequence[bytes], *, since_ms: int = 0, bytes_max: int = 1 << 30
) -> OutcomeContents:
    contents = reading(since_ms=since_ms, bytes_max=bytes_max)
    for value in values:
        contents.apply(0, outcome(value).reservation_id, value)
    return contents


def outcome(value: bytes) -> Outcome:
    decoded = DECODER.decode(value)
    assert isinstance(decoded, Decoded)
    return outcome_of(decoded.name, decoded.fields)


def published(log: Sequence[PipedRecord], sizes: Sequence[int]) -> Partition:
    """Fold a log in batches of these sizes, over and over."""
    partition = Partition()
    at = 0
    while at < len(log):
        for size in sizes:
            partition.fold(log[at : at + size])
            at += size
    return partition


def owner_says(partition: Partition) -> dict[bytes, ReservationView]:
    return {
        key[1:]: as_stored(read_reservation(CODECS, stored), PREFIX)
        for key, stored in partition.stored().items()
        if key.startswith(RESERVATION_TAG)
    }


def slowly_folded(values: Sequence[bytes]) -> dict[bytes, ReservationView]:
    """Fold what was decided, each decision once, in the order of the commands."""
    distinct = {told.outcome_id: told for told in map(outcome, values)}
    views: dict[bytes, ReservationView] = {}
    for told in sorted(distinct.values(), key=lambda told: place_of(told.outcome_id)):
        if not moves(told.kind, told.reason):
            continue
        before = views.get(told.reservation_id)
        if told.kind is not OutcomeKind.EXTENDED or before is not None:
            seats = () if before is None else before.seats
            views[told.reservation_id] = after(told, seats)
    return views


def known(contents: OutcomeContents, ids: Sequence[bytes]) -> dict[bytes, ReservationView]:
    found = {reservation: contents.get(reservation) for reservation in ids}
    return {reservation: view for reservation, view in found.items() if view is not None}


IDS_USED = [b"r%d" % number for number in range(8)]
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(logs(), SIZES)
def test_a_pod_that_saw_everything_knows_what_the_owner_knows(
    log: list[PipedRecord], sizes: list[int]
) -> None:
    partition = published(log, sizes)
    assert known(fed(partition.outcomes), IDS_USED) == {
        key: view for key, view in owner_says(partition).items() if key in IDS_USED
    }


@given(logs(), SIZES, st.data())
def test_repeats_of_any_earlier_outcome_at_any_time_change_nothing(
    log: list[PipedRecord], sizes: list[int], data: st.DataObject
) -> None:
    values: list[bytes] = published(log, sizes).outcomes
    repeated: list[bytes] = []
    for at, value in enumerate(values):
        again = data.draw(st.lists(st.sampled_from(values[: at + 1]), max_size=3))
        # An outcome is there before it is repeated.
        repeated += [value, *again]
    assert known(fed(repeated), IDS_USED) == slowly_folded(values)


@given(logs(), SIZES, st.integers(0, 60))
def test_a_pod_that_began_late_says_what_the_owner_says_or_nothing(
    log: list[PipedRecord], sizes: list[int], skipped: int
) -> None:
    partition = published(log, sizes)
    unread = [outcome(value).decided_at_ms for value in partition.outcomes[:skipped]]
    contents = fed(partition.outcomes[skipped:], since_ms=max(unread, default=0) + 1)
    said = owner_says(partition)
    for reservation, view in known(contents, IDS_USED).items():
        assert view == said[reservation]


@given(logs(), SIZES, st.integers(0, 4_000))
def test_memory_is_bounded_and_what_is_forgotten_is_not_told_wrongly(
    log: list[PipedRecord], sizes: list[int], bytes_max: int
) -> None:
    partition = published(log, sizes)
    contents = reading(bytes_max=bytes_max)
    for value in partition.outcomes:
        contents.apply(0, outcome(value).reservation_id, value)
        assert contents.size_bytes <= bytes_max
    said = owner_says(partition)
    for reservation, view in known(contents, IDS_USED).items():
        assert view == said[reservation]
    if not len(contents):
        assert contents.size_bytes == 0


@given(st.binary(max_size=60), st.integers(0, 2))
def test_a_record_that_cannot_be_read_makes_its_reservation_unknown(
    value: bytes, cut: int
) -> None:
    partition = opened("....")
    partition.send(hold("r1", 2), hold("r2", 1))
    contents = fed(partition.outcomes)
    bad = value if cut == 0 else partition.outcomes[-1][: -cut or None]
    assert contents.apply(0, b"r1", bad, {b"r1"}) is None
    assert contents.get(b"r1") is None
    assert contents.get(b"r2") is not None


def test_a_hold_repeated_after_its_sale_is_still_sold_but_the_repeat_is_told() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    partition.send(confirm("r1"))
    contents = fed(partition.outcomes)
    partition.send(hold("r1", 2))
    told = contents.apply(0, b"r1", partition.outcomes[-1], {b"r1"})
    assert told is not None
    assert told.kind is OutcomeKind.HELD
    view = contents.get(b"r1")
    assert view is not None
    assert view.status is Status.SOLD


def test_an_extension_keeps_the_seats_and_a_lapse_names_its_cause() -> None:
    partition = opened("....", hold_ms=2_000, max_hold_ms=60_000)
    partition.send(hold("r1", 3))
    partition.now_ms += 1_000
    partition.send(extend("r1", correlation="c"))
    view = fed(partition.outcomes).get(b"r1")
    assert view is not None
    assert (view.status, view.seats, view.deadline_ms) == (
        Status.HELD,
        ((0, 0, 3),),
        START_MS + 3_000,
    )
    partition.now_ms += 4_000
    partition.send(tick(partition.now_ms))
    view = fed(partition.outcomes).get(b"r1")
    assert view is not None
    assert (view.status, view.cause, view.deadline_ms) == (
        Status.RELEASED,
        ReleaseCause.LAPSED,
        0,
    )


def test_f04_a_hold_that_its_cancellation_overtook_stays_cancelled() -> None:
    partition = opened("....")
    partition.send(release("r1"))
    partition.send(hold("r1", 2))
    assert outcome(partition.outcomes[-1]).kind is OutcomeKind.REJECTED
    view = fed(partition.outcomes).get(b"r1")
    assert view is not None
    assert (view.status, view.cause) == (Status.RELEASED, ReleaseCause.CANCELLED)


def test_only_outcomes_that_somebody_wants_are_told() -> None:
    partition = opened("....")
    partition.send(hold("r1", 1), hold("r2", 1))
    contents = reading()
    told = [contents.apply(0, None, value, {b"r2"}) for value in partition.outcomes]
    assert [one.reservation_id for one in told if one is not None] == [b"r2"]
    assert told[-1] is not None
    assert told[-1].section.decode() == A
