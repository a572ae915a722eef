"""The two records of a new hold, its Reservation and its SeatsHeld, written together.

Every hold writes both, and most of their bytes repeat: within a batch the times, between sections
the seats. So each record is put together from parts, and a part that was met before is not
encoded again. The parts are generated from the schemas like everything else, and together are
the record: tests compare them with the whole encoders.
"""

from typing import Any

from serdes.avro.codegen import Encode, encoder_of
from serdes.avro.schema_files import SchemaFiles, current
from serdes.avro.varints import KNOWN, LAST, LOWEST, TWO_STEP_LIMIT, Remembered, write_recent
from serdes.wire import header_of
from state.domain.reasons import Reason
from state.domain.reservation import Status

_RESERVATION = "io.seatstream.state.Reservation"
_SEATS_HELD = "io.seatstream.outcomes.SeatsHeld"
_FIRST_EPOCH = 1
_LOWEST_BITS = 13
_LOWEST_MASK = (1 << _LOWEST_BITS) - 1

# Encoded [heldAtMs, firstDeadlineMs] and [decidedAtMs, epoch, deadlineMs].
Times = tuple[bytes, bytes]


class HeldWriter:
    """Writes holds of best available seats, with one schema id for SeatsHeld."""

    def __init__(self, seats_held_id: int) -> None:
        self._header = header_of(seats_held_id)
        _, self._asked, self._times, _, self._decided, self._price, gateway = parts(
            _RESERVATION,
            ("request",),
            ("seatCount", "chosen", "status", "epoch"),
            ("heldAtMs", "firstDeadlineMs"),
            ("decidedOffset", "decidedVersion"),
            ("seats", "reason", "seat", "later"),
            ("amount", "currency"),
            ("gateway",),
        )
        _, self._outcome_id, _, self._outcome_times, self._outcome_seats, _ = parts(
            _SEATS_HELD,
            ("request",),
            ("outcomeId",),
            ("version",),
            ("decidedAtMs", "epoch", "deadlineMs"),
            ("seats",),
            ("amount", "currency"),
        )
        self._no_gateway = gateway(b"")
        # By seats asked for; by (row, first seat, count); by (amount, currency).
        self._asked_by_count: Remembered[int, bytes] = Remembered({})
        self._seats: Remembered[tuple[int, int, int], tuple[bytes, bytes]] = Remembered({})
        self._prices: Remembered[tuple[int, bytes], bytes] = Remembered({})
        # What stands before an outcome id, by its size.
        self._id_size = tuple(self._outcome_id(b"x" * size)[:-size] for size in range(1, 512))

    def times(self, held_at_ms: int, deadline_ms: int) -> Times:
        """Return the parts of both records that tell when; the same for many holds of a batch."""
        return (
            self._times(held_at_ms, deadline_ms),
            self._outcome_times(held_at_ms, _FIRST_EPOCH, deadline_ms),
        )

    def write(
        self,
        request: bytes,
        outcome_id: bytes,
        offset: int,
        version: int,
        times: Times,
        seats: tuple[int, int, int],
        price: tuple[int, bytes],
    ) -> tuple[bytes, bytes]:
        """Return the values of Reservation and SeatsHeld.

        request: the encoded identity; outcome_id: 1 to 511 bytes; seats: row, first seat, count;
        price: amount in the minor unit, currency.
        """
        # As in generated code: a call for each number would take longer than the rest.
        encoded_version = KNOWN.get(version) or (
            LOWEST[version & _LOWEST_MASK] + LAST[version >> _LOWEST_BITS]
            if version < TWO_STEP_LIMIT
            else write_recent(version)
        )
        encoded_offset = KNOWN.get(offset) or (
            LOWEST[offset & _LOWEST_MASK] + LAST[offset >> _LOWEST_BITS]
            if offset < TWO_STEP_LIMIT
            else write_recent(offset)
        )
        tail, block = self._seats.get(seats) or self._new_seats(seats)
        # Both records have it in the same form.
        money = self._prices.get(price) or self._new_price(price)
        count = seats[2]
        return (
            b"".join(
                (
                    request,
                    self._asked_by_count.get(count) or self._new_asked(count),
                    times[0],
                    encoded_offset,
                    encoded_version,
                    tail,
                    money,
                    self._no_gateway,
                )
            ),
            b"".join(
                (
                    self._header,
                    request,
                    self._id_size[len(outcome_id) - 1],
                    outcome_id,
                    encoded_version,
                    times[1],
                    block,
                    money,
                )
            ),
        )

    def _new_asked(self, count: int) -> bytes:
        part = self._asked(count, (), Status.HELD, _FIRST_EPOCH)
        self._asked_by_count.remember(count, part)
        return part

    def _new_price(self, price: tuple[int, bytes]) -> bytes:
        found = self._price(*price)
        self._prices.remember(price, found)
        return found

    def _new_seats(self, seats: tuple[int, int, int]) -> tuple[bytes, bytes]:
        found = (
            self._decided((seats,), Reason.UNSPECIFIED, None, ()),
            self._outcome_seats((seats,)),
        )
        self._seats.remember(seats, found)
        return found


def parts(full_name: str, *fields_by_part: tuple[str, ...]) -> list[Encode]:
    """Return an encoder for each group of fields; joined in order they are the record.

    Raises ValueError where the groups are not exactly the record's fields in their order.
    """
    files = current()
    schema = files.by_name[full_name]
    named: dict[str, Any] = {field["name"]: field for field in schema["fields"]}
    if list(named) != [name for part in fields_by_part for name in part]:
        raise ValueError(f"{full_name} has other fields: {', '.join(named)}")
    return [
        encoder_of(
            SchemaFiles(
                {**files.by_name, full_name: {**schema, "fields": [named[name] for name in part]}},
                files.path_by_name,
            ).inlined(full_name)
        )
        for part in fields_by_part
    ]
