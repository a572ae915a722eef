"""What each kind of decision does to the state and says to the buyer, and what it does not."""

from support.seats.section_commands import (
    CODECS,
    EVENT,
    PARTITIONS,
    A,
    Partition,
    Told,
    hold,
    opened,
    told,
)

from serdes.decoding import Decoded
from state.domain.keys import section_key
from state.domain.layout import SeatPosition
from state.domain.reasons import Reason
from state.domain.reservation import Status
from streams.batch import Batch
from streams.change_sections.decide import _write, command_of
from streams.change_sections.decisions import Again, Changed, Decision, Refused, Rejected
from streams.change_sections.fold import STATE_BYTES_MAX, SectionFold

SEAT = SeatPosition(0, 1)


class Written:
    """A decision of a hold command `r1`, written over a section of four seats."""

    def __init__(self, decision: Decision) -> None:
        partition: Partition = opened("....")
        before = partition.stored()
        batch = Batch("section-commands", 0, PARTITIONS, [])
        fold = SectionFold(CODECS, batch, partition.state, 0, STATE_BYTES_MAX)
        fold.offset = 5
        verdict = CODECS.commands.decode(hold("r1", 2)[1])
        assert isinstance(verdict, Decoded)
        command = command_of(verdict)
        assert command is not None
        _write(fold, command, fold.section(section_key(EVENT, A)), decision)
        state = partition.state
        state.write(state.seal(), None)
        state.release()
        after = partition.stored()
        self.changed = {key: after[key] for key in after if after[key] != before.get(key)}
        self.outcomes = fold.outcomes
        self.decisions = fold.effects.decisions
        self.fold = fold

    @property
    def told(self) -> Told:
        (outcome,) = self.outcomes
        assert outcome[0] == b"r1"
        return told(outcome[1])


def test_a_refusal_tells_its_reason_and_its_seat_and_stores_nothing() -> None:
    written = Written(Refused(Reason.SEAT_TAKEN, SEAT))
    assert written.changed == {}
    assert (written.told.name, written.told.reason) == ("CommandRefused", Reason.SEAT_TAKEN)
    assert (written.told.seat, written.told.version) == (SEAT, 1)
    assert written.decisions == {"SEAT_TAKEN": 1}


def test_a_rejection_that_is_for_good_is_stored_under_its_id() -> None:
    written = Written(Rejected(Reason.SEAT_TAKEN, SEAT, (SEAT, SeatPosition(0, 2)), True))
    assert written.changed.keys() == {b"rr1"}
    stored = written.fold.reservation(written.changed[b"rr1"])
    assert (stored.status, stored.reason) == (Status.REJECTED, Reason.SEAT_TAKEN)
    assert (stored.seat_count, stored.chosen) == (2, ((0, 1), (0, 2)))
    # Whoever asks again gets these very bytes.
    assert written.fold.first_outcome(stored) == written.outcomes[0][1]
    assert written.decisions == {"SEAT_TAKEN": 1}


def test_a_rejection_is_not_for_good_unless_it_says_so() -> None:
    written = Written(Rejected(Reason.CANCELLED))
    assert written.changed == {}
    assert (written.told.name, written.told.reason) == ("ReservationRejected", Reason.CANCELLED)


def test_what_was_decided_before_is_told_in_the_same_bytes() -> None:
    written = Written(Again(b"as it was told"))
    assert (written.outcomes, written.changed) == ([(b"r1", b"as it was told")], {})
    assert written.decisions == {"REPEATED": 1}


def test_a_change_stores_what_it_brings_and_nothing_else() -> None:
    written = Written(Changed(b"told", "BLOCKED", puts=((b"b7-A", b"1"),)))
    assert written.changed == {b"b7-A": b"1"}
    assert written.outcomes == [(b"r1", b"told")]
    assert written.decisions == {"BLOCKED": 1}
