"""What killed this worker before: so that one poisonous record cannot stop a partition for ever.

When deciding a batch fails, the worker writes down where and ends. The next time it decides that
stretch one record at a time, which finds the record; a record that has ended the worker three
times is set aside as a dead letter, without touching any state.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

DEATHS_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Caution:
    """A stretch of offsets of one partition, both ends included, and how often it killed."""

    first_offset: int
    last_offset: int
    deaths: int


class CrashJournal:
    """The journal of one worker, a small file beside its stores."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cautions: dict[str, Caution] = {}
        try:
            stored = json.loads(path.read_text())
            self._cautions = {place: Caution(**caution) for place, caution in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            # No journal, or one cut off by a crash: caution is lost, nothing else.
            self._cautions = {}

    def caution(self, place: str) -> Caution | None:
        """Return the stretch of a partition (`topic-number`) to go through with care."""
        return self._cautions.get(place)

    def deaths(self, place: str) -> int:
        caution = self._cautions.get(place)
        return 0 if caution is None else caution.deaths

    def is_quarantined(self, place: str, offset: int) -> bool:
        caution = self._cautions.get(place)
        return (
            caution is not None
            and caution.first_offset == offset
            and caution.deaths >= DEATHS_LIMIT
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

    def note_passed(self, place: str, next_offset: int) -> None:
        """Forget a stretch once everything up to its end is committed."""
        caution = self._cautions.get(place)
        if caution is None:
            return
        if next_offset > caution.last_offset:
            del self._cautions[place]
        elif next_offset > caution.first_offset:
            # A suspect was decided after all; the rest starts with one death against it.
            self._cautions[place] = Caution(next_offset, caution.last_offset, 1)
        else:
            return
        self._save()

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        stored = {place: asdict(caution) for place, caution in self._cautions.items()}
        beside.write_text(json.dumps(stored))
        beside.replace(self._path)
