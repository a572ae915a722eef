"""Commands of a batch in; what they change, written into the fold.

One ladder opens every command: its key and partition are right, its section is touched, its rules
are asked. What they return is written into the fold here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from state.domain.allocation import best_available
from state.domain.reasons import Reason
from state.records.held import Times
from state.records.section import KnownSection
from streams.batch import Record
from streams.change_sections.decisions import Again, Changed, Decision, Refused, Rejected
from streams.change_sections.fold import COMMANDS, TICK, SectionFold, keys_of
from streams.change_sections.holds import hold_best, hold_chosen, reject, reject_unstored
from streams.change_sections.operators import (
    block_seats,
    change_sale_window,
    open_section,
    unblock_seats,
)
from streams.change_sections.reservations import confirm, extend, lapse, release
from streams.folding.fold import Fields
from streams.folding.reading import read

HOLD_BEST: Final = COMMANDS + "HoldBestAvailable"
HOLD_CHOSEN: Final = COMMANDS + "HoldChosenSeats"

# (fold, fields, section where it is open, stored reservation of that id).
Decide = Callable[[SectionFold, Fields, KnownSection | None, bytes | None], Decision]

_DECIDE: Final[dict[str, Decide]] = {
    COMMANDS + "OpenSection": open_section,
    HOLD_BEST: hold_best,
    HOLD_CHOSEN: hold_chosen,
    COMMANDS + "ConfirmReservation": confirm,
    COMMANDS + "ReleaseReservation": release,
    COMMANDS + "ExtendHold": extend,
    COMMANDS + "BlockSeats": block_seats,
    COMMANDS + "UnblockSeats": unblock_seats,
    COMMANDS + "ChangeSaleWindow": change_sale_window,
}


def decide_all(fold: SectionFold, records: Sequence[Record]) -> None:
    names, decoded = read(fold, records)
    keys = keys_of(decoded)
    stored_values = fold.look_up(keys)
    state = fold.state
    look_again = fold.look_again
    log_time_ms = fold.log_time_ms
    by_key = fold.cache.by_key
    touched = fold.touched
    outcomes = fold.outcomes
    put = state.put
    write_hold = fold.codecs.new_hold.write
    times_of = fold.codecs.new_hold.times
    outcome_prefix = fold.outcome_prefix
    times_by_deadline: dict[int, Times] = {}
    for record, name, fields, key, stored in zip(
        records, names, decoded, keys, stored_values, strict=True
    ):
        fold.offset = offset = record.offset
        if record.timestamp > log_time_ms or name == TICK or fold.overdue:
            log_time_ms = fold.follow(record, name, fields)
            times_by_deadline = {}
            lapse(fold)
        if key in look_again:
            stored = state.get(key)  # noqa: PLW2901
        if name != HOLD_BEST:
            # A tick, and what cannot be read, have only moved log time.
            if name and name != TICK:
                _decide(fold, name, record, fields, stored)
            continue
        # Nearly every record is the first hold of its id, for best seats, on a section that is
        # decoded and on sale, and finds seats. It is decided and written here, without a call
        # that can be spared; all others climb the ladder of `hold_best`, which decides the same.
        reservation_id, _, _, section_id, event_id, request, count = fields
        section_key = record.key
        known = by_key.get(section_key)  # type: ignore[arg-type]
        if (
            known is None
            or stored is not None
            or known.section_id != section_id
            or known.event_id != event_id
            or not known.sale_starts_ms <= log_time_ms < known.sale_ends_ms
            or not 0 < count <= known.max_seats_per_hold
        ):
            _decide(fold, name, record, fields, stored)
            continue
        section = known.section
        found = best_available(section, count)
        if isinstance(found, Reason):
            fold.touch(known)
            reject(fold, fields, known, (), found, None)
            continue
        row, first = found
        section.take(row, ((1 << count) - 1) << first)
        section.version = version = section.version + 1
        section.applied_offset = offset
        section.changed_at_ms = log_time_ms
        touched[section_key] = known  # type: ignore[index]
        deadline_ms = log_time_ms + known.hold_ms
        times = times_by_deadline.get(deadline_ms)
        if times is None:
            times = times_by_deadline[deadline_ms] = times_of(log_time_ms, deadline_ms)
        outcome_id = b"%s%d:0" % (outcome_prefix, offset)
        reservation, outcome = write_hold(
            request, outcome_id, offset, version, times, (row, first, count)
        )
        put(key, reservation, deadline_ms)
        outcomes.append((reservation_id, outcome))


def _decide(
    fold: SectionFold, name: str, record: Record, fields: Fields, stored: bytes | None
) -> None:
    """Decide a command, and write what it leads to into the fold."""
    known = fold.find(record.key, fields)
    if isinstance(known, Reason):
        # Nothing is stored: the id belongs to the partition of its section.
        is_hold = name in {HOLD_BEST, HOLD_CHOSEN}
        _write(fold, fields, None, Rejected(known) if is_hold else Refused(known))
        return
    if known is not None:
        fold.touch(known)
    _write(fold, fields, known, _DECIDE[name](fold, fields, known, stored))


def _write(
    fold: SectionFold, fields: Fields, known: KnownSection | None, decision: Decision
) -> None:
    match decision:
        case Refused(reason, seat):
            fold.refuse(fields, reason, known, seat)
        case Rejected(reason, seat, wanted, is_stored):
            if is_stored:
                reject(fold, fields, known, wanted, reason, seat)
            else:
                reject_unstored(fold, fields, known, reason)
        case Again(outcome):
            fold.emit(fields[0], outcome, "REPEATED")
        case Changed():
            fold.change(fields[0], decision)
