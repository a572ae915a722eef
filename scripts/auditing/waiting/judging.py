"""Waiting rooms in Redis compared with what was written down of their turns (I22).

What is in Redis and not noted as unwritten was written before Redis was read, and the topic was
read after it: so it has to be there. What the topic had before Redis was read is in Redis, too, or
the line was lost.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from schemas.topics import WAITING_TURNS
from scripts.auditing.issued.reading import decoded
from scripts.auditing.log import Log
from scripts.auditing.report import Notes, Report
from scripts.auditing.waiting.reading import SeenRoom

STEPS: Final = {"GIVEN": 1, "ADMITTED": 2, "ENDED": 3}
PER_S: Final = 1 << 20
"""A turn is not below the second that it was given out in, times this."""

ROOM_KEPT_S: Final = 7 * 86_400
TURNS_KEPT_S: Final = int(dict(WAITING_TURNS.config)["retention.ms"]) // 1000


@dataclass(slots=True)
class Told:
    """What was written down of one event.

    steps: `step:turn:user` of all. given, used: the highest turn of each user that was given out,
    and that was used up or is over, among what was written before Redis was read.
    """

    steps: set[str] = field(default_factory=set)
    given: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    def waits(self) -> Iterator[tuple[str, int]]:
        """Yield who waits, and at which turn."""
        for user, turn in self.given.items():
            if turn > self.used.get(user, 0):
                yield user, turn


def judge_lines(log: Log, report: Report) -> None:
    """Judge every room, and every line that has none; nothing where Redis was not named."""
    if log.rooms is None:
        return
    told = read_told(log, report)
    now_s = log.rooms_read_ms // 1000
    for room in log.rooms:
        report.rooms += 1
        report.waiting += len(room.waiting)
        notes = Notes(0, report)
        if room.fault:
            notes.bad("I22", "no room of ours", -1, f"event {room.event_id}: {room.fault}")
            continue
        for anomaly, message in judge_room(room, told.get(room.event_id, Told()), now_s):
            notes.bad("I22", anomaly, -1, f"event {room.event_id}: {message}")
    for event in sorted(told.keys() - {room.event_id for room in log.rooms}):
        young = [user for user, turn in told[event].waits() if turn // PER_S > now_s - ROOM_KEPT_S]
        if young:
            message = f"event {event}: {len(young)} wait, and Redis has no room"
            help_ = f"seatstream waiting-room rebuild {event}"
            Notes(0, report).bad("I22", "line lost", -1, f"{message}: {help_}")


def read_told(log: Log, report: Report) -> dict[int, Told]:
    """Return what was written down, by event; note turns that let somebody in twice."""
    told: dict[int, Told] = defaultdict(Told)
    let_in: dict[tuple[int, str, int], int] = {}
    for notes, offset, name, fields in decoded(log, log.turns, WAITING_TURNS, report):
        if name != "TurnChanged":
            continue
        event, user, turn = fields["eventId"], str(fields["userId"]), fields["turn"]
        step = STEPS.get(fields["step"])
        if step is None:
            notes.foreign(WAITING_TURNS.name, offset, f"step {fields['step']}")
            continue
        one = told[event]
        one.steps.add(f"{step}:{turn}:{user}")
        if step == STEPS["ADMITTED"]:
            last_ms = let_in.setdefault((event, user, turn), fields["lastMs"])
            if last_ms != fields["lastMs"]:
                notes.bad("I22", "admitted twice", offset, f"event {event}: {user}, turn {turn}")
        if offset < log.turns_before.get(notes.partition, 0):
            highest = one.given if step == STEPS["GIVEN"] else one.used
            highest[user] = max(turn, highest.get(user, 0))
    return told


def judge_room(room: SeenRoom, told: Told, now_s: int) -> Iterator[tuple[str, str]]:
    """Yield anomaly and message of whatever cannot be."""
    ended = sum(room.counts[name] for name in ("left", "expired", "done"))
    here = len(room.waiting) + len(room.admitted)
    if room.counts["joined"] != here + ended:
        yield "turns do not add up", f"{room.counts['joined']} joined, {here} here, {ended} ended"
    for user in sorted(room.waiting.keys() & room.admitted):
        yield "waits and is in", user
    for user, turn in room.waiting.items():
        if turn <= told.used.get(user, 0):
            yield "waits at a turn that was used up", f"{user}, turn {turn}"
        if not _is_known(STEPS["GIVEN"], turn, user, room, told, now_s):
            yield "not written down", f"{user} waits at turn {turn}"
    for user in sorted(room.admitted):
        turn = room.turns.get(user, 0)
        if not _is_known(STEPS["ADMITTED"], turn, user, room, told, now_s):
            yield "not written down", f"{user} is in by turn {turn}"
    for user, turn in told.waits():
        # One below it: given up, for nothing was heard; the turn counts when it is shown.
        if room.turns.get(user, 0) < turn - 1 and turn // PER_S > now_s - ROOM_KEPT_S:
            yield "lost in the line", f"{user}, turn {turn}"


def _is_known(step: int, turn: int, user: str, room: SeenRoom, told: Told, now_s: int) -> bool:
    name = f"{step}:{turn}:{user}"
    is_kept = turn // PER_S > now_s - TURNS_KEPT_S
    return name in told.steps or name in room.unsaid or not is_kept
