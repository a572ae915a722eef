"""Remembers which records ended this worker, so that none can stop its partition for ever.

When deciding a batch fails, the worker writes down the range of offsets and ends. After its
restart it decides that range one record at a time, which finds the record. A record that has ended
the worker three times becomes a dead letter, without touching any state.

A process that was killed while it decided records may have been killed by one of them, or by
somebody. Each time this happens again, the range is decided in smaller parts. A record becomes a
dead letter only when three processes in a row were killed while they decided this record alone.
Random kills hit that moment once in thousands of times, and practically never three times in a
row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from streams.batch import Record
from streams.runtime.transactions.deciding import Deciding, Stretch

DEATHS_LIMIT = 3
_PARTS = 32


@dataclass(frozen=True, slots=True)
class Caution:
    """Offsets of one partition, both ends included, in which a record may end the worker.

    deaths:  how often deciding these records failed.
    at_once: how many of the records are decided together.
    kills:   how many processes were killed while they decided the first record alone.
    """

    first_offset: int
    last_offset: int
    deaths: int
    at_once: int = 1
    kills: int = 0


class CrashJournal:
    """The journal of one worker: a small file beside its stores, and the page of `Deciding`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cautions: dict[str, Caution] = {}
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            self._cautions = {place: Caution(**caution) for place, caution in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            # There is no journal, or a crash cut it off: the search for a record begins anew.
            self._cautions = {}
        self._deciding = Deciding(path.with_name("deciding"))
        if self._deciding.left is not None:
            self._note_kill(self._deciding.left)

    def deciding(self, place: str, records: Sequence[Record]) -> Deciding:
        """Return a context in which to decide these records; a kill within it will be noted."""
        if records:
            self._deciding.begin(Stretch(place, records[0].offset, records[-1].offset))
        return self._deciding

    def excuse(self) -> None:
        """Note that the process ends for another reason than the records that it is deciding."""
        self._deciding.done()

    def caution(self, place: str) -> Caution | None:
        """Return the offsets of a partition (`topic-number`) to decide with caution, if any."""
        return self._cautions.get(place)

    def deaths(self, place: str) -> int:
        caution = self._cautions.get(place)
        return 0 if caution is None else max(caution.deaths, caution.kills)

    def is_quarantined(self, place: str, offset: int) -> bool:
        caution = self._cautions.get(place)
        return (
            caution is not None
            and caution.first_offset == offset
            and max(caution.deaths, caution.kills) >= DEATHS_LIMIT
        )

    def note_death(self, place: str, first_offset: int, last_offset: int) -> None:
        """Write down that deciding these offsets is about to end the worker."""
        known = self._cautions.get(place)
        deaths = 1
        end = last_offset
        if known is not None and first_offset <= known.last_offset:
            deaths = known.deaths + 1
            end = max(last_offset, known.last_offset)
        self._cautions[place] = Caution(first_offset, end, deaths)
        self._save()

    def _note_kill(self, stretch: Stretch) -> None:
        """Write down that the process died while it decided these offsets."""
        place, first, last = stretch
        known = self._cautions.get(place)
        if known is None or not known.first_offset <= first <= known.last_offset:
            at_once = max(1, (last - first + 1) // _PARTS)
            self._cautions[place] = Caution(first, last, 0, at_once)
        elif known.at_once > 1:
            # Only these offsets were being decided: the rest of the stretch did not kill.
            self._cautions[place] = Caution(first, last, 0, max(1, known.at_once // _PARTS))
        else:
            kills = known.kills + 1 if known.first_offset == first else 1
            self._cautions[place] = Caution(first, known.last_offset, known.deaths, 1, kills)
        self._save()

    def forget(self, place: str) -> None:
        """Forget the offsets of a partition whose log was replaced: they are other records now."""
        if self._cautions.pop(place, None) is not None:
            self._save()

    def note_passed(self, place: str, next_offset: int) -> None:
        """Forget a stretch once everything up to its end is committed."""
        caution = self._cautions.get(place)
        if caution is None:
            return
        if next_offset > caution.last_offset:
            del self._cautions[place]
        elif next_offset > caution.first_offset:
            # The first records were decided after all; the rest starts with one death at most.
            deaths = min(1, caution.deaths)
            self._cautions[place] = Caution(
                next_offset, caution.last_offset, deaths, caution.at_once
            )
        else:
            return
        self._save()

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        stored = {place: asdict(caution) for place, caution in self._cautions.items()}
        beside.write_text(json.dumps(stored), encoding="utf-8")
        beside.replace(self._path)
