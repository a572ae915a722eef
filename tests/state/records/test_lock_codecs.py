"""What is told of locks is read as it was written."""

from schemas.topics import SEAT_UNLOCK
from serdes.avro.codegen import IDENTITY, encoder
from serdes.decoding import Decoded
from serdes.encoding import encoders
from serdes.registry.ids import counted_ids
from state.records.lock_codecs import LOCKS, LockCodecs, LocksReleased
from state.records.names import SeatUnlock

IDS = counted_ids()
CODECS = LockCodecs.of(IDS)


def test_an_answer_is_read_as_it_was_written() -> None:
    told = LocksReleased(b"unlock:3:17", 2, True, 3, 0, b"")
    verdict = CODECS.records.decode(CODECS.released(*told), ())
    assert isinstance(verdict, Decoded)
    assert (verdict.name, LocksReleased(*verdict.fields)) == (LOCKS + "LocksReleased", told)


def test_the_end_of_a_hold_is_read_as_its_section_wrote_it() -> None:
    identity = encoder(IDENTITY)(b"r1", b"ann", b"c", b"A", 7)
    write = encoders(SEAT_UNLOCK, IDS)[LOCKS + "SeatUnlock"]
    verdict = CODECS.records.decode(write(identity, b"commands:0:1:0", 2, 3, ((1, 4, 2),)), ())
    assert isinstance(verdict, Decoded)
    told = SeatUnlock(*verdict.fields)
    assert (told.reservation_id, told.section, told.event_id) == (b"r1", b"A", 7)
    assert (told.outcome_id, told.epoch, told.cause) == (b"commands:0:1:0", 2, 3)
    assert told.seats == ((1, 4, 2),)
