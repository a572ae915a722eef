"""What somebody wants of a section in; values of section-commands for the wire out."""

from collections.abc import Sequence

from schemas.topics import SECTION_COMMANDS
from serdes.avro.codegen import IDENTITY, encoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from state.domain.layout import Rules
from state.domain.reservation import PaymentFailure
from state.plans.seating import SectionPlan

_COMMANDS = "io.seatstream.commands."


class CommandEncoders:
    """Command values for the wire, with the registered schema ids."""

    def __init__(self, ids: SchemaIds) -> None:
        by_name = encoders(SECTION_COMMANDS, ids)
        self._identity = encoder(IDENTITY)
        self._open = by_name[_COMMANDS + "OpenSection"]
        self._best = by_name[_COMMANDS + "HoldBestAvailable"]
        self._pieces = by_name[_COMMANDS + "HoldInPieces"]
        self._chosen = by_name[_COMMANDS + "HoldChosenSeats"]
        self._confirm = by_name[_COMMANDS + "ConfirmReservation"]
        self._release = by_name[_COMMANDS + "ReleaseReservation"]
        self._extend = by_name[_COMMANDS + "ExtendHold"]
        self._window = by_name[_COMMANDS + "ChangeSaleWindow"]
        self._start_payment = by_name[_COMMANDS + "StartPayment"]
        self._claim_payment = by_name[_COMMANDS + "ClaimPayment"]
        self._fail_payment = by_name[_COMMANDS + "FailPayment"]
        self._refund = by_name[_COMMANDS + "RefundSeats"]

    def identity(
        self, reservation_id: str, user: str, section: str, event_id: int, correlation: str = ""
    ) -> bytes:
        """Return who asks for what, ready to be pasted into commands."""
        return self._identity(
            reservation_id.encode(),
            user.encode(),
            correlation.encode(),
            section.encode(),
            event_id,
        )

    def open_section(self, identity: bytes, section: SectionPlan, rules: Rules) -> bytes:
        """Return the command that opens a section."""
        rows = tuple(
            (
                row.label.encode(),
                row.seat_count,
                row.first_number,
                row.number_step,
                tuple(label.encode() for label in row.seat_labels),
                row.aisles,
                row.category.encode(),
                tuple(category.encode() for category in row.seat_categories),
            )
            for row in section.rows
        )
        return self._open(
            identity,
            1,
            rows,
            tuple(section.not_for_sale),
            int(rules.orphan_rule),
            rules.max_seats_per_hold,
            rules.hold_ms,
            rules.max_hold_ms,
            rules.sale_starts_ms,
            rules.sale_ends_ms,
            section.prices.currency.encode(),
            tuple((category.encode(), amount) for category, amount in section.prices.amounts),
            rules.payment_ms,
        )

    def hold_best(self, identity: bytes, count: int) -> bytes:
        """Return the command that holds adjacent seats of the section's choice."""
        return self._best(identity, count)

    def hold_in_pieces(self, identity: bytes, count: int, *, or_fewer: bool = False) -> bytes:
        """Return the command that holds seats of the section's choice, parted if need be.

        or_fewer: as many as can be had, where not all can.
        """
        return self._pieces(identity, count, or_fewer)

    def hold_chosen(self, identity: bytes, seats: Sequence[tuple[int, int]]) -> bytes:
        """Return the command that holds these (row, seat)."""
        return self._chosen(identity, len(seats), tuple(seats))

    def confirm(self, identity: bytes, epoch: int) -> bytes:
        """Return the command that sells what is held."""
        return self._confirm(identity, epoch)

    def release(self, identity: bytes, epoch: int = 0) -> bytes:
        """Return the command that gives a hold back; epoch 0 fits any."""
        return self._release(identity, epoch)

    def extend(self, identity: bytes, epoch: int) -> bytes:
        """Return the command that lets a hold run longer."""
        return self._extend(identity, epoch)

    def change_sale_window(self, identity: bytes, sale_starts_ms: int, sale_ends_ms: int) -> bytes:
        """Return the command that puts a section on sale within another window, in Unix ms.

        0 is no bound. An end that has come closes the sale; it must lie after the start.
        """
        return self._window(identity, sale_starts_ms, sale_ends_ms)

    def start_payment(
        self, identity: bytes, epoch: int, gateway: str, method: str, parameters: bytes
    ) -> bytes:
        """Return the command that lets the buyer pay.

        gateway: [a-z0-9_-]{1,32}; method: 1 to 64 bytes; parameters: at most 4 KiB.
        """
        return self._start_payment(identity, epoch, gateway.encode(), method.encode(), parameters)

    def claim_payment(
        self,
        identity: bytes,
        epoch: int,
        gateway: bytes,
        payment_id: bytes,
        amount: int,
        currency: bytes,
    ) -> bytes:
        """Return the command that says what another shop claims to have been paid."""
        return self._claim_payment(identity, epoch, gateway, payment_id, amount, currency)

    def fail_payment(self, identity: bytes, epoch: int, cause: PaymentFailure) -> bytes:
        """Return the command that gives seats back whose payment brought no money for them."""
        return self._fail_payment(identity, epoch, cause)

    def refund_seats(self, identity: bytes, epoch: int) -> bytes:
        """Return the command that gives seats back whose money went back."""
        return self._refund(identity, epoch)
