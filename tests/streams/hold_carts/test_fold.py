"""Sections that do not answer are asked again after growing pauses, and given up in the end."""

from typing import Any

from support.carts.carting import (
    CARTS,
    CODECS,
    HOLD_MS,
    MINUTE_MS,
    SEATS,
    SECTIONS,
    Carting,
    best,
    cart_id_of,
    extend_cart,
    open_cart,
    party,
    pay_cart,
    release_cart,
)
from support.seats.section_commands import EVENT

from schemas.topics import PAYMENT_COMMANDS, SECTION_COMMANDS
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.carts.statuses import CartStatus
from state.domain.carts.values import Standing
from state.domain.keys import cart_key, part_id
from state.domain.reasons import Reason
from state.domain.reservation import Status
from state.records.seat_codecs import SeatCodecs
from streams.patience import UNDECIDED_MS

A, B, C = SECTIONS
ID = cart_id_of()
READ = TopicDecoder(SECTION_COMMANDS, counted_ids())
TOLD = SeatCodecs.of(counted_ids()).part_decided


def asked(world: Carting) -> list[str]:
    """Return what sections were asked since the last call, without the ticks."""
    found: list[str] = []
    for record in world.told(SEATS):
        decoded: Any = READ.decode(record.value, record.headers)
        assert isinstance(decoded, Decoded)
        name = decoded.name.rpartition(".")[2]
        if name != "Tick":
            found.append(f"{name} {decoded.fields[3].decode()}")
    return found


def world_that_waits() -> Carting:
    """Return a world with a cart whose sections say nothing."""
    world = Carting(is_alone=True)
    asked(world)
    world.send(open_cart(ID, best(A, 2), (B.encode(), 1, ((0, 1),), False, ())))
    return world


