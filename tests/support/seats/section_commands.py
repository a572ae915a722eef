"""Section commands in short form, and one partition's fold of them over a store in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from support.seats.seatmap import row_of

from schemas.topics import (
    PAYMENT_COMMANDS,
    RESERVATION_OUTCOMES,
    SEAT_UNLOCK,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from serdes.avro.codegen import Decode, encoder
from serdes.avro.schema_files import inlined
from serdes.avro.stored import stored_decoder
from serdes.encoding import encoders
from serdes.registry.ids import counted_ids
from serdes.wire import HEADER_BYTES, header_of
from state.domain.keys import partition_of, section_key
from state.domain.layout import OrphanRule
from state.domain.reasons import Reason
from state.domain.reservation import PaymentFailure
from state.records.seat_codecs import SeatCodecs
from state.stores import envelope
from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState
from streams.batch import Batch, Effects, Handler
from streams.change_sections import change_sections
from streams.driver import PipedRecord
from streams.folding.ticks import GUARDED_TICK_KEY, TICK_KEY

IDS = counted_ids()
CODECS = SeatCodecs.of(IDS)
PARTITIONS = 4
EVENT = 7
START_MS = 1_700_000_000_000
SKEW_MS = 5_000

_ENCODERS = encoders(SECTION_COMMANDS, IDS)
_IDENTITY = encoder("io.seatstream.types.RequestIdentity")

Pair = tuple[bytes | None, bytes | None]


def sections_of(partition: int, count: int) -> list[str]:
    """Return ids of sections of event 7 that live on this partition."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        name = f"BLOCK-{number}"
        if partition_of(section_key(EVENT, name), PARTITIONS) == partition:
            found.append(name)
        number += 1
    return found


A, B, C = sections_of(0, 3)
ELSEWHERE = sections_of(1, 1)[0]


def identity(
    reservation: str,
    *,
    section: str = A,
    user: str = "ann",
    correlation: str = "",
    event: int = EVENT,
) -> bytes:
    return _IDENTITY(
        reservation.encode(), user.encode(), correlation.encode(), section.encode(), event
    )


def command(name: str, reservation: str, *fields: Any, **who: Any) -> Pair:
    """Return key and value of a command; `who` as in `identity`."""
    value = _ENCODERS["io.seatstream.commands." + name](identity(reservation, **who), *fields)
    return section_key(who.get("event", EVENT), who.get("section", A)), value


def open_section(
    text: str,
    *,
    rule: OrphanRule = OrphanRule.OFF,
    blocked: Sequence[tuple[int, int, int]] = (),
    limit: int = 8,
    hold_ms: int = 600_000,
    max_hold_ms: int = 1_800_000,
    starts_ms: int = 0,
    ends_ms: int = 0,
    currency: str = "",
    amounts: Sequence[int] = (),
    payment_ms: int = 900_000,
    **who: Any,
) -> Pair:
    """Open a section that looks like a seat map.

    amounts: what a seat of each row costs; a row without one costs what the last does.
    """
    drawn = list(map(row_of, text.split()))
    names = [
        b"%d" % min(row, len(amounts)) if amounts else b"" for row in range(1, len(drawn) + 1)
    ]
    rows = tuple(
        (b"R", row.seat_count, 1, 1, (), row.aisles, name, ())
        for row, name in zip(drawn, names, strict=True)
    )
    prices = tuple(zip(dict.fromkeys(names), amounts, strict=False))
    rules = rule, limit, hold_ms, max_hold_ms, starts_ms, ends_ms, currency.encode(), prices
    layout = 1, rows, tuple(blocked)
    return command("OpenSection", "op-open", *layout, *rules, payment_ms, **who)


def hold(reservation: str, count: int, **who: Any) -> Pair:
    return command("HoldBestAvailable", reservation, count, **who)


def hold_in_pieces(reservation: str, count: int, *, or_fewer: bool = False, **who: Any) -> Pair:
    return command("HoldInPieces", reservation, count, or_fewer, **who)


def hold_chosen(
    reservation: str, seats: Iterable[tuple[int, int]], count: int | None = None, **who: Any
) -> Pair:
    listed = tuple(seats)
    asked = len(listed) if count is None else count
    return command("HoldChosenSeats", reservation, asked, listed, **who)


