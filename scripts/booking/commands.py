"""`seatstream booking-queue`: how the queue stands, and what to do with items that failed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from api.settings import IN_KAFKA, IN_REDIS
from infra.process.environment import BadSetting
from schemas.topics import BOOKING_QUEUE
from scripts.brokers.addresses import NotUp
from scripts.brokers.answering import redis_needed, servers
from scripts.command_line import printable
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import (
    change_options,
    command,
    confirmed,
    dry_run_option,
    failing,
    is_all,
    json_option,
)
from serdes.registry.known_ids import SchemaIdsError
from serdes.schema_source import SchemaSource
from state.domain.booking_queue.figures import CLEANED_AT_ONCE
from state.domain.booking_queue.queue import BookingQueue, QueueAway, QueueUnreadable, Standing
from state.domain.booking_queue.statuses import ItemStatus
from state.kafka.command_log import CommandLog
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.client import client_of
from state.views.booking_queue.log import BookingLog
from state.views.booking_queue.queue import KafkaBookingQueue
from state.views.following.heartbeat import TopicMissing
from state.views.following.live import NotReady

PATIENCE_S: Final = 10.0
READ_S: Final = 300.0
"""How long the log of a queue in Kafka may take to be read."""
LISTED_MAX: Final = 1_000

_Told = TypeVar("_Told")

Where = str | None


def _where(url: str, kept_in: str) -> Where:
    """Return the address of Redis, or None for a queue in Kafka; raises where neither is told."""
    if kept_in == IN_KAFKA:
        return None
    try:
        return redis_needed(url, f"--redis, or --in {IN_KAFKA}")
    except NotUp as error:
        raise click.ClickException(str(error)) from error


def queue_options(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command what says where the queue is, as one argument `at`."""

    @click.option("--redis", "url", envvar="REDIS_URL", default="", help="As the pods have it.")
    @click.option(
        "--in",
        "kept_in",
        type=click.Choice([IN_REDIS, IN_KAFKA]),
        envvar="SEATSTREAM_API_BOOKING_QUEUE",
        default=IN_REDIS,
        show_default=True,
        help="What keeps the queue, as the pods have it.",
    )
    @wraps(function)
    def run(*, url: str, kept_in: str, **named: Any) -> int:
        return function(at=_where(url, kept_in), **named)

    return run


event_argument = click.argument("event", type=click.IntRange(0), required=False)
failures = failing(
    BadSetting, NotReady, NotUp, QueueAway, QueueUnreadable, SchemaIdsError, TopicMissing, OSError
)


def _asked(at: Where, ask: Callable[[BookingQueue], Awaitable[_Told]]) -> _Told:
    async def go() -> _Told:
        async with _queue_in_kafka() if at is None else _queue_at(at) as queue:
            return await ask(queue)

    return asyncio.run(go())


@asynccontextmanager
async def _queue_at(url: str) -> AsyncIterator[BookingQueue]:
    client = client_of(url, timeout_s=PATIENCE_S)
    try:
        yield RedisBookingQueue(client.execute_command)
    except QueueAway as error:
        raise QueueAway(
            f"{error}. Is it up, and --redis or REDIS_URL that of the pods?"
        ) from error
    finally:
        await client.aclose()


@asynccontextmanager
async def _queue_in_kafka() -> AsyncIterator[BookingQueue]:
    """Give the queue once all of its log is read; raises NotReady."""
    told = servers()
    schemas = SchemaSource(told.registry_url, Path())
    log = CommandLog(told.brokers, topic=BOOKING_QUEUE.name, kafka=told.kafka)
    try:
        with BookingLog(told.brokers, schemas=schemas, kafka=told.kafka) as lines:
            await asyncio.to_thread(_read, lines, told.brokers)
            log.start()
            async with asyncio.timeout(PATIENCE_S):
                while not log.is_ready():  # noqa: ASYNC110 (its thread tells nobody)
                    await asyncio.sleep(0.05)
            yield KafkaBookingQueue(lines, log, lines.codecs)
    finally:
        await log.close()


def _read(lines: BookingLog, brokers: str) -> None:
    """Return once all of the log is read; raises NotReady, soon where no broker can be asked."""
    with suppress(NotReady):
        lines.wait_ready(PATIENCE_S)
    if not lines.is_ready() and lines.trouble:
        raise NotReady(f"{lines.trouble}. Are the brokers at {brokers} up? See KAFKA_BROKERS")
    lines.wait_ready(READ_S)


