"""A second handler on `streams.folding`, about no seats: it counts what comes under each id.

A tally is forgotten a minute after its last record, and told then. Its input are section commands,
of which it takes no more than the reservation's id.
"""

from collections.abc import Sequence

from support.seats.section_commands import CODECS

from state.records.names import RESERVATION_ID
from streams.batch import Batch, Effects, Record, State
from streams.folding.batches import fold_batch
from streams.folding.commands import each_command
from streams.folding.fold import Fields, Fold
from streams.folding.reading import read

IDLE_MS = 60_000
OUTCOMES = "tallies"
TALLY = b"t"


class TallyFold(Fold):
    """Tallies by reservation id."""

    tick_name = "io.seatstream.commands.Tick"
    progress_key = b"progress"
    usual = "TALLIED"

    __slots__ = ()


def fold_of(records: Sequence[Record], state: State, log_time_ms: int = 0) -> TallyFold:
    return TallyFold(CODECS.commands, Batch("section-commands", 0, 4, records), state, log_time_ms)


def tally(batch: Batch, state: State, log_time_ms: int) -> Effects:
    fold = TallyFold(CODECS.commands, batch, state, log_time_ms)
    return fold_batch(fold, OUTCOMES, tell_again=_again, decide=_decide, settle=lambda _: None)


def _decide(fold: TallyFold, records: Sequence[Record]) -> None:
    for _, _, fields, stored in each_command(fold, records, key_of=_key_of, end_due=_forget):
        count = b"%d" % (int(stored or 0) + 1)
        fold.put(_key_of(fields), count, fold.log_time_ms + IDLE_MS)
        fold.outcomes.append((fields[RESERVATION_ID], b"%s %s" % (count, fold.outcome_id())))


def _key_of(fields: Fields) -> bytes:
    key: bytes = TALLY + fields[RESERVATION_ID]
    return key


def _forget(fold: TallyFold) -> None:
    for ordinal, (key, stored) in enumerate(fold.due(), 1):
        fold.delete(key)
        fold.emit(key[1:], b"%s %s" % (stored, fold.outcome_id(ordinal)), "FORGOTTEN")


def _again(fold: TallyFold, records: Sequence[Record]) -> None:
    """Emit nothing but that they came again: a tally does not keep what it told."""
    read(fold, records)
    for record in records:
        fold.emit(record.key or b"", b"%d" % record.offset, "REPEATED")
