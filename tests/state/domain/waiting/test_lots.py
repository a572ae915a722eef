"""A lot follows from seed and name alone, and stands before whatever is given out later."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from state.domain.waiting.admission import TURN_MAX, TURNS_PER_S
from state.domain.waiting.line import Fact, Step, line_of
from state.domain.waiting.lots import (
    LOT_BITS,
    SEED_BYTES,
    commitment_of,
    first_turn,
    is_by_lot,
    lot_of,
    turn_by_lot,
    undrawn_turn,
)

SEEDS = st.binary(min_size=SEED_BYTES, max_size=SEED_BYTES)
# From 2020 to where turns end.
OPENINGS = st.integers(1_577_836_800_000, 4_294_967_295_999)
NAMES = st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=30)


def test_d31_a_lot_is_the_first_bits_of_a_published_algorithm() -> None:
    # RFC 4231, test case 1: b0344c61 d8db3853 ...
    assert lot_of(b"\x0b" * 20, "Hi There") == 0xB0344C61D8 >> 2
    # FIPS 180-2, appendix B.1.
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert commitment_of(b"abc") == abc


@given(SEEDS, OPENINGS, NAMES, st.randoms(use_true_random=False))
def test_d31_one_seed_gives_one_order_whoever_came_first(
    seed: bytes, opens_ms: int, names: list[str], chance: Random
) -> None:
    line = line_of(Fact(name, turn_by_lot(seed, opens_ms, name), Step.GIVEN) for name in names)
    chance.shuffle(names)
    again = line_of(Fact(name, turn_by_lot(seed, opens_ms, name), Step.GIVEN) for name in names)
    assert line == again
    drawn = sorted(names, key=lambda name: (lot_of(seed, name), name.encode()))
    assert [one.user_id for one in line] == drawn


@given(SEEDS, OPENINGS, st.text(min_size=1, max_size=12))
def test_d31_a_lot_stands_before_every_turn_from_the_opening_on(
    seed: bytes, opens_ms: int, name: str
) -> None:
    turn = turn_by_lot(seed, opens_ms, name)
    assert 0 < undrawn_turn(opens_ms) < turn < first_turn(opens_ms) <= TURN_MAX
    assert is_by_lot(turn, opens_ms)
    assert not is_by_lot(undrawn_turn(opens_ms), opens_ms)
    assert not is_by_lot(first_turn(opens_ms), opens_ms)
    assert first_turn(opens_ms) - turn <= 1 << LOT_BITS
    assert first_turn(opens_ms) % TURNS_PER_S == 0


def test_d31_lots_prefer_no_end_of_an_alphabet_and_no_seed_repeats_another() -> None:
    names = [f"user-{number:05}" for number in range(2_000)]
    orders = []
    for seed in (b"a" * SEED_BYTES, b"b" * SEED_BYTES):
        lots = [lot_of(seed, name) for name in names]
        assert len(set(lots)) == len(names)
        in_front = sum(lot < 1 << (LOT_BITS - 1) for lot in lots[:1_000])
        # Three standard deviations of a fair coin.
        assert 450 < in_front < 550
        orders.append(sorted(names, key=lambda name: lot_of(seed, name)))
    assert orders[0] != orders[1]
