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

from collections.abc import Callable
from typing import Final

from schemas.topics import RESERVATION_OUTCOMES, SECTION_STATUS
from serdes.decoding import Decoded
from state.domain.keys import PROGRESS_KEY, SECTION
from state.domain.reasons import Reason
from state.domain.reservation import Status
from state.records.seat_codecs import SeatCodecs
from state.records.section import PLAN_AT, write_section
from streams.batch import Batch, Effects, Handler, Outgoing, Record, State
from streams.change_sections.decide import decide_all
from streams.change_sections.fold import (
    STATE_BYTES_MAX,
    Fold,
)
from streams.change_sections.reservations import emit_again
from streams.change_sections.statuses import status_of
from streams.route import Progress

# Sections kept decoded for each partition, counted in seats; about 2 bytes of memory a seat.
CACHED_SEATS_MAX: Final = 5_000_000


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
            decide_all(fold, records)
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