def pass_time(world: Carting, ms: int) -> None:
    """Let time pass in small steps."""
    world.driver.advance(ms, step_ms=MINUTE_MS // 2)


def test_each_part_is_asked_in_the_way_that_was_wanted() -> None:
    assert asked(world_that_waits()) == [f"HoldBestAvailable {A}", f"HoldChosenSeats {B}"]


def test_d12_a_party_that_may_be_parted_is_asked_for_in_pieces_each_time() -> None:
    world = Carting(is_alone=True)
    asked(world)
    world.send(open_cart(ID, party(A, 2), best(B, 1)))
    assert asked(world) == [f"HoldInPieces {A}", f"HoldBestAvailable {B}"]
    pass_time(world, MINUTE_MS)
    assert asked(world) == [f"HoldInPieces {A}", f"HoldBestAvailable {B}"]


def test_who_does_not_answer_is_asked_again_after_growing_pauses() -> None:
    world = world_that_waits()
    asked(world)
    counts = []
    for _ in range(8):
        pass_time(world, MINUTE_MS)
        counts.append(len(asked(world)) // 2)
    # After one, two, four and eight minutes.
    assert counts == [1, 1, 0, 1, 0, 0, 0, 1]


def tell(
    world: Carting, number: int, section: str, standing: Standing, answers: bytes = b"c"
) -> None:
    """Play the section of a part."""
    request = identity_of(number, section)
    value = TOLD(request, b"section-commands:0:1:0", answers, standing)
    world.driver.pipe(CARTS, cart_key(EVENT, b"ann"), value)


def identity_of(number: int, section: str) -> bytes:
    reservation_id = part_id(ID.encode(), number).decode()
    return CODECS.commands.identity(reservation_id, "ann", section, EVENT, "c")


def test_a_hold_that_kills_its_workers_is_given_up_after_a_quarter_of_an_hour() -> None:
    world = world_that_waits()
    tell(world, 0, A, Standing(4, reason=Reason.INTERNAL))
    assert world.cart(ID).status == CartStatus.ENDING
    asked(world)
    tell(world, 1, B, Standing(4, status=Status.RELEASED))
    pass_time(world, UNDECIDED_MS // 2)
    assert f"ReleaseReservation {A}" in asked(world)
    assert world.cart(ID).status == CartStatus.ENDING
    pass_time(world, UNDECIDED_MS)
    assert world.cart(ID).status == CartStatus.REJECTED
    assert not world.cart(ID).is_waiting


def test_a_lapse_that_nobody_told_is_asked_for() -> None:
    world = world_that_waits()
    held_until_ms = world.driver.log_time_ms + HOLD_MS
    for number, section in enumerate((A, B)):
        tell(world, number, section, Standing(4, 0, Status.HELD, 1, held_until_ms))
    assert world.cart(ID).status == CartStatus.HELD
    asked(world)
    pass_time(world, HOLD_MS)
    assert asked(world) == []
    pass_time(world, 2 * MINUTE_MS)
    assert set(asked(world)) == {f"HoldBestAvailable {A}", f"HoldChosenSeats {B}"}


def world_that_is_held() -> Carting:
    """Return a world with a cart whose sections hold it, and say nothing more."""
    world = world_that_waits()
    held_until_ms = world.driver.log_time_ms + HOLD_MS
    for number, section in enumerate((A, B)):
        tell(world, number, section, Standing(4, 0, Status.HELD, 1, held_until_ms))
    return world


def test_a_part_that_is_paid_for_is_asked_about_until_its_end_is_told() -> None:
    world = world_that_is_paid_for()
    asked(world)
    pass_time(world, HOLD_MS)
    assert asked(world) == []
    # Together with what payments are asked, after growing pauses: a gateway may be away for long.
    counts = []
    for _ in range(16):
        pass_time(world, MINUTE_MS)
        counts.append(set(asked(world)))
    once = {f"HoldBestAvailable {A}", f"HoldChosenSeats {B}"}
    assert counts[0] == once
    assert counts.count(once) < counts.count(set())
    for number, section in enumerate((A, B)):
        tell(world, number, section, Standing(9, 0, Status.SOLD, 1))
    pass_time(world, HOLD_MS)
    assert asked(world) == []


def world_that_is_paid_for() -> Carting:
    """Return a world with a cart whose sections wait for its payment."""
    world = world_that_waits()
    held_until_ms = world.driver.log_time_ms + HOLD_MS
    priced = Standing(4, 0, Status.HELD, 1, held_until_ms, amount=700, currency=b"EUR")
    for number, section in enumerate((A, B)):
        tell(world, number, section, priced)
    world.send(pay_cart(ID, 1_400))
    for number, section in enumerate((A, B)):
        tell(world, number, section, priced._replace(offset=5, status=Status.PAYING), b"pay.1")
    return world


def test_nobody_waits_for_a_payment_that_was_not_begun_for_the_cart() -> None:
    world = world_that_is_held()
    until_ms = world.cart(ID).deadline_ms
    asked(world)
    tell(world, 0, A, Standing(5, 0, Status.PAYING, 1, until_ms))
    assert asked(world) == [f"FailPayment {A}"]


def test_payments_that_say_nothing_are_asked_again() -> None:
    world = world_that_is_paid_for()
    counts = []
    for _ in range(4):
        pass_time(world, MINUTE_MS)
        counts.append(len(world.told(PAYMENT_COMMANDS.name)))
    # The first one with the question itself.
    assert counts == [2, 1, 0, 1]


def test_an_extension_that_was_lost_is_asked_again_until_it_is_answered() -> None:
    world = world_that_is_held()
    world.send(extend_cart(ID, "w"))
    asked(world)
    pass_time(world, MINUTE_MS)
    assert set(asked(world)) == {f"ExtendHold {A}", f"ExtendHold {B}"}
    until_ms = world.driver.log_time_ms + HOLD_MS
    tell(world, 0, A, Standing(6, 0, Status.HELD, 1, until_ms), answers=b"w")
    pass_time(world, MINUTE_MS)
    assert asked(world) == [f"ExtendHold {B}"]
    tell(world, 1, B, Standing(6, 0, Status.HELD, 1, until_ms), answers=b"w")
    pass_time(world, MINUTE_MS)
    assert asked(world) == []


def test_no_record_about_a_cart_puts_off_what_is_asked_again() -> None:
    world = world_that_waits()
    asked(world)
    for _ in range(5):
        pass_time(world, MINUTE_MS // 2)
        world.send(open_cart(ID, best(A, 2)), release_cart(ID))
        tell(world, 1, B, Standing(4))
    assert len(asked(world)) > 4


def test_a_release_is_asked_of_each_part_that_may_be_held() -> None:
    world = world_that_waits()
    tell(world, 0, A, Standing(4, status=Status.REJECTED, reason=Reason.SOLD_OUT))
    world.send(release_cart(ID))
    assert asked(world)[2:] == [f"ReleaseReservation {B}"]
