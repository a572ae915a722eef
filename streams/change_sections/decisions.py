"""What a command leads to, as a value; `decide.py` alone writes it into the fold."""

from __future__ import annotations

from typing import NamedTuple

from state.domain.layout import SeatPosition
from state.domain.open_section import KnownSection
from state.domain.reasons import Reason
from state.domain.reservation import Reservation
from state.records.names import Seat


class Refused(NamedTuple):
    """The command changes nothing, and nothing of it is stored.

    seat: the seat that the reason is about, where it is about one.
    payments: what payments are told of it, encoded; here and below empty for nothing.
    """

    reason: Reason
    seat: SeatPosition | None = None
    payments: bytes = b""


class Rejected(NamedTuple):
    """A hold gets no seats.

    wanted:    the seats that were chosen; empty for best available ones.
    is_stored: whether whatever comes under its id later gets this answer.
    """

    reason: Reason
    seat: SeatPosition | None = None
    wanted: tuple[Seat, ...] = ()
    is_stored: bool = False


class Again(NamedTuple):
    """The command was decided before: this is the encoded outcome it had then."""

    outcome: bytes
    payments: bytes = b""


class Changed(NamedTuple):
    """The command changes something; its seats have moved in the working form already.

    outcome:     encoded.
    label:       what the decision is counted as.
    reservation: to be stored, with the deadline (Unix ms) it is found by; 0 for none.
    puts:        other records of the section: (key, payload).
    known:       working form that stands for the section from now on, where it is another one.
    """

    outcome: bytes
    label: str
    reservation: Reservation | None = None
    due_ms: int = 0
    puts: tuple[tuple[bytes, bytes], ...] = ()
    known: KnownSection | None = None
    payments: bytes = b""


Decision = Refused | Rejected | Again | Changed
