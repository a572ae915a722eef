"""A pod's waiting rooms without Redis: rooms are models, and claims lie in a dict."""

from collections.abc import Sequence
from typing import Any

from support.waiting.keys import passes
from support.waiting.model import ModelOfRoom

from api.admission.desk import WaitingDesk
from state.domain.waiting.admission import NOWHERE, Place, Room, RoomState, Standing
from state.domain.waiting.lots import NO_LOTS, Lots
from state.redis.waiting.rooms import OPENS_MAX_MS, Entered, Entry, Prepared, WaitingRooms

NOW_MS = 1_900_000_000_000


class RoomsInMemory(WaitingRooms):
    """Rooms that answer as Redis would; nobody is ever given up.

    limits: how many the last promotion of an event could let in.
    """

    def __init__(self) -> None:
        super().__init__(_nobody)
        self.models: dict[int, ModelOfRoom] = {}
        self.messages: dict[int, str] = {}
        self.limits: dict[int, int] = {}

    async def configure(
        self,
        event_id: int,
        *,
        state: RoomState | None = None,
        cap: int | None = None,
        per_minute: int | None = None,  # noqa: ARG002
        message: str | None = None,
    ) -> Room:
        model = self.models.setdefault(event_id, ModelOfRoom())
        model.state = model.state if state is None else state
        model.cap = model.cap if cap is None else cap
        if message is not None:
            self.messages[event_id] = message
        return self._room(event_id)

    async def enter(
        self,
        event_id: int,
        user_id: str,
        proved_turn: int = 0,
        *,
        was_deaf: bool = False,  # noqa: ARG002
        lots: Lots = NO_LOTS,  # noqa: ARG002
    ) -> Entered:
        if event_id not in self.models:
            return Entered(Entry.NO_ROOM, NOWHERE, None)
        entry = self.models[event_id].enter(user_id, proved_turn)
        return Entered(entry, self._place(event_id, user_id), self._room(event_id))

    async def look(
        self,
        event_id: int,
        users: Sequence[str],
        *,
        was_deaf: bool = False,  # noqa: ARG002
        is_streamed: bool = False,  # noqa: ARG002
    ) -> tuple[Room | None, tuple[Place, ...]]:
        if event_id not in self.models:
            return None, (NOWHERE,) * len(users)
        return self._room(event_id), tuple(self._place(event_id, user) for user in users)

    async def leave(self, event_id: int, user_id: str) -> Place:
        if event_id not in self.models:
            return NOWHERE
        return Place(self.models[event_id].leave(user_id))

    async def prepare_lots(self, event_id: int, opens_ms: int) -> tuple[Prepared, Room | None]:
        """Refuse as a room that somebody has entered: nothing is written down here."""
        is_time = NOW_MS < opens_ms <= NOW_MS + OPENS_MAX_MS
        return Prepared.HAS_TURNS if is_time else Prepared.NO_TIME, self._room(event_id)

    def _place(self, event_id: int, user: str) -> Place:
        model = self.models[event_id]
        turn, standing = model.known.get(user, 0), model.standing(user)
        rank = model.line().index(user) if standing is Standing.WAITING else 0
        return Place(standing, turn, rank, 1_900_000_060_000, 1_900_003_600_000)

    def _room(self, event_id: int) -> Room:
        model, message = self.models[event_id], self.messages.get(event_id, "")
        counts = model.joined, model.left, model.expired, model.done
        waiting, admitted = len(model.waiting), len(model.admitted)
        limit = self.limits.get(event_id, -1)
        return Room(model.state, model.cap, 0, message, waiting, admitted, *counts, limit, 0.0, 0)


class DeskInMemory(WaitingDesk):
    """A desk over rooms in memory."""

    def __init__(self) -> None:
        super().__init__("", passes())
        self.rooms: RoomsInMemory = RoomsInMemory()
        self._claims: dict[str, bytes] = {}

    async def _ask(self, *command: Any) -> Any:
        name, key, *rest = command
        if name == "SET":
            former = self._claims.get(key)
            self._claims.setdefault(key, b"%d" % rest[0])
            return former
        if name == "DEL":
            return self._claims.pop(key, None)
        return self._claims.get(key)


async def _nobody(*_: Any) -> Any:
    raise AssertionError("no Redis is asked")
