"""`seatstream booking-queue`: how the queue stands, and what to do with items that failed."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import click

from scripts.command_line import printable
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import (
    command,
    confirmed,
    dry_run_option,
    failing,
    is_all,
    json_option,
    yes_option,
)
from state.domain.booking_queue.figures import CLEANED_AT_ONCE
from state.domain.booking_queue.queue import BookingQueue, QueueAway, QueueUnreadable, Standing
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.client import client_of

PATIENCE_S: Final = 10.0
LISTED_MAX: Final = 1_000

_Told = TypeVar("_Told")

redis_option = click.option(
    "--redis", "url", envvar="REDIS_URL", required=True, help="As the pods have it: REDIS_URL."
)
event_argument = click.argument("event", type=click.IntRange(0), required=False)
items_argument = click.argument("items", metavar="ITEM...", nargs=-1, required=True)
failures = failing(QueueAway, QueueUnreadable, OSError)


def _asked(url: str, ask: Callable[[BookingQueue], Awaitable[_Told]]) -> _Told:
    async def go() -> _Told:
        client = client_of(url, timeout_s=PATIENCE_S)
        try:
            return await ask(RedisBookingQueue(client.execute_command))
        finally:
            await client.aclose()

    return asyncio.run(go())


async def _events(queue: BookingQueue, event: int | None) -> Sequence[int]:
    return await queue.events() if event is None else (event,)


@command("stats")
@event_argument
@redis_option
@json_option
@failures
def stats(*, event: int | None, url: str, as_json: bool) -> int:
    """Show how long the queue of an event is, how old, and what became of items; or of all events.

    Example: seatstream booking-queue stats 7
    """

    async def ask(queue: BookingQueue) -> dict[int, Standing]:
        return {one: await queue.standing(one) for one in await _events(queue, event)}

    found = _asked(url, ask)
    told = [{"event": one, **standing._asdict()} for one, standing in found.items()]
    if as_json:
        click.echo(json.dumps({"events": told}))
        return DONE
    for one, standing in found.items():
        click.echo(
            f"event {one}: {standing.waiting} wait, the first for {standing.oldest_ms // 1000} s;"
            f" {standing.later} pause, {standing.taken} with workers, {standing.dead} dead;"
            f" of {standing.enqueued} {standing.completed} completed, {standing.expired} expired,"
            f" {standing.cancelled} cancelled; {standing.retried} attempts failed"
        )
    return DONE


@command("dead")
@event_argument
@redis_option
@json_option
@failures
def list_dead(*, event: int | None, url: str, as_json: bool) -> int:
    """List items that failed for good, the longest dead first, up to 1000 an event.

    Exit codes: 0 there is none, 1 there are some.
    Example: seatstream booking-queue dead 7
    """

    async def ask(queue: BookingQueue) -> list[dict[str, Any]]:
        found = []
        for one in await _events(queue, event):
            for item_id in await queue.dead(one, LISTED_MAX):
                item = await queue.look(item_id)
                if item is not None:
                    asked = item.request.decode(errors="replace")
                    told = {"item": item.id, "event": one, "user": item.user_id}
                    found.append({**told, "reason": item.reason, "request": asked})
        return found

    found = _asked(url, ask)
    if as_json:
        click.echo(json.dumps({"dead": found}))
    else:
        for one in found:
            line = f"{one['item']} {one['reason']}: {one['user']} asked for {one['request']}"
            click.echo(printable(line))
    return FOUND if found else DONE


@command("requeue")
@items_argument
@redis_option
@dry_run_option
@yes_option
@json_option
@failures
def requeue(*, items: tuple[str, ...], url: str, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Have dead items tried anew, each at the end of its event's line, under a new key.

    Mend first what they died of. Exit codes: 0 done, 1 some item was not dead.
    Example: seatstream booking-queue requeue ITEM
    """
    if is_all(
        [f"have {item} tried anew" for item in items],
        dry_run=dry_run,
        as_json=as_json or not dry_run,
    ):
        return FOUND
    confirmed(f"Have {len(items)} items tried anew?", yes=yes)
    return _done(
        url, items, lambda queue, item: queue.requeue(item), "tried anew", as_json=as_json
    )


@command("remove")
@items_argument
@redis_option
@dry_run_option
@yes_option
@json_option
@failures
def remove(*, items: tuple[str, ...], url: str, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Forget dead items for good: whoever asks for them is told that there is none.

    Exit codes: 0 done, 1 some item was not dead.
    Example: seatstream booking-queue remove ITEM
    """
    if is_all(
        [f"forget {item}" for item in items], dry_run=dry_run, as_json=as_json or not dry_run
    ):
        return FOUND
    confirmed(f"Forget {len(items)} items?", yes=yes)
    return _done(url, items, lambda queue, item: queue.remove(item), "removed", as_json=as_json)


@command("cleanup")
@event_argument
@redis_option
@dry_run_option
@json_option
@failures
def cleanup(*, event: int | None, url: str, dry_run: bool, as_json: bool) -> int:
    """End what is over, and give back what dead workers had; pods do so every 30 s.

    Example: seatstream booking-queue cleanup
    """
    steps = [f"clean up event {one}" for one in _asked(url, lambda queue: _events(queue, event))]
    if dry_run:
        is_all(steps, dry_run=True, as_json=as_json)
        return FOUND if steps else DONE

    async def ask(queue: BookingQueue) -> dict[str, int]:
        moved = {"given_back": 0, "died": 0, "expired": 0}
        for one in await _events(queue, event):
            while True:
                step = (await queue.clean(one))[:3]
                for name, count in zip(moved, step, strict=True):
                    moved[name] += count
                if max(step) < CLEANED_AT_ONCE:
                    break
        return moved

    moved = _asked(url, ask)
    click.echo(
        json.dumps(moved)
        if as_json
        else ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in moved.items())
    )
    return DONE


def _done(
    url: str,
    items: Sequence[str],
    act: Callable[[BookingQueue, str], Awaitable[bool]],
    word: str,
    *,
    as_json: bool,
) -> int:
    async def ask(queue: BookingQueue) -> dict[str, bool]:
        return {item: await act(queue, item) for item in items}

    came = _asked(url, ask)
    if as_json:
        click.echo(json.dumps({"items": came}))
    else:
        for item, is_done in came.items():
            click.echo(printable(f"{item} {word if is_done else 'is not dead: left as it is'}"))
    return DONE if all(came.values()) else FOUND