def confirm(reservation: str, epoch: int = 1, **who: Any) -> Pair:
    return command("ConfirmReservation", reservation, epoch, **who)


def release(reservation: str, epoch: int = 0, **who: Any) -> Pair:
    return command("ReleaseReservation", reservation, epoch, **who)


def extend(reservation: str, epoch: int = 1, **who: Any) -> Pair:
    return command("ExtendHold", reservation, epoch, **who)


def block(seats: Iterable[tuple[int, int, int]], **who: Any) -> Pair:
    return command("BlockSeats", "op-block", tuple(seats), **who)


def unblock(seats: Iterable[tuple[int, int, int]], **who: Any) -> Pair:
    return command("UnblockSeats", "op-unblock", tuple(seats), **who)


def sale_window(starts_ms: int, ends_ms: int, **who: Any) -> Pair:
    return command("ChangeSaleWindow", "op-window", starts_ms, ends_ms, **who)


def start_payment(
    reservation: str,
    epoch: int = 1,
    *,
    gateway: str = "mock",
    parameters: bytes = b"token",
    **who: Any,
) -> Pair:
    fields = epoch, gateway.encode(), b"card", parameters
    return command("StartPayment", reservation, *fields, **who)


def claim_payment(
    reservation: str,
    amount: int,
    epoch: int = 1,
    *,
    currency: str = "EUR",
    gateway: str = "mock",
    payment_id: str = "ch_1",
    **who: Any,
) -> Pair:
    fields = epoch, gateway.encode(), payment_id.encode(), amount, currency.encode()
    return command("ClaimPayment", reservation, *fields, **who)


def fail_payment(
    reservation: str, cause: PaymentFailure = PaymentFailure.DECLINED, epoch: int = 1, **who: Any
) -> Pair:
    return command("FailPayment", reservation, epoch, cause, **who)


def refund_seats(reservation: str, epoch: int = 1, **who: Any) -> Pair:
    return command("RefundSeats", reservation, epoch, **who)


def tick(timer_ms: int, key: bytes = TICK_KEY) -> Pair:
    return key, _ENCODERS["io.seatstream.commands.Tick"](timer_ms)


def guarded_tick(timer_ms: int) -> Pair:
    """Return the tick after which time follows no jump."""
    return tick(timer_ms, GUARDED_TICK_KEY)


@dataclass(frozen=True, slots=True)
class Told:
    """What a section tells, read: record name, then its fields by name (identity apart)."""

    name: str
    reservation: str
    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None


def _readers() -> dict[bytes, tuple[str, Decode, list[str]]]:
    readers = {}
    for topic in (RESERVATION_OUTCOMES, SECTION_STATUS, PAYMENT_COMMANDS, SEAT_UNLOCK):
        for name, encode in encoders(topic, IDS).items():
            names = [field["name"] for field in inlined(name)["fields"]]
            del encode
            schema_id = IDS.id_by_subject[f"{topic.name}-{name}"]
            readers[header_of(schema_id)] = name.rpartition(".")[2], stored_decoder(name), names
    return readers


_READERS = _readers()
_IDENTITY_FIELDS = ["reservationId", "userId", "correlationId", "section", "eventId", "request"]


def told(value: bytes) -> Told:
    """Read the value of a record that sections write, as whichever release wrote it."""
    name, decode, names = _READERS[value[:HEADER_BYTES]]
    decoded = decode(value, HEADER_BYTES)
    if names[0] == "request":
        names = [*_IDENTITY_FIELDS, *names[1:]]
    fields: dict[str, Any] = dict(zip(names, decoded, strict=True))
    if "reason" in fields:
        fields["reason"] = Reason(fields["reason"])
    return Told(name, fields.get("reservationId", b"").decode(), fields)


