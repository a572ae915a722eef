"""Lots of who enters before a room opens: their seed is committed to first, and told later.

The seed follows from the key that signs proofs, the event and the opening. So it need not be kept
anywhere: no death of a pod and no loss of Redis loses it, any two pods have the same one, and
nobody chooses it once the key is made. Who reads that key could let anybody in; nobody else knows
the seed before it is told.
"""

import logging
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.admission.turns import TurnLog
from state.domain.waiting.admission import Room
from state.domain.waiting.lots import NO_LOTS, SEED_BYTES, Lots, Opening
from state.kafka.command_log import NotAppended
from state.redis.waiting.rooms import Prepared, WaitingRooms

log = logging.getLogger("seatstream.api")


class NoSeed(Exception):
    """No key of this pod gives the seed that the room has committed to.

    Operator action: give pods the key file that they had when the opening was set.
    """


class RoomLots:
    """Lots of rooms, as a pod gives them out and tells of them.

    keys: private keys that proofs are signed with; the first gives new seeds. turns: where seeds
    are told of; None for nowhere, and nobody stands by lot then.
    """

    def __init__(self, keys: Iterable[Ed25519PrivateKey], turns: TurnLog | None) -> None:
        self._keys = tuple(keys)
        self._turns = turns
        self._known: dict[int, Lots] = {}

    def known(self, event_id: int) -> Lots:
        """Return the lots of an event as they were last learnt; none where they never were."""
        return self._known.get(event_id, NO_LOTS)

    def learn(self, event_id: int, room: Room) -> Lots:
        """Return the lots that a room has committed to; raises NoSeed."""
        for key in self._keys:
            lots = Lots(seed_from(key, event_id, room.opens_ms), room.opens_ms)
            if lots.commitment == room.commitment:
                self._known[event_id] = lots
                return lots
        raise NoSeed(f"event {event_id}: no key gives the seed of {room.commitment}")

    async def commit(self, rooms: WaitingRooms, event_id: int, opens_ms: int) -> Prepared:
        """Have who enters before an opening stand by lot, unless somebody has entered already.

        The commitment is written down before anybody enters. Raises as `TurnLog.say`.
        """
        prepared, _ = await rooms.prepare_lots(event_id, opens_ms)
        if prepared is Prepared.DONE:
            if self._turns is None:
                raise NotAppended("nothing is written down here")
            lots = Lots(seed_from(self._keys[0], event_id, opens_ms), opens_ms)
            await self._turns.say_seed(event_id, Opening(opens_ms, lots.commitment))
            if not await rooms.commit_lots(event_id, lots):
                # Another opening was set meanwhile, and counts.
                return Prepared.HAS_TURNS
        return prepared

    async def draw(self, rooms: WaitingRooms, event_id: int) -> None:
        """Once a room has opened, tell its seed, and then let places be told; safe to repeat.

        Any number may do it at once: all have the same seed. Raises NoSeed, and as `TurnLog.say`.
        """
        room = await rooms.draw_lots(event_id)
        if room is None or room.is_shown or self._turns is None:
            return
        seed = self.learn(event_id, room).seed
        # Whoever was given a lot without the seed stands before it.
        await self._turns.say_all(rooms, event_id)
        await self._turns.say_seed(event_id, Opening(room.opens_ms, room.commitment, seed))
        await rooms.show_lots(event_id)
        log.info("event %d: the lots of its waiting room are drawn", event_id)


def seed_from(key: Ed25519PrivateKey, event_id: int, opens_ms: int) -> bytes:
    """Return the seed of the lots of an opening, which tells nothing of the key."""
    told = b"seatstream waiting room lots %d %d" % (event_id, opens_ms)
    return HKDF(SHA256(), SEED_BYTES, None, told).derive(key.private_bytes_raw())
