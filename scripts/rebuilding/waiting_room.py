"""`seatstream waiting-room rebuild`: a line that Redis has lost, put back as it was told."""

import asyncio
from collections.abc import Iterable, Sequence

import click
from redis.exceptions import RedisError

from scripts.auditing.schemas import Unreadable
from scripts.auditing.topics import CannotRead
from scripts.auditing.waiting.lots import read
from scripts.brokers.addresses import NotUp
from scripts.brokers.answering import redis_needed, servers
from scripts.history.reading import Named, Unread
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import (
    change_options,
    command,
    confirmed,
    failing,
    is_all,
    resumable,
)
from scripts.program.progress import progress
from scripts.rebuilding.one_at_a_time import SomebodyIsAtIt, alone, lease_servers
from scripts.rebuilding.recreating import Refused
from state.domain.waiting.line import Fact, Stands, Step, line_of
from state.domain.waiting.lots import NO_OPENING, Opening
from state.records.waiting.turns import SeedTold, TurnChanged, fact_of, opening_of
from state.redis.client import client_of
from state.redis.waiting.rooms import WaitingRooms

FAILURES = (CannotRead, NotUp, Refused, SomebodyIsAtIt, Unreadable, RedisError, OSError)
PATIENCE_S = 10.0
TURN_CHANGED = "TurnChanged"


@command("rebuild")
@click.argument("event", type=click.IntRange(0))
@click.option(
    "--redis",
    "url",
    envvar="REDIS_URL",
    default="",
    show_envvar=True,
    help="As the pods have it.",
)
@click.option(
    "--into-living-line",
    is_flag=True,
    help="Put back who is missing, or further back than told, though somebody stands there.",
)
@click.option(
    "--despite-unreadable", is_flag=True, help="Go on without the records that cannot be read."
)
@change_options
@failing(*FAILURES)
@resumable
def rebuild_line(
    *,
    event: int,
    url: str,
    into_living_line: bool,
    despite_unreadable: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Put the line of an event back into a Redis that has lost it, from waiting-turns.

    Everybody has the place that they were told, and nobody is let in by a turn that was used up.
    The room is closed then: have it opened as it was. Who has gone meanwhile is given up soon.
    Stopped anywhere, run it again: it goes on where it is. Nobody begins while another is at it.
    Example: seatstream waiting-room rebuild 7 --dry-run
    """
    url = redis_needed(url, "--redis")
    unread = Unread()
    openings: list[Opening] = []
    life = asyncio.run(life_of(url, event))
    line = line_of(facts_of(read(servers(), event, unread), event, openings))
    opening = openings[-1] if openings else NO_OPENING
    if unread.count and not despite_unreadable:
        raise Refused(
            f"{unread}. Name the registry that the pods have, or give --despite-unreadable"
        )
    if not into_living_line:
        asyncio.run(check_lost(url, event))
    if is_all(steps_of(event, line, unread, opening), dry_run=dry_run, as_json=as_json):
        return FOUND if line or openings else DONE
    with alone(f"the line of event {event}", *lease_servers(url)):
        confirmed(f"Put this line into Redis at {url.rpartition('@')[2]}?", yes=yes)
        put = asyncio.run(put_back(url, event, line, opening, life))
    is_all(
        [f"{put} of {len(line)} users put back; open the room"], dry_run=as_json, as_json=as_json
    )
    return DONE


def facts_of(
    records: Iterable[Named], event: int, openings: list[Opening] | None = None
) -> Iterable[Fact]:
    """Yield what records tell of the turns of an event, but for what no pod tells.

    openings: is added to by what they tell of openings by lot; the last of these counts.
    """
    for _, _, name, fields in records:
        if name != TURN_CHANGED:
            if fields["eventId"] == event and openings is not None:
                seed = fields["commitment"].encode(), fields["seed"].encode()
                opening = opening_of(SeedTold(event, fields["opensMs"], *seed))
                openings += [] if opening is None else [opening]
            continue
        told = fields["userId"].encode(), fields["turn"], Step[fields["step"]], fields["lastMs"]
        fact = fact_of(TurnChanged(fields["eventId"], *told))
        if fields["eventId"] == event and fact is not None:
            yield fact


def steps_of(
    event: int, line: Sequence[Stands], unread: Unread, opening: Opening = NO_OPENING
) -> list[str]:
    """Return what is to be done, for people."""
    waiting, admitted = (
        sum(one.step is step for one in line) for step in (Step.GIVEN, Step.ADMITTED)
    )
    used = len(line) - waiting - admitted
    told = f"event {event}: {waiting} wait, {admitted} were let in, turns of {used} are used up"
    drawn = "drawn" if opening.seed else "not drawn yet"
    by_lot = f"opens at {opening.opens_ms} Unix ms, before which places are by lot: {drawn}"
    lots = [by_lot] if opening.opens_ms else []
    return [told, *lots, *([f"left out: {unread}"] if unread.count else [])]


async def check_lost(url: str, event: int) -> None:
    """Raise Refused where somebody stands in the room."""
    client = client_of(url, timeout_s=PATIENCE_S)
    try:
        room, _ = await WaitingRooms(client.execute_command).look(event, ())
    finally:
        await client.aclose()
    if room is not None and room.waiting + room.admitted:
        raise Refused(
            f"{room.waiting} wait and {room.admitted} are in: this line lives. Give"
            " --into-living-line to put those back who are missing"
        )


async def life_of(url: str, event: int) -> str:
    """Return which start of which server has the room, before what was told is read."""
    client = client_of(url, timeout_s=PATIENCE_S)
    try:
        return await WaitingRooms(client.execute_command).life(event)
    finally:
        await client.aclose()


async def put_back(
    url: str,
    event: int,
    line: Sequence[Stands],
    opening: Opening = NO_OPENING,
    life: str = "",
) -> int:
    """Put users back in the order of their turns; return how many were not there."""
    client = client_of(url, timeout_s=PATIENCE_S)
    try:
        rooms = WaitingRooms(client.execute_command)
        with progress("users put back") as told:
            return await rooms.restore_all(
                event, line, opening, life, lambda done: told(done, len(line))
            )
    finally:
        await client.aclose()
