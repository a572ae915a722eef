"""Carts are told of their parts: of all that is asked of them, as they stand then."""

from typing import Any

from support.carts.carting import CODECS as OF_CARTS
from support.seats.section_commands import (
    CODECS,
    EVENT,
    START_MS,
    Pair,
    Partition,
    confirm,
    extend,
    guarded_tick,
    hold,
    opened,
    release,
    start_payment,
)

from schemas.topics import CART_COMMANDS
from serdes.decoding import Decoded
from state.domain.carts.values import Standing
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause, Status
from state.records.carts import CARTS, standing_of
from state.records.names import PartDecided
from streams.change_sections.handler import refuse_poison

PART = f"{'a' * 26}-3_0"
HOLD_MS = 600_000


def told(partition: Partition, *pairs: Pair) -> list[PartDecided]:
    """Fold commands as one batch; return what carts were told, all under their buyer's key."""
    effects = partition.run(partition.append(*pairs))
    return read(effects.outgoing.get(CART_COMMANDS.name, []))


def read(records: list[Any]) -> list[PartDecided]:
    found = []
    for key, value in records:
        decoded = OF_CARTS.records.decode(value, ())
        assert isinstance(decoded, Decoded)
        assert decoded.name == CARTS + "PartDecided"
        part = PartDecided._make(decoded.fields)
        assert key == b"%d-%s" % (part.event_id, part.user_id)
        found.append(part)
    return found


def standing(part: PartDecided) -> Standing:
    return standing_of(part.standing)


def test_nobody_is_told_of_a_reservation_that_is_no_part() -> None:
    partition = opened("....")
    # The last ones look nearly like a part.
    names = "r1", "r_1", f"{'a' * 26}-3", f"{'a' * 25}-3_0", f"{PART[:-1]}16"
    assert told(partition, *(hold(name, 1) for name in names), release("r1")) == []
    assert len(told(partition, hold(f"{PART[:-1]}15", 1))) == 1


def test_a_hold_is_told_and_told_again() -> None:
    partition = opened("....")
    first, again = told(partition, hold(PART, 2, correlation="c1"), hold(PART, 2))
    assert (first.event_id, first.user_id, first.answers) == (EVENT, b"ann", b"c1")
    assert first.outcome_id == b"section-commands:0:1:0"
    now = standing(first)
    assert (now.status, now.epoch, now.deadline_ms) == (Status.HELD, 1, START_MS + HOLD_MS)
    assert (now.offset, now.ordinal, now.seats) == (1, 0, ((0, 0, 2),))
    assert standing(again) == now
    assert again.outcome_id == b"section-commands:0:2:0"


def test_a_refused_hold_is_told_with_its_reason() -> None:
    [refused] = told(opened(".."), hold(PART, 3))
    assert standing(refused).status == Status.REJECTED
    assert standing(refused).reason == Reason.SOLD_OUT


def test_whatever_is_refused_of_a_part_it_is_told_how_it_stands() -> None:
    partition = opened("....")
    [held] = told(partition, hold(PART, 2))
    for command in (confirm(PART, epoch=7), start_payment(PART)):
        [after] = told(partition, command)
        assert standing(after) == standing(held)
        assert after.user_id == b"ann"


def test_s3_15_whoever_asks_for_what_another_buyer_has_hears_that_and_he_hears_nothing() -> None:
    """Else a stranger's command could pass for the answer that a cart waits for."""
    partition = opened("....")
    told(partition, hold(PART, 2))
    for command in (
        hold(PART, 1, user="bob"),
        release(PART, user="bob"),
        confirm(PART, user="bob"),
    ):
        [never] = told(partition, command)
        assert never.user_id == b"bob"
        now = standing(never)
        assert (now.status, now.reason) == (Status.UNSPECIFIED, Reason.CONFLICT)
    # A wish is only answered.
    [wish] = told(partition, extend(PART, user="bob"))
    assert (wish.user_id, standing(wish).reason) == (b"bob", Reason.UNSPECIFIED)


def test_what_is_asked_of_a_part_before_its_hold_says_nothing_of_it() -> None:
    assert told(opened("...."), extend(PART), confirm(PART)) == []


def test_a_release_before_its_hold_is_told_and_so_is_the_hold_that_it_prevents() -> None:
    early, late = told(opened("...."), release(PART), hold(PART, 2))
    assert standing(early) == standing(late)
    assert (standing(early).status, standing(early).epoch) == (Status.RELEASED, 0)


def test_an_extension_a_sale_and_a_release_are_told() -> None:
    partition = opened("....", currency="EUR", amounts=(700,))
    told(partition, hold(PART, 2))
    partition.now_ms += 1_000
    longer, sold = told(partition, extend(PART, correlation="w"), confirm(PART))
    assert (longer.answers, standing(longer).deadline_ms) == (b"w", START_MS + 1_000 + HOLD_MS)
    assert (standing(sold).status, standing(sold).amount) == (Status.SOLD, 1_400)
    assert standing(sold).deadline_ms == 0


def test_a_lapse_is_told_once_with_its_place() -> None:
    partition = opened("....")
    told(partition, hold(PART, 2), guarded_tick(START_MS))
    partition.now_ms += HOLD_MS + 1
    # Time follows a leap with the clock of a tick.
    [lapsed] = told(partition, guarded_tick(partition.now_ms), guarded_tick(partition.now_ms))
    now = standing(lapsed)
    assert (now.status, now.cause) == (Status.RELEASED, ReleaseCause.LAPSED)
    assert (lapsed.answers, now.offset, now.ordinal) == (b"", 3, 1)
    assert lapsed.outcome_id == b"section-commands:0:3:1"


def test_a_hold_that_went_astray_is_told_with_the_reason() -> None:
    partition = opened("....")
    _, value = hold(PART, 2)
    [astray] = told(partition, (b"7-OTHER", value))
    assert standing(astray) == Standing(offset=1, reason=Reason.KEY_MISMATCH)


def test_a_command_that_no_worker_survived_is_told_to_the_cart_without_a_look() -> None:
    partition = opened("....")
    refuse = refuse_poison(CODECS)
    [record] = partition.append(hold(PART, 2))
    effects = refuse(partition.batch_of([record]), partition.state, record, 0)
    [killed] = read(effects.outgoing[CART_COMMANDS.name])
    assert standing(killed) == Standing(offset=1, reason=Reason.INTERNAL)


def test_an_extension_that_no_worker_survived_is_answered_and_says_nothing_of_the_part() -> None:
    partition = opened("....")
    refuse = refuse_poison(CODECS)
    [record] = partition.append(extend(PART, correlation="w"))
    effects = refuse(partition.batch_of([record]), partition.state, record, 0)
    [killed] = read(effects.outgoing[CART_COMMANDS.name])
    assert (killed.answers, standing(killed)) == (b"w", Standing(offset=1))


def test_after_a_rewind_carts_are_told_how_their_parts_stand_now() -> None:
    partition = opened("....")
    told(partition, hold(PART, 2), release(PART))
    again = read(partition.run(partition.log).outgoing[CART_COMMANDS.name])
    assert [standing(one).status for one in again] == [Status.RELEASED, Status.RELEASED]
