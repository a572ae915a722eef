"""One waiting room as a list and a few dicts: no Redis, no clock, no scripts.

Time is what is done by hand: who is `silent` has not asked for too long, who is `lapsed` was
admitted for too long.
"""

from dataclasses import dataclass, field

from state.domain.waiting.admission import RoomState, Standing
from state.redis.waiting.rooms import Entry


@dataclass
class ModelOfRoom:
    """What a room must be.

    next_turn: the last one that was given out. waiting, admitted, known: turn by user; known
    are all whose turns count no more than once. answers: by promotion id.
    """

    next_turn: int = 0
    state: RoomState = RoomState.PAUSED
    cap: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    admitted: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    lapsed: set[str] = field(default_factory=set)
    answers: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    joined: int = 0
    left: int = 0
    expired: int = 0
    done: int = 0

    def line(self) -> list[str]:
        return sorted(self.waiting, key=lambda user: self.waiting[user])

    def standing(self, user: str) -> Standing:
        if user in self.waiting:
            return Standing.WAITING
        if user in self.admitted and user not in self.lapsed:
            return Standing.ADMITTED
        return Standing.NONE

    def enter(self, user: str, proved: int, given: int = 0) -> Entry:
        """Return what comes of it; given: the turn that Redis gave out, 0 for the next one."""
        if user in self.waiting:
            self.silent.discard(user)
            return Entry.WAITS
        if user in self.admitted:
            if user not in self.lapsed:
                return Entry.IS_ADMITTED
            self._end_admission(user)
        is_lost = proved > self.known.get(user, 0)
        if self.state is RoomState.CLOSED and not is_lost:
            return Entry.CLOSED
        if is_lost:
            turn = proved
            self.next_turn = max(self.next_turn, proved)
        else:
            # The clock may have it jump ahead, and never back.
            assert not given or given > self.next_turn
            turn = self.next_turn = given or self.next_turn + 1
        self.waiting[user] = self.known[user] = turn
        self.joined += 1
        return Entry.RESTORED if is_lost else Entry.NEW

    def look(self, user: str) -> Standing:
        if user in self.waiting:
            self.silent.discard(user)
        return self.standing(user)

    def leave(self, user: str) -> Standing:
        if user in self.waiting:
            del self.waiting[user]
            self.silent.discard(user)
            self.left += 1
            return Standing.WAITING
        if user in self.admitted:
            del self.admitted[user]
            self.lapsed.discard(user)
            self.done += 1
            return Standing.ADMITTED
        return Standing.NONE

    def promote(self, promotion_id: str, slots: int, most: int) -> list[tuple[str, int]]:
        if promotion_id in self.answers:
            return self.answers[promotion_id]
        promoted = []
        limit = self.cap if most < 0 else min(self.cap, most)
        room = limit - len(self.admitted) if self.state is RoomState.OPEN else 0
        for user in self.line()[: max(0, min(slots, room))]:
            turn = self.waiting.pop(user)
            if user in self.silent:
                self.silent.discard(user)
                self.known[user] = turn - 1
                self.expired += 1
            else:
                self.admitted[user] = turn
                promoted.append((user, turn))
        self.answers[promotion_id] = promoted
        return promoted

    def reap(self) -> tuple[int, set[str]]:
        gone, over = set(self.silent), set(self.lapsed)
        for user in gone:
            # What was given up counts when it is shown; what was used up before does not.
            self.known[user] = self.waiting.pop(user) - 1
        self.silent.clear()
        self.expired += len(gone)
        for user in over:
            self._end_admission(user)
        return len(gone), over

    def _end_admission(self, user: str) -> None:
        del self.admitted[user]
        self.lapsed.discard(user)
        self.expired += 1
