"""Places by lot of who comes before a waiting room opens, drawn by a seed that is shown later.

The seed is committed to before anybody enters, by its digest, and shown once the room has opened:
so whoever has both, and the names, finds that nobody chose the order. A lot follows from seed and
name alone, whoever came first.
"""

from hashlib import sha256
from hmac import digest
from typing import Final, NamedTuple

from state.domain.waiting.admission import TURNS_PER_S

SEED_BYTES: Final = 32

LOT_BITS: Final = 38
"""As many as there is room for: lots of one opening take the turns of the three days before it."""

_LOT_BYTES: Final = (LOT_BITS + 7) // 8


def commitment_of(seed: bytes) -> str:
    """Return what is told of a seed before anybody enters: SHA-256, in hex."""
    return sha256(seed).hexdigest()


def lot_of(seed: bytes, user_id: str) -> int:
    """Return the lot of a user: the first 38 bits of HMAC-SHA256, the seed as the key.

    Lower comes first. Of two users with one lot, which is one pair in 2^38, the name's bytes tell.
    """
    first = digest(seed, user_id.encode(), "sha256")[:_LOT_BYTES]
    return int.from_bytes(first, "big") >> (8 * _LOT_BYTES - LOT_BITS)


def first_turn(opens_ms: int) -> int:
    """Return what no turn is below that is given out from the opening on."""
    return opens_ms // 1000 * TURNS_PER_S


def undrawn_turn(opens_ms: int) -> int:
    """Return what stands for the lot of somebody who must not know it yet: one below all lots."""
    return first_turn(opens_ms) - (1 << LOT_BITS) - 1


def turn_by_lot(seed: bytes, opens_ms: int, user_id: str) -> int:
    """Return the turn of who entered before the opening: below all that are given out later."""
    return undrawn_turn(opens_ms) + 1 + lot_of(seed, user_id)


def is_by_lot(turn: int, opens_ms: int) -> bool:
    """Say whether a turn is one of the lots of an opening."""
    return undrawn_turn(opens_ms) < turn < first_turn(opens_ms)


class Lots(NamedTuple):
    """The lots of one opening, for who has the seed."""

    seed: bytes
    opens_ms: int

    @property
    def commitment(self) -> str:
        return commitment_of(self.seed) if self.seed else ""

    def turn_of(self, user_id: str) -> int:
        """Return the turn of a user by lot; 0 where there are none."""
        return turn_by_lot(self.seed, self.opens_ms, user_id) if self.seed else 0


NO_LOTS: Final = Lots(b"", 0)


class Opening(NamedTuple):
    """What was told of lots to everybody; seed: empty until it was shown."""

    opens_ms: int
    commitment: str
    seed: bytes = b""


NO_OPENING: Final = Opening(0, "")
