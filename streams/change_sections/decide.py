"""Commands of a batch in; what they change, written into the fold.

One ladder opens every command: its key and partition are right, its section is touched, its rules
are asked. What they return is written into the fold here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from serdes.decoding import Decoded
from state.domain.allocation import best_available
from state.domain.keys import PART_ID_BYTES_MIN
from state.domain.open_section import KnownSection
from state.domain.reasons import Reason
from state.records.held import Times
from state.records.names import (
    BlockSeats,
    ChangeSaleWindow,
    ClaimPayment,
    Command,
    ConfirmReservation,
    ExtendHold,
    FailPayment,
    Hold,
    HoldBestAvailable,
    HoldChosenSeats,
    HoldInPieces,
    OpenSection,
    RefundSeats,
    ReleaseReservation,
    SaleCommand,
    StartPayment,
    UnblockSeats,
)
from streams.batch import Record
from streams.change_sections.carts import tell_cart, tell_undecided
from streams.change_sections.claims import claim_payment
from streams.change_sections.decisions import Again, Changed, Decision, Refused, Rejected
from streams.change_sections.fold import COMMANDS, TICK, Decide, SectionFold, keys_of
from streams.change_sections.holds import (
    hold_best,
    hold_chosen,
    hold_in_pieces,
    reject,
    reject_unstored,
)
from streams.change_sections.operators import (
    block_seats,
    change_sale_window,
    open_section,
    unblock_seats,
)
from streams.change_sections.payments import (
    fail_payment,
    refund_seats,
    refused,
    start_payment,
    telling,
)
from streams.change_sections.reservations import confirm, extend, lapse, release
from streams.folding.causes import each_followed
from streams.folding.commands import Kinds, by_full_name
from streams.folding.fold import Fields
from streams.folding.reading import read

HOLD_BEST: Final = COMMANDS + HoldBestAvailable.__name__

_KINDS: Final[Kinds[Decide]] = by_full_name(
    COMMANDS,
    (OpenSection, open_section),
    (HoldBestAvailable, hold_best),
    (HoldInPieces, hold_in_pieces),
    (HoldChosenSeats, hold_chosen),
    (ConfirmReservation, telling(confirm)),
    (ReleaseReservation, release),
    (ExtendHold, extend),
    (BlockSeats, block_seats),
    (UnblockSeats, unblock_seats),
    (ChangeSaleWindow, change_sale_window),
    (StartPayment, start_payment),
    (ClaimPayment, claim_payment),
    (FailPayment, telling(fail_payment)),
    (RefundSeats, telling(refund_seats)),
)


def command_of(told: Decoded) -> Command | None:
    """Return a record's fields by name; None for one that is no command, such as a tick."""
    if told.name not in _KINDS:
        return None
    named, _ = _KINDS[told.name]
    command: Command = named(told.fields)
    return command


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
    turns = zip(records, names, decoded, keys, stored_values, strict=True)
    for record, name, fields, key, stored in (
        each_followed(fold, turns) if fold.has_headers else turns
    ):
        fold.offset = offset = record.offset
        if record.timestamp > log_time_ms or name == TICK or fold.overdue:
            log_time_ms = fold.follow(record, name, fields)
            times_by_deadline = {}
            lapse(fold)
            if fold.cause:
                fold.mark()
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
            # It may be a part, whose cart is told: most ids are shorter than those.
            or (len(reservation_id) >= PART_ID_BYTES_MIN and b"_" in reservation_id[-3:])
        ):
            _decide(fold, name, record, fields, stored)
            continue
        section = known.section
        found = best_available(section, count)
        if isinstance(found, Reason):
            fold.touch(known)
            reject(fold, (reservation_id, request, count), known, found)
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
        prices = known.prices
        sums = prices.sums[row]
        price = sums[first + count] - sums[first], prices.currency
        reservation, outcome = write_hold(
            request, outcome_id, offset, version, times, (row, first, count), price
        )
        put(key, reservation, deadline_ms)
        outcomes.append((reservation_id, outcome))


def _decide(
    fold: SectionFold, name: str, record: Record, fields: Fields, stored: bytes | None
) -> None:
    """Decide a command, and write what it leads to into the fold."""
    named, decide = _KINDS[name]
    command = named(fields)
    fold.appended_ms = record.timestamp
    known = fold.find(record.key, command)
    if isinstance(known, Reason):
        # Nothing is stored: the id belongs to the partition of its section.
        is_hold = isinstance(command, Hold)
        told = refused(fold, command, known, 0) if isinstance(command, SaleCommand) else b""
        decision = Rejected(known) if is_hold else Refused(known, payments=told)
        _write(fold, command, None, decision)
        tell_undecided(fold, command, known)
        return
    if known is not None:
        fold.touch(known)
    _write(fold, command, known, decide(fold, command, known, stored))
    tell_cart(fold, command)


def _write(
    fold: SectionFold, command: Command, known: KnownSection | None, decision: Decision
) -> None:
    if not isinstance(decision, Rejected):
        fold.tell_payments(command.reservation_id, decision.payments)
    # The usual ones first.
    match decision:
        case Changed():
            fold.change(command.reservation_id, decision)
        case Refused(reason, seat):
            fold.refuse(command, reason, known, seat)
        case Rejected(reason, seat, wanted, is_stored):
            assert isinstance(command, Hold)
            if is_stored:
                asked = command.reservation_id, command.request, command.seat_count
                reject(fold, asked, known, reason, seat, wanted)
            else:
                reject_unstored(fold, command, known, reason)
        case Again(outcome):
            fold.emit(command.reservation_id, outcome, "REPEATED")