@dataclass
class Partition:
    """One partition: its log, its state, and everything that was published."""

    number: int = 0
    handler: Handler = field(default_factory=lambda: change_sections(CODECS))
    log: list[PipedRecord] = field(default_factory=list)
    now_ms: int = START_MS
    outcomes: list[bytes] = field(default_factory=list)
    statuses: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    payments: list[bytes] = field(default_factory=list)
    unlocks: list[bytes] = field(default_factory=list)
    store: MemoryStore = field(default_factory=MemoryStore)
    dead: list[str] = field(default_factory=list)
    decisions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = PartitionState(self.store)

    def append(self, *pairs: Pair) -> list[PipedRecord]:
        """Add records to the log without folding them."""
        new = [
            PipedRecord(SECTION_COMMANDS.name, self.number, offset, self.now_ms, key, value)
            for offset, (key, value) in enumerate(pairs, len(self.log))
        ]
        self.log += new
        return new

    def send(self, *pairs: Pair) -> list[Told]:
        """Add records as one batch, fold it, and return its outcomes."""
        return [told(value) for value in self.fold(self.append(*pairs))]

    def told_to_payments(self, *pairs: Pair) -> list[Told]:
        """Add records as one batch, fold it, and return what payments were told of it."""
        before = len(self.payments)
        self.send(*pairs)
        return [told(value) for value in self.payments[before:]]

    def pass_ms(self, ms: int) -> list[Told]:
        """Let time pass by every clock; return what lapsed."""
        self.now_ms += ms
        return self.send(tick(self.now_ms))

    def fold(self, records: Sequence[PipedRecord]) -> list[bytes]:
        """Run the handler over records of the log as one batch; return the outcomes' values."""
        effects = self.run(records)
        values = [record[1] for record in effects.outgoing.get(RESERVATION_OUTCOMES.name, [])]
        for key, value in (record[:2] for record in effects.outgoing.get(SECTION_STATUS.name, [])):
            self.statuses.append((key, value))
        self.unlocks += [record[1] for record in effects.outgoing.get(SEAT_UNLOCK.name, [])]
        self.payments += [record[1] for record in effects.outgoing.get(PAYMENT_COMMANDS.name, [])]
        self.outcomes += values
        self.dead += [letter.reason for letter in effects.dead_letters]
        for name, count in effects.decisions.items():
            self.decisions[name] = self.decisions.get(name, 0) + count
        return values

    def batch_of(self, records: Sequence[PipedRecord]) -> Batch:
        return Batch(SECTION_COMMANDS.name, self.number, PARTITIONS, records)

    def run(self, records: Sequence[PipedRecord]) -> Effects:
        effects = self.handler(self.batch_of(records), self.state, 0)
        changes = self.state.seal()
        # As a worker does: each batch has changelog records of its own, and their offset is in the
        # names of a store's index by due time.
        records_of_batch = len(changes.puts) + len(changes.deletes)
        at = self.state.store.changelog_offset + records_of_batch
        self.state.write(changes, at if records_of_batch else None)
        self.state.release()
        return effects

    def forget(self) -> None:
        """Start again on the same store, as after a restart."""
        self.state = PartitionState(self.store)

    def stored(self) -> dict[bytes, bytes]:
        """Return every payload by key."""
        return {key: payload for key, (payload, _) in self.kept().items()}

    def kept(self) -> dict[bytes, tuple[bytes, int]]:
        """Return payload and due time by key; which transaction wrote them is no part of it."""
        return {key: envelope.unpack(value) for key, value in self.store.items()}

    def last_statuses(self) -> dict[bytes | None, bytes]:
        """Return what the compacted status topic holds."""
        return dict(self.statuses)

    def status(self, section: str = A) -> Told:
        """Return the last status of a section."""
        return told(self.last_statuses()[section_key(EVENT, section)])


def opened(text: str, **rules: Any) -> Partition:
    """Return a partition whose section A is open and looks like `text`, all seats free."""
    partition = Partition()
    partition.send(open_section(text, **rules))
    return partition


