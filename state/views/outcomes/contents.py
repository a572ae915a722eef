"""Records of reservation-outcomes in; how the newest reservations stand out, bounded in bytes.

A reservation that is kept here stands as of the last record read. Where none is kept, the caller
asks the partition's owner. Three rules make that true.

- A worker publishes an old outcome again, byte for byte, when its command is repeated, whatever
  became of the reservation since. Such an outcome changes nothing here. It is known by its id: a
  partition's outcomes are decided in the order of their commands, so an outcome whose command lies
  before that of another one already read is a repeat.
- Outcomes decided in the first minute of a reading are not kept: the outcomes before them were not
  read, so nobody can say which are repeats.
- A record that cannot be read removes its reservation. When memory is full, the reservations that
  changed longest ago are removed whole.

An owner may have told somebody a decision that has not been read here yet. Until it is read,
nothing of its partition is answered from here, or a reservation would seem to go back in time.
"""

import logging
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass
from threading import Lock
from typing import Any

from serdes.decoding import Decoded, Tombstone, TopicDecoder
from state.domain.outcome import (
    Outcome,
    OutcomeKind,
    Place,
    ReservationView,
    after,
    moves,
    place_of,
)
from state.records.outcomes import (
    DECIDED_AT,
    KIND_BY_NAME,
    OUTCOME_ID,
    REASON,
    RESERVATION_ID,
    outcome_of,
)
from state.views.following.reading import (
    Learn,
    Reading,
    ReadingCounters,
    Records,
    fault_of,
)

log = logging.getLogger(__name__)

# Bytes of an entry beside those of its records: the tuple, the key, the places in dicts. 310 were
# measured without fragmentation.
ENTRY_BYTES = 380

BAD_OUTCOME_ID = "BAD_OUTCOME_ID"
_NEVER: Place = (-1, -1, -1)


@dataclass(slots=True)
class OutcomeCounters(ReadingCounters):
    """What is counted of outcomes, beside the counters of every topic.

    repeated:  outcomes published before, or too early in the reading to be sure.
    forgotten: reservations dropped because memory is bounded.
    """

    repeated: int = 0
    forgotten: int = 0


class OutcomeContents(Reading):
    """One reading of the topic.

    since_ms: outcomes decided before this are not kept; Unix ms by the brokers' clock.
    """

    def __init__(
        self,
        partitions: int,
        decoder: TopicDecoder,
        learn: Learn,
        counters: OutcomeCounters,
        *,
        since_ms: int,
        bytes_max: int,
        never_ns: int,
    ) -> None:
        super().__init__(partitions, never_ns)
        self.size_bytes = 0
        self._counters = counters
        self._reader = Records(decoder, learn, log, "an outcome", counters.bad)
        self._since_ms = since_ms
        self._bytes_max = bytes_max
        self._last = [_NEVER] * partitions
        self._told = [_NEVER] * partitions
        # An OrderedDict finds its oldest key at once; a plain dict would search past all deleted
        # keys before it.
        self._by_id: OrderedDict[bytes, tuple[bytes, bytes]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, reservation_id: bytes) -> ReservationView | None:
        """Return how a reservation stands, or None where it is not known here.

        Any thread may call this.
        """
        records = self._records(reservation_id)
        while records is not None:
            last, seats = (None if not value else self._outcome(value) for value in records)
            assert last is not None
            partition = place_of(last.outcome_id)[0]
            if self._told[partition] > self._last[partition]:
                return None
            # The entry may have changed since it was read, and before the check of `_told`.
            newest = self._records(reservation_id)
            if newest is records:
                return after(last, () if seats is None else seats.seats)
            records = newest
        return None

    def _records(self, reservation_id: bytes) -> tuple[bytes, bytes] | None:
        # `_keep` takes an entry out of the dict for a moment, to put it back as the newest.
        with self._lock:
            return self._by_id.get(reservation_id)

    def decided(self, partition: int) -> int:
        """Return the offset behind the last command of a partition known to be decided."""
        if partition >= len(self._last):
            return 0
        return max(self._last[partition], self._told[partition])[1] + 1

    def tell(self, outcome_id: bytes) -> None:
        """Note an outcome that somebody was told, whether it was read here or at its owner."""
        place = place_of(outcome_id)
        if place[0] < len(self._told):
            self._told[place[0]] = max(self._told[place[0]], place)

    def apply(
        self,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        wanted: Container[bytes] = (),
    ) -> Outcome | None:
        """Take in one record; return its outcome where somebody waits for its reservation.

        wanted: ids of the reservations that somebody waits for.
        Never raises on bad bytes.
        """
        self._counters.records += 1
        told = None if value is None else self._decoded(value)
        if told is None or value is None:
            # The unreadable record may have changed its reservation.
            self._forget(key or b"")
            return None
        name, fields = told
        try:
            place = place_of(fields[OUTCOME_ID])
        except ValueError:
            self._reader.skip(BAD_OUTCOME_ID, repr(fields[OUTCOME_ID]))
            self._forget(key or b"")
            return None
        if place[0] == partition and place > self._last[partition]:
            if fields[DECIDED_AT] >= self._since_ms:
                self._keep(name, fields, value)
            # After `_keep`: another thread that sees the place finds its outcome.
            self._last[partition] = place
        else:
            self._counters.repeated += 1
        # `wanted` is asked last: a request that begins to wait after this finds the entry.
        return outcome_of(name, fields) if fields[RESERVATION_ID] in wanted else None

    def _keep(self, name: str, fields: tuple[Any, ...], value: bytes) -> None:
        """Keep how a reservation stands after a new outcome, if that outcome changes it."""
        # Nobody waits here for most of the thousands of outcomes a second. So they stay encoded,
        # and are decoded when somebody asks.
        kind = KIND_BY_NAME[name]
        if not moves(kind, fields[REASON] if kind is OutcomeKind.REJECTED else 0):
            return
        key = fields[RESERVATION_ID]
        by_id = self._by_id
        former = by_id.get(key)
        naming = b""
        if kind is OutcomeKind.EXTENDED:
            if former is None:
                # The outcome with its seats lies before the look-back: only the owner knows them.
                return
            naming = former[1] or former[0]
        with self._lock:
            if former is not None:
                self._drop(key)
            by_id[key] = (value, naming)
            self.size_bytes += len(key) + len(value) + len(naming) + ENTRY_BYTES
            while self.size_bytes > self._bytes_max and by_id:
                oldest, records = by_id.popitem(last=False)
                self.size_bytes -= _size_of(oldest, records)
                self._counters.forgotten += 1

    def _forget(self, key: bytes) -> None:
        with self._lock:
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        former = self._by_id.pop(key, None)
        if former is not None:
            self.size_bytes -= _size_of(key, former)

    def _outcome(self, value: bytes) -> Outcome | None:
        told = self._decoded(value)
        return None if told is None else outcome_of(*told)

    def _decoded(self, value: bytes) -> tuple[str, tuple[Any, ...]] | None:
        verdict = self._reader.verdict(value)
        if isinstance(verdict, Decoded):
            return verdict.name, verdict.fields
        # A record with a value is no tombstone.
        if not isinstance(verdict, Tombstone):
            self._reader.skip(*fault_of(verdict))
        return None


def _size_of(key: bytes, records: tuple[bytes, bytes]) -> int:
    return len(key) + len(records[0]) + len(records[1]) + ENTRY_BYTES
