"""`seatstream waiting-room rebuild`: a line that Redis has lost, put back as it was told."""

import asyncio
from collections.abc import Iterable, Sequence

import click
from redis.exceptions import RedisError

from schemas.topics import WAITING_TURNS
from scripts.auditing.log import CannotRead
from scripts.auditing.schemas import Unreadable
from scripts.brokers.addresses import NotUp, Servers, servers
from scripts.history.reading import Named, Unread, decoded, each_line
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import (
    command,
    confirmed,
    dry_run_option,
    failing,
    is_all,
    json_option,
    resumable,
    yes_option,
)
from scripts.program.progress import progress
from scripts.rebuilding.recreating import Refused
from state.domain.waiting.admission import TURN_MAX, may_wait
from state.domain.waiting.line import Fact, Stands, Step, line_of
from state.redis.client import client_of
from state.redis.waiting.rooms import RESTORED_MAX, WaitingRooms

FAILURES = (CannotRead, NotUp, Refused, Unreadable, RedisError, OSError)
PATIENCE_S = 10.0


@command("rebuild")
@click.argument("event", type=click.IntRange(0))
@click.option(
    "--redis", "url", envvar="REDIS_URL", required=True, help="As the pods have it: REDIS_URL."
)
@click.option(
    "--into-living-line",
    is_flag=True,
    help="Put back who is missing, or further back than told, though somebody stands there.",
)
@click.option(
    "--despite-unreadable", is_flag=True, help="Go on without the records that cannot be read."
)
@dry_run_option
@yes_option
@json_option
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
    Stopped anywhere, run it again: it goes on where it is.
    Example: seatstream waiting-room rebuild 7 --dry-run
    """
    unread = Unread()
    line = line_of(facts_of(read(servers(), event, unread), event))
    if unread.count and not despite_unreadable:
        raise Refused(
            f"{unread}. Name the registry that the pods have, or give --despite-unreadable"
        )
    if not into_living_line:
        asyncio.run(check_lost(url, event))
    if is_all(steps_of(event, line, unread), dry_run=dry_run, as_json=as_json):
        return FOUND if line else DONE
    confirmed(f"Put this line into Redis at {url.rpartition('@')[2]}?", yes=yes)
    put = asyncio.run(put_back(url, event, line))
    is_all(
        [f"{put} of {len(line)} users put back; open the room"], dry_run=as_json, as_json=as_json
    )
    return DONE


def read(where: Servers, event: int, unread: Unread) -> Iterable[Named]:
    """Yield the records of an event; raises CannotRead."""
    mine = b"%d:" % event
    records = each_line(where, WAITING_TURNS, lambda record: (record.key or b"").startswith(mine))
    return decoded(where, WAITING_TURNS, records, unread)


def facts_of(records: Iterable[Named], event: int) -> Iterable[Fact]:
    """Yield what records tell of the turns of an event, but for what no pod tells."""
    for _, _, _, fields in records:
        user, turn, step = fields["userId"], fields["turn"], Step[fields["step"]]
        is_ours = may_wait(user) and 1 <= turn <= TURN_MAX and step is not Step.UNSPECIFIED
        if fields["eventId"] == event and is_ours:
            yield Fact(user, turn, step, fields["lastMs"])


def steps_of(event: int, line: Sequence[Stands], unread: Unread) -> list[str]:
    """Return what is to be done, for people."""
    waiting, admitted = (
        sum(one.step is step for one in line) for step in (Step.GIVEN, Step.ADMITTED)
    )
    used = len(line) - waiting - admitted
    told = f"event {event}: {waiting} wait, {admitted} were let in, turns of {used} are used up"
    return [told, *([f"left out: {unread}"] if unread.count else [])]


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


async def put_back(url: str, event: int, line: Sequence[Stands]) -> int:
    """Put users back in the order of their turns; return how many were not there."""
    client, put = client_of(url, timeout_s=PATIENCE_S), 0
    try:
        rooms = WaitingRooms(client.execute_command)
        # One script at least: a line of nobody has a room, too.
        with progress("users put back") as told:
            for first in range(0, len(line) or 1, RESTORED_MAX):
                part = line[first : first + RESTORED_MAX]
                is_last = first + RESTORED_MAX >= len(line)
                put += await rooms.restore(event, part, is_last=is_last)
                told(first + len(part), len(line))
    finally:
        await client.aclose()
    return put
