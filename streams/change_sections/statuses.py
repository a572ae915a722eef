"""The slim status of a section, as it is told at each change and told again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.topics import SECTION_STATUS
from state.domain.keys import LAYOUT, SECTION
from state.domain.open_section import KnownSection
from state.records.seat_codecs import SeatCodecs
from state.records.section import read_section
from streams.batch import State
from streams.change_sections.fold import SectionCache
from streams.route import Retold

STATUS: Final = (SECTION_STATUS.name,)


def status_of(codecs: SeatCodecs, known: KnownSection) -> bytes:
    """Return the status record of a section as it stands."""
    section = known.section
    return codecs.status(
        known.event_id,
        known.section_id,
        section.free_count,
        section.changed_at_ms,
        section.version,
        section.held_count,
        section.largest_block(),
    )


def retold_statuses(codecs: SeatCodecs, *, status: tuple[str, ...] = STATUS) -> Retold:
    """Return how the statuses of a partition's sections are told again, each with its version.

    status: the topics that they are told on.
    """

    def tell(state: State, keys: Sequence[bytes]) -> list[tuple[bytes | None, bytes]]:
        by_key = SectionCache.of(state).by_key
        told: list[tuple[bytes | None, bytes]] = []
        for key in keys:
            section = key[len(SECTION) :]
            known = by_key.get(section)
            if known is None:
                # Not kept: nobody may have asked for it in a long time.
                layout, stored = state.get_many([LAYOUT + section, key])
                assert layout is not None
                assert stored is not None
                known = read_section(codecs, section, layout, stored)
            told.append((section, status_of(codecs, known)))
        return told

    return Retold(status, SECTION, tell)
