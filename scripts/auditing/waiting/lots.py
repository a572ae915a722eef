"""`seatstream waiting-room verify`: that nobody chose who is first, shown from the topic alone."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import click

from schemas.topics import WAITING_TURNS
from scripts.auditing.schemas import Unreadable
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import NotUp, Servers
from scripts.brokers.answering import servers
from scripts.history.reading import Named, Unread, decoded, each_line
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import command, failing, json_option, say
from state.domain.waiting.lots import (
    SEED_BYTES,
    commitment_of,
    is_by_lot,
    turn_by_lot,
    undrawn_turn,
)

TOLD_MAX = 20
"""Faults that are told one by one."""


class NotShown(Exception):
    """Nothing can be said of the lots of this event.

    Operator action: none before the opening; else see whether the promoter of a pod is in trouble.
    """


@dataclass(slots=True)
class Judged:
    """What the topic says of one opening by lot.

    by_lot: users who stand by lot. behind_the_seed: of them, whose record was written, maybe once
    more, after the seed was told. places: place by user, among those by lot. faults: what cannot
    be where nobody chose the order.
    """

    opens_ms: int
    commitment: str
    seed: str = ""
    by_lot: int = 0
    behind_the_seed: int = 0
    places: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Partition:
    """What one partition has of an event.

    committed, shown: offsets of the first commitment and of the seed, by digest. given: offset,
    user and turn of each that was given out. over: those that are.
    """

    committed: dict[str, int] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    given: list[tuple[int, str, int]] = field(default_factory=list)
    over: set[tuple[str, int]] = field(default_factory=set)


@command("verify")
@click.argument("event", type=click.IntRange(0))
@click.option("--user", help="Say at which place by lot this user stood, too.")
@click.option(
    "--despite-unreadable", is_flag=True, help="Go on without the records that cannot be read."
)
@json_option
@failing(CannotRead, NotShown, NotUp, Unreadable, OSError)
def verify_lots(*, event: int, user: str | None, despite_unreadable: bool, as_json: bool) -> int:
    """Show from waiting-turns alone that nobody chose the order of who came before the opening.

    The seed was committed to before anybody entered, it is the one that was told, and each place
    follows from it and the user's name. Exit code 1: something of that is not so. 2: nothing can
    be said, as before the opening.
    Example: seatstream waiting-room verify 7 --user ann
    """
    unread = Unread()
    judged = judge(read(servers(), event, unread), event)
    if unread.count and not despite_unreadable:
        raise NotShown(f"{unread}. Name the registry that the pods have, or --despite-unreadable")
    is_proved = not any(opening.faults for opening in judged)
    if as_json:
        openings = [told(opening, user) for opening in judged]
        click.echo(json.dumps({"event": event, "proved": is_proved, "openings": openings}))
    else:
        for opening in judged:
            for line in lines_of(opening, user):
                say(line)
    return DONE if is_proved else FOUND


def read(where: Servers, event: int, unread: Unread) -> Iterable[Named]:
    """Yield the records of an event; raises CannotRead."""
    mine = b"%d:" % event
    records = each_line(where, WAITING_TURNS, lambda record: (record.key or b"").startswith(mine))
    return decoded(where, WAITING_TURNS, records, unread)


def judge(records: Iterable[Named], event: int) -> list[Judged]:
    """Return what is to be said of each opening whose seed was told; raises NotShown for none."""
    parts: dict[int, Partition] = {}
    openings: dict[str, Judged] = {}
    for number, record, name, fields in records:
        if fields["eventId"] != event:
            continue
        part = parts.setdefault(number, Partition())
        if name == "TurnChanged":
            user, turn = fields["userId"], fields["turn"]
            if fields["step"] == "GIVEN":
                part.given.append((record.offset, user, turn))
            elif fields["step"] == "ENDED":
                part.over.add((user, turn))
            continue
        commitment = fields["commitment"]
        opening = openings.setdefault(commitment, Judged(fields["opensMs"], commitment))
        if fields["opensMs"] != opening.opens_ms:
            opening.faults.append("one commitment is told of two openings")
        if fields["seed"]:
            part.shown.setdefault(commitment, record.offset)
            opening.seed = opening.seed or fields["seed"]
            if fields["seed"] != opening.seed:
                opening.faults.append("two seeds are told for one commitment")
        else:
            part.committed.setdefault(commitment, record.offset)
    shown = [opening for opening in openings.values() if opening.seed]
    if not shown:
        why = "its seed is not told yet" if openings else "nobody stands by lot there"
        raise NotShown(f"event {event}: {why}")
    for opening in shown:
        _judge_opening(opening, parts)
    return shown


def _judge_opening(opening: Judged, parts: dict[int, Partition]) -> None:
    try:
        seed = bytes.fromhex(opening.seed)
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES or commitment_of(seed) != opening.commitment:
        opening.faults.append("the seed that was told is not the one that was committed to")
        return
    turns: dict[str, int] = {}
    for number, part in sorted(parts.items()):
        committed = part.committed.get(opening.commitment)
        shown = part.shown.get(opening.commitment)
        for offset, user, turn in part.given:
            if not is_by_lot(turn, opening.opens_ms):
                if turn <= undrawn_turn(opening.opens_ms) and (user, turn) not in part.over:
                    opening.faults.append(f"{user} stands before all lots, at turn {turn}")
                continue
            turns[user] = turn
            if committed is None or committed > offset:
                opening.faults.append(
                    f"{user} entered before the commitment: {number}, offset {offset}"
                )
            if turn != turn_by_lot(seed, opening.opens_ms, user):
                opening.faults.append(f"{user} stands at turn {turn}, which is not the lot")
            if shown is not None and offset > shown:
                opening.behind_the_seed += 1
    drawn = sorted(turns, key=lambda user: (turns[user], user.encode()))
    opening.places = {user: place for place, user in enumerate(drawn, 1)}
    opening.by_lot = len(drawn)


def told(opening: Judged, user: str | None) -> dict[str, object]:
    """Return what is said of an opening to programs."""
    document = asdict(opening)
    places = document.pop("places")
    return document if user is None else {**document, "place": places.get(user)}


def lines_of(opening: Judged, user: str | None) -> Sequence[str]:
    """Return what is said of an opening to people."""
    lines = [
        f"opening at {opening.opens_ms} Unix ms: {opening.by_lot} stand by lot",
        f"committed to: SHA-256 {opening.commitment}",
        f"seed: {opening.seed}",
    ]
    if opening.behind_the_seed:
        lines.append(
            f"written, maybe once more, after the seed was told: {opening.behind_the_seed}"
        )
    if user is not None:
        place = opening.places.get(user)
        lines.append(f"{user}: place {place}" if place else f"{user} does not stand by lot")
    lines += [f"not so: {fault}" for fault in opening.faults[:TOLD_MAX]]
    if len(opening.faults) > TOLD_MAX:
        lines.append(f"and {len(opening.faults) - TOLD_MAX} more that are not so")
    if not opening.faults:
        lines.append("nobody chose this order")
    return lines
