"""Section commands in; outcomes, and one slim status per touched section, out.

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
from typing import Final

from schemas.topics import RESERVATION_OUTCOMES, SECTION_STATUS
from serdes.decoding import Decoded
from state.domain.allocation import best_available
from state.domain.keys import PROGRESS_KEY, SECTION, tick_version
from state.domain.reasons import Reason
from state.domain.reservation import Status
from state.records.held import Times
from state.records.seat_codecs import SeatCodecs
from state.records.section import PLAN_AT, write_section
from streams.batch import Batch, Effects, Handler, Outgoing, Record, State
from streams.change_sections.fold import (
    STATE_BYTES_MAX,
    Decide,
    Fields,
    Fold,
)
from streams.change_sections.holds import hold_best, hold_chosen, reject
from streams.change_sections.operators import (
    block_seats,
    change_sale_window,
    open_section,
    unblock_seats,
)
from streams.change_sections.reading import read
from streams.change_sections.reservations import confirm, emit_again, extend, lapse, release
from streams.change_sections.statuses import status_of
from streams.route import Progress

# Sections kept decoded for each partition, counted in seats; about 2 bytes of memory a seat.
CACHED_SEATS_MAX: Final = 5_000_000

COMMANDS: Final = "io.seatstream.commands."
TICK: Final = COMMANDS + "Tick"
HOLD_BEST: Final = COMMANDS + "HoldBestAvailable"


def change_sections(
    codecs: SeatCodecs,
    *,
    outcomes: str = RESERVATION_OUTCOMES.name,
    status: str = SECTION_STATUS.name,
    cached_seats_max: int = CACHED_SEATS_MAX,
    state_bytes_max: int = STATE_BYTES_MAX,
) -> Handler:
    """Return the handler.

    outcomes, status: names of the topics written.
    cached_seats_max: seats of the sections kept decoded between batches; influences no decision.
    state_bytes_max:  largest record that a section may need in the store.
    """

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        fold = Fold(codecs, batch, state, log_time_ms, state_bytes_max)
        records = batch.records
        rewound = 0
        while rewound < len(records) and records[rewound].offset < fold.next_offset:
            rewound += 1
        if rewound:
            emit_again(fold, records[:rewound])
            records = records[rewound:]
        if records:
            _apply(fold, records)
            _settle(fold, records[-1].offset + 1, status, cached_seats_max)
        if fold.outcomes:
            fold.effects.outgoing[outcomes] = fold.outcomes
        held = len(fold.outcomes) - fold.counted
        if held:
            fold.effects.decisions[Status.HELD.name] = held
        return fold.effects

    return handle


def progress_of(codecs: SeatCodecs) -> Callable[[State], Progress]:
    """Return what tells how far a partition's state has come."""

    def progress(state: State) -> Progress:
        stored = state.get(PROGRESS_KEY)
        if stored is None:
            return Progress(0, 0)
        next_offset, log_time_ms, _, _ = codecs.read_progress(stored, 0)
        return Progress(next_offset, log_time_ms)

    return progress


def refuse_poison(
    codecs: SeatCodecs, *, outcomes: str = RESERVATION_OUTCOMES.name
) -> Callable[[Batch, State, Record, int], Effects]:
    """Return what answers a record that no handler survived: refused, nothing touched but time."""

    def refuse(batch: Batch, state: State, record: Record, log_time_ms: int) -> Effects:
        fold = Fold(codecs, batch, state, log_time_ms, STATE_BYTES_MAX)
        fold.offset = record.offset
        fold.pass_to(record.timestamp)
        verdict = codecs.commands.decode(record.value, record.headers)
        if isinstance(verdict, Decoded) and len(verdict.fields) > PLAN_AT:
            fold.refuse(verdict.fields, Reason.INTERNAL, None)
            fold.effects.outgoing[outcomes] = fold.outcomes
        state.put(PROGRESS_KEY, fold.progress(record.offset + 1))
        return fold.effects

    return refuse


def _apply(fold: Fold, records: Sequence[Record]) -> None:
    names, decoded, keys = read(fold, records)
    state = fold.state
    stored_values = state.get_many(keys)
    look_again = fold.look_again
    if len(set(keys)) < len(keys):
        # Records of one batch must see each other: what is asked for twice is looked up anew.
        once: set[bytes] = set()
        for key in keys:
            (look_again if key in once else once).add(key)
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
        timestamp = record.timestamp
        if (timestamp > log_time_ms or fold.overdue) and name != TICK:
            log_time_ms = fold.pass_to(timestamp)
            times_by_deadline = {}
            lapse(fold)
        if key in look_again:
            stored = state.get(key)  # noqa: PLW2901
        if name != HOLD_BEST:
            _DECIDE[name](fold, record, fields, stored)
            if name == TICK:
                log_time_ms = fold.log_time_ms
                times_by_deadline = {}
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
            hold_best(fold, record, fields, stored)
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


def _tick(fold: Fold, record: Record, fields: Fields, stored: bytes | None) -> None:  # noqa: ARG001
    fold.count("TICK")
    fold.tick(record.timestamp, fields[0], tick_version(record.key))
    lapse(fold)


def _nothing(fold: Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
    """Decide nothing: an unreadable record has only moved log time."""


_DECIDE: Final[dict[str, Decide]] = {
    "": _nothing,
    TICK: _tick,
    COMMANDS + "OpenSection": open_section,
    HOLD_BEST: hold_best,
    COMMANDS + "HoldChosenSeats": hold_chosen,
    COMMANDS + "ConfirmReservation": confirm,
    COMMANDS + "ReleaseReservation": release,
    COMMANDS + "ExtendHold": extend,
    COMMANDS + "BlockSeats": block_seats,
    COMMANDS + "UnblockSeats": unblock_seats,
    COMMANDS + "ChangeSaleWindow": change_sale_window,
}


def _settle(fold: Fold, next_offset: int, status: str, cached_seats_max: int) -> None:
    """Store what the batch left behind, once for each section that it touched."""
    state = fold.state
    codecs = fold.codecs
    cache = fold.cache
    statuses: list[tuple[bytes | None, bytes] | Outgoing] = []
    for key, known in fold.touched.items():
        # A wrong count means a seat sold twice or lost: end the process before it is written.
        assert known.section.is_conserved(), f"section {key!r} does not add up"
        state.put(SECTION + key, write_section(codecs, known))
        statuses.append((key, status_of(codecs, known)))
        cache.touch(key)
    if statuses:
        fold.effects.outgoing[status] = statuses
    cache.shrink(cached_seats_max)
    state.put(PROGRESS_KEY, fold.progress(next_offset))
