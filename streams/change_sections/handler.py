"""Section commands in; outcomes, one slim status per touched section, and word to others out.

The only writer of sections and reservations: the state of a partition is a fold of its records.

Order of every decision: unreadable records go to the dead letters; records that lie on the wrong
partition or under the wrong key are refused; log time moves and holds lapse; a reservation that
was decided already gets its stored outcome again; then the rules are asked, in the order written
below; what changes is stored last.

Keys of the store: `s` + section key: SectionState; `l`: its SectionLayout; `b`: its BlockedSeats;
`r` + reservation id: Reservation; `p`: Progress.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from schemas.topics import RESERVATION_OUTCOMES, SECTION_STATUS
from serdes.decoding import Decoded
from state.domain.keys import PROGRESS_KEY, SECTION, may_store
from state.domain.reasons import Reason
from state.records.names import ClaimPayment, SaleCommand
from state.records.seat_codecs import SeatCodecs
from state.records.section import write_section
from streams.batch import Batch, Effects, Handler, Record, State, Told
from streams.change_sections.carts import tell_cart, tell_undecided
from streams.change_sections.contradictions import contradiction
from streams.change_sections.decide import command_of, decide_all
from streams.change_sections.fold import BESIDE, STATE_BYTES_MAX, Beside, SectionFold, keys_of
from streams.change_sections.payments import claimed, refused, told_before
from streams.change_sections.statuses import STATUS, retold_statuses, status_of
from streams.emit_ticks import emit_ticks
from streams.folding.batches import fold_batch, pass_over, progress_of
from streams.folding.causes import each_followed
from streams.folding.reading import read
from streams.route import RoleTopics, Route

ROLE: Final = "seats"

# Sections kept decoded for each partition, counted in seats; about 2 bytes of memory a seat.
CACHED_SEATS_MAX: Final = 5_000_000


def route(
    topics: RoleTopics,
    codecs: SeatCodecs,
    cached_seats: int,
    status: tuple[str, ...] = STATUS,
) -> Route:
    """Return the route of the only writer of seats: section state is a fold of its topic.

    cached_seats: as `change_sections` says of `cached_seats_max`.
    status:       topics of the statuses, in place of section-status.
    """
    told = topics.writing(SECTION_STATUS.name, status)
    return Route(
        *told.through(change_sections(codecs, status=status, cached_seats_max=cached_seats)),
        by_key=told.by_key,
        progress=progress,
        tick=emit_ticks(codecs.tick),
        retold=retold_statuses(codecs, status=status),
        refuse=refuse_poison(codecs),
        owns=may_store,
        contradiction=contradiction(codecs),
    )


def change_sections(
    codecs: SeatCodecs,
    *,
    outcomes: str = RESERVATION_OUTCOMES.name,
    status: tuple[str, ...] = STATUS,
    beside: Beside = BESIDE,
    cached_seats_max: int = CACHED_SEATS_MAX,
    state_bytes_max: int = STATE_BYTES_MAX,
) -> Handler:
    """Return the handler.

    outcomes, status, beside: names of the topics written.
    cached_seats_max: seats of the sections kept decoded between batches; influences no decision.
    state_bytes_max:  largest record that a section may need in the store.
    """
    settle = partial(_settle, status=status, cached_seats_max=cached_seats_max)

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        fold = SectionFold(codecs, batch, state, log_time_ms, state_bytes_max, beside)
        return fold_batch(fold, outcomes, tell_again=_tell_again, decide=decide_all, settle=settle)

    return handle


progress = progress_of(SectionFold)
"""Tells how far a partition's state has come."""


def refuse_poison(
    codecs: SeatCodecs,
    *,
    outcomes: str = RESERVATION_OUTCOMES.name,
    beside: Beside = BESIDE,
) -> Callable[[Batch, State, Record, int], Effects]:
    """Return what answers a record that no handler survived: refused, nothing touched but time."""

    def refuse(batch: Batch, state: State, record: Record, log_time_ms: int) -> Effects:
        fold = SectionFold(codecs, batch, state, log_time_ms, STATE_BYTES_MAX, beside)
        told = pass_over(fold, record)
        command = None if told is None else command_of(told)
        if command is not None:
            fold.refuse(command, Reason.INTERNAL, None)
            fold.effects.outgoing[outcomes] = fold.outcomes
            tell_undecided(fold, command, Reason.INTERNAL)
            if isinstance(command, SaleCommand):
                # The state may be what kills, so nobody looks whether there is a payment.
                told_to_payments = refused(fold, command, Reason.INTERNAL, 0)
                fold.tell_payments(command.reservation_id, told_to_payments)
            elif isinstance(command, ClaimPayment):
                # Nobody keeps seats for it, so the money goes back.
                fold.tell_payments(command.reservation_id, claimed(fold, command))
        return fold.effects

    return refuse


def _settle(fold: SectionFold, *, status: tuple[str, ...], cached_seats_max: int) -> None:
    """Store what the batch left behind, once for each section that it touched."""
    state = fold.state
    codecs = fold.codecs
    cache = fold.cache
    statuses: list[Told] = []
    for key, known in fold.touched.items():
        # A wrong count means a seat sold twice or lost: end the process before it is written.
        assert known.section.is_conserved(), f"section {key!r} does not add up"
        state.put(SECTION + key, write_section(codecs, known))
        statuses.append((key, status_of(codecs, known)))
        cache.touch(key)
    if statuses:
        for topic in status:
            # A list of its own for each: whoever tells again adds to it.
            fold.effects.outgoing[topic] = [*statuses]
    cache.shrink(cached_seats_max)


def _tell_again(fold: SectionFold, records: Sequence[Record]) -> None:
    """Emit what rewound records led to once more; their effects are in the state already."""
    names, decoded = read(fold, records)
    keys = keys_of(decoded)
    stored_values = fold.state.get_many(keys)
    turns = zip(records, names, decoded, keys, stored_values, strict=True)
    for record, name, fields, key, stored in each_followed(fold, turns):
        if stored is None or key == PROGRESS_KEY:
            continue
        fold.offset = record.offset
        command = command_of(Decoded(name, fields))
        if command is not None:
            tell_cart(fold, command)
        reservation = fold.reservation(stored)
        if reservation.decided_offset == record.offset:
            fold.emit(reservation.reservation_id, fold.first_outcome(reservation), "REPEATED")
        for later in reservation.later:
            if later.offset == record.offset:
                outcome = fold.later_outcome(reservation, later)
                fold.emit(reservation.reservation_id, outcome, "REPEATED")
                if later == reservation.last_end:
                    fold.tell_locks(reservation)
                if not later.ordinal:
                    # The record itself decided it, and no clock.
                    fold.tell_payments(
                        reservation.reservation_id,
                        told_before(fold, name, fields, reservation, later),
                    )