# Random logs: a few sections, reservations and users, so that everything meets everything.
_ids = st.sampled_from([f"r{number}" for number in range(8)])
_who = st.fixed_dictionaries(
    {
        "section": st.sampled_from([A, A, A, B, B, C]),
        "user": st.sampled_from(["ann", "ann", "ann", "bob"]),
        "correlation": st.sampled_from(["", "c1", "c2"]),
    }
)
_seats = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 6)), min_size=1, max_size=4)
_ranges = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 3)), max_size=2)
_epochs = st.integers(0, 2)
_gateways = st.sampled_from(["mock", "mock", "other"])
# What one or two seats cost in the rows of a random log, and what none do.
_amounts = st.sampled_from([4_500, 9_000, 2_950, 5_900, 1])
_failures = st.sampled_from(PaymentFailure)
# Windows that are open most of the time that a random log takes.
_starts = st.sampled_from([0, 0, 0, START_MS - 1, START_MS + 2_000, -1])
_ends = st.sampled_from([0, 0, 0, START_MS + 4_000, START_MS + 60_000, 1, 1 << 60])
pairs = st.one_of(
    st.builds(lambda r, n, w: hold(r, n, **w), _ids, st.integers(0, 5), _who),
    st.builds(lambda r, n, w: hold(r, n, **w), _ids, st.integers(1, 3), _who),
    st.builds(
        lambda r, n, few, w: hold_in_pieces(r, n, or_fewer=few, **w),
        _ids,
        st.integers(3, 9),
        st.booleans(),
        _who,
    ),
    st.builds(lambda r, s, w: hold_chosen(r, s, **w), _ids, _seats, _who),
    st.builds(lambda r, e, w: confirm(r, e, **w), _ids, _epochs, _who),
    st.builds(lambda r, e, w: release(r, e, **w), _ids, _epochs, _who),
    st.builds(lambda r, e, w: extend(r, e, **w), _ids, _epochs, _who),
    st.builds(
        lambda r, e, g, w: start_payment(r, e, gateway=g, **w), _ids, _epochs, _gateways, _who
    ),
    st.builds(lambda r, e, w: start_payment(r, e, **w), _ids, st.just(1), _who),
    st.builds(
        lambda r, a, e, c, g, w: claim_payment(r, a, e, currency=c, gateway=g, **w),
        _ids,
        _amounts,
        st.sampled_from([1, 1, 1, 2]),
        st.sampled_from(["EUR", "EUR", "USD"]),
        _gateways,
        _who,
    ),
    st.builds(lambda r, c, e, w: fail_payment(r, c, e, **w), _ids, _failures, _epochs, _who),
    st.builds(lambda r, e, w: refund_seats(r, e, **w), _ids, _epochs, _who),
    st.builds(lambda s, w: block(s, **w), _ranges, _who),
    st.builds(lambda s, w: unblock(s, **w), _ranges, _who),
    st.builds(lambda s, e, w: sale_window(s, e, **w), _starts, _ends, _who),
    st.builds(lambda: (b"k", b"\0\0\0\0\1rubbish")),
    st.builds(
        lambda text, rule, hold_ms, w: open_section(
            text, rule=rule, hold_ms=hold_ms, max_hold_ms=3 * hold_ms, blocked=[(0, 0, 1)], **w
        ),
        st.sampled_from(["......\n...|...", "....\n.....\n...", "."]),
        st.sampled_from(OrphanRule),
        st.sampled_from([1_000, 20_000]),
        _who,
    ),
)


# More than what time follows without a tick.
JUMP = 100_000


@st.composite
def logs(draw: st.DrawFn, size: int = 40) -> list[PipedRecord]:
    """Draw a partition's log: two sections open, then anything at rising times, with ticks."""
    rule = draw(st.sampled_from(OrphanRule))
    partition = Partition()
    partition.append(
        open_section(
            "......\n...|...\n.....",
            rule=rule,
            hold_ms=2_000,
            max_hold_ms=6_000,
            currency="EUR",
            amounts=(4_500, 2_950, 0),
        ),
        open_section("....\n....", section=B, hold_ms=10_000, max_hold_ms=30_000),
    )
    for _ in range(draw(st.integers(1, size))):
        partition.now_ms += draw(st.sampled_from([0, 0, 1, 900, 3_000, 3_000, JUMP, -JUMP]))
        if draw(st.integers(0, 5)) == 0:
            clock_ms = partition.now_ms + draw(st.sampled_from([0, 0, -4_000, 4_000, -JUMP, JUMP]))
            partition.append(tick(clock_ms, draw(st.sampled_from([TICK_KEY, GUARDED_TICK_KEY]))))
        else:
            partition.append(draw(pairs))
    return partition.log
