"""A second handler on `streams.folding`, about no seats: it counts what comes under each id.

A tally is forgotten a minute after its last record, and told then. Its input are section commands,
of which it takes no more than the reservation's id.
"""

from collections.abc import Sequence

from support.seats.section_commands import CODECS

from streams.batch import Batch, Effects, Record, State
from streams.folding.batches import fold_batch
from streams.folding.fold import Fold
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
    names, decoded = read(fold, records)
    keys = [TALLY + fields[0] if len(fields) > 1 else fold.progress_key for fields in decoded]
    for record, name, fields, key, found in zip(
        records, names, decoded, keys, fold.look_up(keys), strict=True
    ):
        fold.follow(record, name, fields)
        _forget(fold)
        if not name or name == fold.tick_name:
            continue
        stored = fold.state.get(key) if key in fold.look_again else found
        count = b"%d" % (int(stored or 0) + 1)
        fold.put(key, count, fold.log_time_ms + IDLE_MS)
        fold.outcomes.append((fields[0], b"%s %s" % (count, fold.outcome_id())))


def _forget(fold: TallyFold) -> None:
    for ordinal, (key, stored) in enumerate(fold.due(), 1):
        fold.delete(key)
        fold.emit(key[1:], b"%s %s" % (stored, fold.outcome_id(ordinal)), "FORGOTTEN")


def _again(fold: TallyFold, records: Sequence[Record]) -> None:
    """Emit nothing but that they came again: a tally does not keep what it told."""
    read(fold, records)
    for record in records:
        fold.emit(record.key or b"", b"%d" % record.offset, "REPEATED")
