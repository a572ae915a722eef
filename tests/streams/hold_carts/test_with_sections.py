"""Carts and their sections together, in memory: whatever happens, no cart is half held at rest."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carts.carting import (
    CARTS,
    HOLD_MS,
    MINUTE_MS,
    PARTITIONS,
    SEATS,
    SECTIONS,
    Carting,
    best,
    cart_id_of,
    extend_cart,
    open_cart,
    party,
    release_cart,
)
from support.examples import of_whole
from support.seats.section_commands import EVENT, confirm, hold, release

from state.domain.carts.statuses import AT_REST, CartEnd, CartStatus, OnFailure
from state.domain.carts.values import Cart, Wanted
from state.domain.keys import CART, partition_of, section_key
from state.domain.reservation import Status
from state.records.carts import cart_of
from streams.hold_carts.contradictions import contradiction

A, B, C = SECTIONS
ID = cart_id_of()
S = Status


def test_the_sections_lie_on_several_partitions() -> None:
    assert len({partition_of(section_key(EVENT, one), PARTITIONS) for one in SECTIONS}) == 3


def test_all_or_nothing_over_three_sections() -> None:
    world = Carting()
    world.send(open_cart(ID, best(A, 2), best(B, 3), (C.encode(), 1, ((0, 1),), False, ())))
    cart = world.cart(ID)
    assert cart.status == CartStatus.HELD
    assert world.truth(ID, A, B, C) == [S.HELD, S.HELD, S.HELD]
    assert [part.standing.seats[0] for part in cart.parts] == [(0, 0, 2), (0, 0, 3), (0, 1, 1)]
    assert cart.deadline_ms == world.driver.log_time_ms + HOLD_MS


def test_a_section_that_is_sold_out_has_the_others_given_back() -> None:
    world = Carting(("....", "..", "...."))
    world.send(open_cart(ID, best(A, 2), best(B, 3), best(C, 1)))
    assert world.cart(ID).status == CartStatus.REJECTED
    assert world.truth(ID, A, B, C) == [S.RELEASED, S.REJECTED, S.RELEASED]
    # Their seats are somebody else's at once.
    world.ask(hold("x", 4, section=A))
    world.send(open_cart(cart_id_of(1), best(C, 4)))
    assert world.truth(cart_id_of(1), C) == [S.HELD]


def test_d12_a_party_that_may_be_parted_is_one_hold_in_pieces_and_another_is_refused() -> None:
    world = Carting(("..\n...\n..", "....", "...."))
    world.send(open_cart(ID, best(A, 5), best(B, 1)))
    assert world.truth(ID, A, B) == [S.REJECTED, S.RELEASED]
    ours = cart_id_of(1)
    world.send(open_cart(ours, party(A, 5), best(B, 1)))
    cart = world.cart(ours)
    assert cart.status == CartStatus.HELD
    assert cart.parts[0].standing.seats == ((0, 0, 2), (1, 0, 3))
    assert world.truth(ours, A, B) == [S.HELD, S.HELD]
    # What is stored tells that it was asked for otherwise.
    world.send(open_cart(ours, best(A, 5), best(B, 1)))
    assert world.cart(ours).wanted == [party(A, 5), best(B, 1)]
    world.send(release_cart(ours))
    assert world.truth(ours, A, B) == [S.RELEASED, S.RELEASED]


def test_d12_a_party_sits_in_the_first_section_with_room_for_all_of_it() -> None:
    world = Carting(("..\n..", "..\n...", "......"))
    world.send(open_cart(ID, party(A, 5, B, C), best(A, 1)))
    cart = world.cart(ID)
    assert cart.status == CartStatus.HELD
    assert world.truth(ID, A, A, B) == [S.REJECTED, S.HELD, S.HELD]
    assert cart.parts[2].standing.seats == ((0, 0, 2), (1, 0, 3))
    assert cart.wanted == [party(A, 5, B, C), best(A, 1)]


def test_d12_a_party_that_no_section_has_room_for_is_parted_over_them_in_their_order() -> None:
    world = Carting(("..\n.", "...", "......"))
    whole = party(A, 7, B, C), best(C, 1)
    world.send(open_cart(ID, *whole))
    cart = world.cart(ID)
    assert cart.status == CartStatus.HELD
    asked = [(part.section.decode(), part.seat_count) for part in cart.parts]
    assert asked == [(A, 7), (C, 1), (B, 7), (C, 7), (A, 7), (B, 4), (C, 1)]
    seats = [sum(one.seat_count for one in part.standing.seats) for part in cart.parts]
    assert seats == [0, 1, 0, 0, 3, 3, 1]
    assert cart.passed_over == {0, 2, 3}
    # A repeat asks for nothing, and what is given back is given back once.
    world.told(SEATS)
    world.send(open_cart(ID, *whole), open_cart(ID, party(A, 7, C, B), best(C, 1)))
    assert world.told(SEATS) == []
    world.send(release_cart(ID))
    assert len(world.told(SEATS)) == 4
    assert world.cart(ID).status == CartStatus.RELEASED
    assert world.truth_of(ID, 4, A) == S.RELEASED


def test_d12_a_party_that_finds_too_few_seats_leaves_none_held() -> None:
    world = Carting(("..\n.", "...", "...."))
    world.send(open_cart(ID, party(A, 7, B), best(C, 1)))
    cart = world.cart(ID)
    assert (cart.status, cart.end) == (CartStatus.REJECTED, CartEnd.REFUSED)
    assert world.truth(ID, A, C, B, A, B) == [
        S.REJECTED, S.RELEASED, S.REJECTED, S.RELEASED, S.REJECTED,
    ]  # fmt: skip
    # Their seats are somebody else's at once.
    world.send(open_cart(cart_id_of(1), best(C, 4), best(A, 2)))
    assert world.truth(cart_id_of(1), C, A) == [S.HELD, S.HELD]


def test_d12_seats_that_become_free_meanwhile_are_had_where_the_party_asks_next() -> None:
    world = Carting(("...", "...", "...."), relays=False)
    world.ask(hold("x", 3, section=A))
    world.relay_all()
    world.send(open_cart(ID, party(A, 3, B)))
    once(world)
    # The first section has refused all of it.
    world.ask(hold("y", 1, section=B), release("x", section=A))
    world.relay_all()
    assert world.cart(ID).status == CartStatus.HELD
    assert world.truth(ID, A, B, A) == [S.REJECTED, S.REJECTED, S.HELD]


def once(world: Carting) -> None:
    """Let carts ask, and sections decide, once."""
    for topic in (CARTS, SEATS):
        for number in range(PARTITIONS):
            world.driver.relay(topic, number)


def test_d12_a_part_of_a_party_that_ends_while_others_are_asked_ends_the_whole() -> None:
    world = Carting(("...", "...", "...."), relays=False)
    world.relay_all()
    world.send(open_cart(ID, party(A, 5, B)))
    for _ in range(3):
        once(world)
    assert world.truth(ID, A, B, A) == [S.REJECTED, S.REJECTED, S.HELD]
    world.ask(release(f"{ID}_2", section=A))
    world.relay_all()
    assert world.cart(ID).status == CartStatus.REJECTED
    assert world.truth_of(ID, 3, B) in {S.RELEASED, S.UNSPECIFIED}


def test_with_keep_the_others_stay() -> None:
    world = Carting(("....", "..", "...."))
    world.send(open_cart(ID, best(A, 2), best(B, 3), on_failure=OnFailure.KEEP))
    assert world.cart(ID).status == CartStatus.HELD
    assert world.truth(ID, A, B) == [S.HELD, S.REJECTED]


def test_two_parts_of_one_section_are_two_holds() -> None:
    world = Carting(("....",) * 3)
    world.send(open_cart(ID, best(A, 2), best(A, 3)))
    assert world.cart(ID).status == CartStatus.REJECTED
    assert world.truth(ID, A, A) == [S.RELEASED, S.REJECTED]


def test_a_buyer_gives_all_back_and_again() -> None:
    world = Carting()
    world.send(open_cart(ID, best(A, 2), best(B, 3)), release_cart(ID), release_cart(ID))
    assert world.cart(ID).status == CartStatus.RELEASED
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]


def test_a_cancelled_cart_is_not_held_by_a_hold_that_comes_later() -> None:
    world = Carting(relays=False)
    world.send(open_cart(ID, best(A, 2), best(B, 3)), release_cart(ID))
    world.relay_all()
    assert world.cart(ID).status == CartStatus.RELEASED
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]


def test_all_parts_lapse_and_the_cart_is_told() -> None:
    world = Carting()
    world.send(open_cart(ID, best(A, 2), best(B, 3)))
    world.driver.advance(HOLD_MS + MINUTE_MS, step_ms=MINUTE_MS // 2)
    assert world.cart(ID).status == CartStatus.RELEASED
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]


def test_the_end_of_one_part_ends_the_whole() -> None:
    world = Carting()
    world.send(open_cart(ID, best(A, 2), best(B, 3)))
    world.ask(release(f"{ID}_0", section=A))
    assert world.cart(ID).status == CartStatus.RELEASED
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]


def test_an_extension_moves_the_deadline_of_the_whole_once() -> None:
    world = Carting()
    world.send(open_cart(ID, best(A, 2), best(B, 3)))
    first_ms = world.cart(ID).deadline_ms
    world.driver.advance(MINUTE_MS)
    world.send(extend_cart(ID, "w1"))
    assert world.cart(ID).deadline_ms == first_ms + MINUTE_MS
    assert not any(part.is_extending for part in world.cart(ID).parts)
    world.driver.advance(MINUTE_MS)
    world.send(extend_cart(ID, "w1"))
    assert world.cart(ID).deadline_ms == first_ms + MINUTE_MS


def test_a_repeat_asks_no_section_again_and_changes_nothing() -> None:
    world = Carting()
    world.send(open_cart(ID, best(A, 2), best(B, 3)))
    before = world.cart(ID)
    world.told(SEATS)
    world.send(open_cart(ID, best(A, 2), best(B, 3)), open_cart(ID, best(A, 1)))
    assert world.told(SEATS) == []
    assert world.cart(ID) == before


def test_a_part_that_was_sold_elsewhere_stays_sold() -> None:
    world = Carting()
    world.send(open_cart(ID, best(A, 2), best(B, 3)))
    world.ask(confirm(f"{ID}_0", section=A), confirm(f"{ID}_1", section=B))
    assert world.cart(ID).status == CartStatus.SOLD


def test_a_hold_that_looks_like_a_part_of_no_cart_is_given_back() -> None:
    world = Carting()
    world.ask(hold(f"{ID}_0", 2, section=A), hold(f"{ID}_1", 2, section=B, user="bob"))
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]


def test_others_can_not_end_a_cart() -> None:
    world = Carting()
    world.send(open_cart(ID, best(A, 2)), release_cart(ID, user="bob"))
    _, value = release_cart(ID)
    world.driver.pipe(CARTS, b"7-bob", value)
    world.ask(release(f"{ID}_0", section=A, user="bob"))
    assert world.cart(ID).status == CartStatus.HELD
    assert [letter.reason for letter in world.driver.dead_letters] == ["KEY_MISMATCH"]


def carts_of(world: Carting) -> Iterator[tuple[str, Cart]]:
    for number in range(PARTITIONS):
        for key, payload in world.driver.stored(CARTS, number).items():
            if key.startswith(CART):
                yield key.removeprefix(CART).decode(), cart_of(payload)


PARTIES = st.builds(
    lambda sections, count: party(sections[0], count, *sections[1:]),
    st.lists(st.sampled_from(SECTIONS), min_size=1, max_size=3, unique=True),
    st.integers(2, 10),
)
WANTS = st.lists(
    st.one_of(st.builds(best, st.sampled_from(SECTIONS), st.integers(1, 4)), PARTIES),
    min_size=1,
    max_size=3,
)
HAPPENS = st.one_of(
    st.tuples(
        st.just("open"), st.integers(0, 5), WANTS,
        st.sampled_from([OnFailure.RELEASE, OnFailure.RELEASE, OnFailure.KEEP]),
    ),
    st.tuples(st.sampled_from(["release", "extend"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["confirm", "stranger"]), st.integers(0, 5), st.integers(0, 8)),
    st.tuples(st.sampled_from(["relay", "lose", "replay"]), st.booleans(), st.integers(0, 3)),
    st.tuples(st.just("pass"), st.sampled_from([1_000, MINUTE_MS, HOLD_MS])),
)  # fmt: skip


def happen(world: Carting, happened: tuple[object, ...]) -> None:
    driver = world.driver
    match happened:
        case ("open", int(number), list(wanted), OnFailure() as on_failure):
            cart_id = cart_id_of(number, user_of(number))
            world.send(open_cart(cart_id, *wanted, user=user_of(number), on_failure=on_failure))
        case ("release", int(number)):
            world.send(release_cart(cart_id_of(number, user_of(number)), user_of(number)))
        case ("extend", int(number)):
            world.send(extend_cart(cart_id_of(number, user_of(number)), "w", user_of(number)))
        case ("confirm" | "stranger" as what, int(number), int(part)):
            cart_id = f"{cart_id_of(number, user_of(number))}_{part}"
            ask = confirm if what == "confirm" else release
            for section in SECTIONS:
                world.ask(ask(cart_id, section=section, user=user_of(number)))
        case ("relay", bool(is_carts), int(number)):
            driver.relay(CARTS if is_carts else SEATS, number)
        case ("lose", bool(is_carts), int(number)):
            driver.pass_over(CARTS if is_carts else SEATS, number)
        case ("replay", bool(is_carts), int(number)):
            topic = CARTS if is_carts else SEATS
            driver.relay(topic, number)
            if log := driver.log(topic, number)[-5:]:
                driver.replay(topic, number, log)
        case ("pass", int(ms)):
            driver.advance(ms)


def user_of(number: int) -> str:
    return "ann" if number < 3 else "bob"


def check(world: Carting) -> None:
    for number in range(PARTITIONS):
        stored = world.driver.stored(CARTS, number)
        assert contradiction(stored.items(), number, PARTITIONS) == ""
    for cart_id, cart in carts_of(world):
        truth = [
            world.truth_of(cart_id, number, part.section.decode())
            for number, part in enumerate(cart.parts)
        ]
        assert cart.status in AT_REST, cart
        assert not any(part.is_extending for part in cart.parts)
        known = [S(part.status) for part in cart.parts]
        assert known == truth
        assert (cart.status == CartStatus.HELD) == (S.HELD in truth)
        ours = {one for number, one in enumerate(truth) if number not in cart.passed_over}
        if cart.on_failure == OnFailure.RELEASE and {S.REJECTED, S.RELEASED} & ours:
            assert S.HELD not in truth
    check_parties(world)


def check_parties(world: Carting) -> None:
    """At any moment a party of a cart that is held has just the seats that it wants."""
    for cart_id, cart in carts_of(world):
        for one in cart.parties:
            assert len(one.parts) <= 2 * len(one.sections)
            assert {cart.parts[number].section for number in one.parts} <= set(one.sections)
            # Of what was refused elsewhere nothing is held.
            for number in cart.passed_over & set(one.parts):
                section = cart.parts[number].section.decode()
                assert world.truth_of(cart_id, number, section) == S.REJECTED
            wanted = cart.parts[one.parts[0]].seat_count
            if cart.status == CartStatus.HELD and cart.on_failure == OnFailure.RELEASE:
                assert cart.seats_of(one) == wanted
            else:
                assert cart.seats_of(one) <= wanted


@settings(max_examples=of_whole(60))
@given(st.lists(HAPPENS, max_size=25))
def test_i25_whatever_happens_carts_and_their_sections_agree_at_rest(
    happened: list[tuple[object, ...]],
) -> None:
    world = Carting(("....", "..\n..", "...\n..."), relays=False)
    world.relay_all()
    for one in happened:
        happen(world, one)
    for _ in range(3):
        world.relay_all()
        world.driver.advance(2 * MINUTE_MS)
    world.relay_all()
    settle(world)
    check(world)


# Sections of four seats: of these parties some fit into one, some into two or three, some nowhere.
SITS = st.builds(
    lambda sections, count: party(sections[0], count, *sections[1:]),
    st.lists(st.sampled_from(SECTIONS), min_size=2, max_size=3, unique=True),
    st.integers(3, 9),
)
MEANWHILE = st.one_of(
    st.tuples(st.just("relay"), st.booleans(), st.integers(0, 3)),
    st.tuples(st.sampled_from(["replay", "lose"]), st.booleans(), st.integers(0, 3)),
    st.tuples(st.sampled_from(["take", "free"]), st.integers(0, 2), st.integers(1, 2)),
    st.tuples(st.just("once")),
    st.tuples(st.just("release"), st.integers(0, 1)),
    st.tuples(st.sampled_from(["confirm", "stranger"]), st.integers(0, 1), st.integers(0, 6)),
    st.tuples(st.just("pass"), st.sampled_from([MINUTE_MS, HOLD_MS])),
)


def sit(world: Carting, happened: tuple[object, ...]) -> None:
    match happened:
        case ("take", int(where), int(count)):
            world.ask(hold(f"x{where}{count}", count, section=SECTIONS[where], user="eve"))
        case ("free", int(where), int(count)):
            world.ask(release(f"x{where}{count}", section=SECTIONS[where], user="eve"))
        case ("once",):
            once(world)
        case _:
            happen(world, happened)


@settings(max_examples=of_whole(60))
@given(st.lists(SITS, min_size=1, max_size=2), st.lists(MEANWHILE, max_size=20))
def test_d12_whatever_happens_meanwhile_a_party_sits_as_a_whole_or_not_at_all(
    wanted: list[Wanted], happened: list[tuple[object, ...]]
) -> None:
    world = Carting(("..\n..", "....", ".\n..\n."), relays=False)
    world.relay_all()
    for number, one in enumerate(wanted):
        world.send(open_cart(cart_id_of(number), one))
    for what in happened:
        sit(world, what)
        check_parties(world)
    world.relay_all()
    check_parties(world)
    settle(world)
    check(world)


def settle(world: Carting) -> None:
    """Let what was lost be asked again: pauses grow with the time that is waited."""
    for _ in range(30):
        if all(not cart.is_waiting for _, cart in carts_of(world)):
            break
        world.driver.advance(10 * MINUTE_MS, step_ms=5 * MINUTE_MS)
        world.relay_all()
    else:
        pytest.fail("it never comes to rest")
    # Whatever is still held is believed to be: also a lapse that was lost is found out.
    world.driver.advance(5 * HOLD_MS, step_ms=MINUTE_MS)
    world.relay_all()