async def _events(queue: BookingQueue, event: int | None) -> Sequence[int]:
    return await queue.events() if event is None else (event,)


@command("stats")
@event_argument
@queue_options
@json_option
@failures
def stats(*, event: int | None, at: Where, as_json: bool) -> int:
    """Show how long the queue of an event is, how old, and what became of items; or of all events.

    Example: seatstream booking-queue stats 7
    """

    async def ask(queue: BookingQueue) -> dict[int, Standing]:
        return {one: await queue.standing(one) for one in await _events(queue, event)}

    found = _asked(at, ask)
    told = [{"event": one, **standing._asdict()} for one, standing in found.items()]
    if as_json:
        click.echo(json.dumps({"events": told}))
        return DONE
    if not found:
        click.echo("no event has a booking queue")
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
@queue_options
@json_option
@failures
def list_dead(*, event: int | None, at: Where, as_json: bool) -> int:
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

    found = _asked(at, ask)
    if as_json:
        click.echo(json.dumps({"dead": found}))
    else:
        for one in found:
            line = f"{one['item']} {one['reason']}: {one['user']} asked for {one['request']}"
            click.echo(printable(line))
    return FOUND if found else DONE


@dataclass(frozen=True, slots=True)
class DeadItems:
    """Dead items that are to be changed, and how: the arguments of `requeue` and `remove`."""

    items: Sequence[str]
    at: Where
    dry_run: bool
    yes: bool
    as_json: bool

    def change(
        self,
        act: Callable[[BookingQueue, str], Awaitable[bool]],
        question: str,
        *,
        plan: str,
        done: str,
    ) -> int:
        """Change each of the items, and tell what came of it; return the exit code.

        plan, done: what is said of a dead item before and after.
        """
        if self.dry_run:
            self._tell(_asked(self.at, self._which_are_dead), plan)
            return FOUND
        confirmed(question, yes=self.yes)

        async def ask(queue: BookingQueue) -> dict[str, bool]:
            return {item: await act(queue, item) for item in self.items}

        came = _asked(self.at, ask)
        self._tell(came, done)
        return DONE if all(came.values()) else FOUND

    async def _which_are_dead(self, queue: BookingQueue) -> dict[str, bool]:
        found = {item: await queue.look(item) for item in self.items}
        return {
            item: one is not None and one.status is ItemStatus.DEAD for item, one in found.items()
        }

    def _tell(self, came: Mapping[str, bool], word: str) -> None:
        if self.as_json:
            click.echo(json.dumps({"items": came}))
            return
        for item, is_dead in came.items():
            click.echo(printable(f"{item} {word if is_dead else 'is not dead: left as it is'}"))


def of_dead_items(function: Callable[[DeadItems], int]) -> Callable[..., int]:
    """Give a command that changes dead items its arguments, as one."""

    @click.argument("items", metavar="ITEM...", nargs=-1, required=True)
    @queue_options
    @change_options
    @failures
    @wraps(function)
    def run(**named: Any) -> int:
        return function(DeadItems(**named))

    return run


@command("requeue")
@of_dead_items
def requeue(dead: DeadItems) -> int:
    """Have dead items tried anew, each at the end of its event's line, under a new key.

    Mend first what they died of. Exit codes: 0 done, 1 some item was not dead.
    Example: seatstream booking-queue requeue ITEM
    """
    return dead.change(
        lambda queue, item: queue.requeue(item),
        f"Have {len(dead.items)} items tried anew?",
        plan="would be tried anew",
        done="tried anew",
    )


@command("remove")
@of_dead_items
def remove(dead: DeadItems) -> int:
    """Forget dead items for good: whoever asks for them is told that there is none.

    Exit codes: 0 done, 1 some item was not dead.
    Example: seatstream booking-queue remove ITEM
    """
    return dead.change(
        lambda queue, item: queue.remove(item),
        f"Forget {len(dead.items)} items?",
        plan="would be forgotten",
        done="removed",
    )


@command("cleanup")
@event_argument
@queue_options
@dry_run_option
@json_option
@failures
def cleanup(*, event: int | None, at: Where, dry_run: bool, as_json: bool) -> int:
    """End what is over, and give back what dead workers had; pods do so every 30 s.

    Example: seatstream booking-queue cleanup
    """
    steps = [f"clean up event {one}" for one in _asked(at, lambda queue: _events(queue, event))]
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

    moved = _asked(at, ask)
    click.echo(
        json.dumps(moved)
        if as_json
        else ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in moved.items())
    )
    return DONE
