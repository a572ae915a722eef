"""`seatstream dead-letters`: list, show, redrive."""

import json
import time
from functools import wraps
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from infra.process.environment import BadSetting
from schemas.topics import DEAD_LETTER_QUEUE
from scripts.auditing.schemas import Avro
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import NotUp, Servers
from scripts.brokers.answering import servers
from scripts.letters import rendering
from scripts.letters.decoding import asks
from scripts.letters.letter import Letter
from scripts.letters.plan import Standing, Step, plan
from scripts.letters.rewriting import (
    Change,
    NoFunction,
    change_in,
    rewritten,
    unchanged,
    with_values,
)
from scripts.letters.sending import (
    Letters,
    NotSent,
    Words,
    partitions_of,
    read_letters,
    send,
    sender,
)
from scripts.letters.wanted import Wanted, moment
from scripts.program import options
from scripts.program.catalogue import DONE, FOUND
from scripts.traffic.sending import NoBroker, schema_ids
from serdes.registry.client import Registry

REDRIVE: Final = f"{DEAD_LETTER_QUEUE.name}-redrive"
"""Transactional id: one for the queue, as that is one for all groups of workers."""

FAILURES = (BadSetting, CannotRead, NoBroker, NoFunction, NotSent, NotUp)


class Moment(click.ParamType):
    """A time on the command line, as Unix ms."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else moment(value, time.time_ns() // 1_000_000)
        except ValueError:
            self.fail(f"{value!r} is no time: 90m, 2026-11-27T12:00:00, Unix ms", param, ctx)


_FILTER = (
    click.option("--cause", multiple=True, help="Its short word; may be repeated."),
    click.option("--topic", multiple=True, help="Topic of the original; may be repeated."),
    click.option("--key", multiple=True, help="Key of the original; may be repeated."),
    click.option(
        "--at", "places", multiple=True, metavar="PARTITION:OFFSET", help="As it is listed."
    ),
    click.option("--correlation-id", default="", help="Of its request."),
    click.option("--since", type=Moment(), help="Original not before: 90m, ISO 8601, Unix ms."),
    click.option("--until", type=Moment(), help="Original before."),
)


def filtered(function: Any) -> Any:
    """Give a command the options that ask for some of the letters, as `wanted`."""

    @wraps(function)
    def run(**named: Any) -> Any:
        wanted = Wanted(
            causes=frozenset(named.pop("cause")),
            topics=frozenset(named.pop("topic")),
            keys=frozenset(key.encode() for key in named.pop("key")),
            places=frozenset(named.pop("places")),
            correlation=named.pop("correlation_id"),
            since_ms=named.pop("since"),
            until_ms=named.pop("until"),
        )
        return function(wanted=wanted, **named)

    for option in reversed(_FILTER):
        run = option(run)
    return run


@options.command("list")
@filtered
@click.option("--sent", is_flag=True, help="Those that were sent back, too.")
@options.json_option
@options.failing(*FAILURES)
def list_letters(*, wanted: Wanted, sent: bool, as_json: bool) -> int:
    """List dead letters, those that were sent back left out.

    Ends with 1 where there are some, else with 0.
    Example: seatstream dead-letters list --topic section-commands --since 2h
    """
    found = read_letters(servers(), lambda _: False)
    letters = [
        letter
        for letter in found.letters
        if wanted.has(letter) and (sent or letter.origin.id not in found.sent)
    ]
    if as_json:
        listed = [rendering.as_json(one, was_sent=one.origin.id in found.sent) for one in letters]
        click.echo(json.dumps({"letters": listed, "foreign": len(found.foreign)}, indent=2))
        return FOUND if letters else DONE
    for one in letters:
        click.echo(rendering.line_of(one, was_sent=one.origin.id in found.sent))
    for line in rendering.counts(letters):
        click.echo(line)
    if found.foreign:
        first = found.foreign[0]
        click.echo(
            f"{len(found.foreign)} records of strangers, first at"
            f" {first.partition}:{first.offset}: {first.why}"
        )
    if not letters:
        click.echo("no dead letters")
    return FOUND if letters else DONE


@options.command("show")
@click.argument("place", metavar="PARTITION:OFFSET")
@options.json_option
@options.failing(*FAILURES)
def show_letter(*, place: str, as_json: bool) -> int:
    """Show one dead letter: all headers, and its value decoded by the schema that wrote it.

    What cannot be decoded is shown in hexadecimal.
    Example: seatstream dead-letters show 7:123
    """
    where = servers()
    wanted = Wanted(places=frozenset({place}))
    found = read_letters(where, wanted.has)
    letter = next((one for one in found.letters if wanted.has(one)), None)
    if letter is None:
        raise CannotRead(f"no dead letter lies at {place}: see seatstream dead-letters list")
    was_sent = letter.origin.id in found.sent
    lines = rendering.shown(
        letter, asks(Registry(where.registry_url, timeout_s=10.0)), was_sent=was_sent
    )
    if as_json:
        told = rendering.as_json(letter, was_sent=was_sent)
        click.echo(json.dumps({**told, "headers": letter.told, "shown": list(lines)}, indent=2))
        return DONE
    for line in lines:
        click.echo(line)
    return DONE


@options.command("redrive")
@filtered
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="Most a second; 0: no bound.")
@click.option("--leave-earlier", is_flag=True, help="Overtake letters of a key that stay behind.")
@click.option(
    "--upgrade", is_flag=True, help="Write values by the present schema; not what shops signed."
)
@click.option(
    "--transform",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Python file with transform(fields), which returns the fields to send, or None.",
)
@options.reason_option
@options.change_options
@options.failing(*FAILURES)
@options.resumable
def redrive(
    *,
    wanted: Wanted,
    rate: float,
    leave_earlier: bool,
    upgrade: bool,
    transform: Path | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Send dead letters back to their topics: each record once, in the order of its key.

    What was sent is marked behind its letter in the same transaction, so that a second run, or
    one after Ctrl-C, sends the rest and nothing twice. A run that starts ends any other.
    Ends with 0 where all that was asked for is sent, with 1 where some stays behind.
    Example: seatstream dead-letters redrive --cause SCHEMA --since 2h --dry-run
    """
    where = servers()
    change = None if transform is None else change_in(transform)
    asked = Asked(wanted, leave_earlier, change or (unchanged if upgrade else None))
    if dry_run:
        steps, _ = _planned(where, asked)
        _tell(steps, 0, as_json=as_json)
        return FOUND if any(step.standing is not Standing.SENT for step in steps) else DONE
    words = Words(options.somebody(), reason)
    with sender(where, REDRIVE) as producer:
        # Behind the fence: nobody else can mark anything from here on.
        steps, values = _planned(where, asked)
        topics = {step.letter.origin.topic for step in steps if step.standing is Standing.SEND}
        if not as_json:
            _tell(steps, 0, as_json=False)
        if topics:
            options.confirmed("Send them back?", yes=yes)
        parts = partitions_of(where, topics)
        sent = send(producer, steps, parts, words, rate=rate, values=values)
    if as_json:
        _tell(steps, sent, as_json=True)
    else:
        click.echo(f"{sent} sent back")
    left = {Standing.UNSENDABLE, Standing.BEHIND}
    return FOUND if any(step.standing in left for step in steps) else DONE


class Asked(NamedTuple):
    """What is to be sent; change: None where values stay as they are."""

    wanted: Wanted
    leave_earlier: bool
    change: Change | None


def _planned(where: Servers, asked: Asked) -> tuple[list[Step], dict[str, bytes]]:
    """Return the plan, and by original's id the values that are made anew."""
    found = read_letters(where, asked.wanted.has)
    letters = found.letters
    values: dict[str, bytes] = {}
    if asked.change is not None:
        letters, values = _made_anew(where, found, asked.wanted, asked.change)
    return plan(letters, found.sent, asked.wanted, leave_earlier=asked.leave_earlier), values


def _made_anew(
    where: Servers, found: Letters, wanted: Wanted, change: Change
) -> tuple[list[Letter], dict[str, bytes]]:
    schema_text = asks(Registry(where.registry_url, timeout_s=10.0))
    ids = schema_ids(where.registry_url, where.brokers, kafka=where.kafka).id_by_subject
    avro = Avro()
    return with_values(
        found.letters,
        lambda one: rewritten(one, schema_text, avro, ids, change),
        lambda one: wanted.has(one) and one.origin.id not in found.sent,
    )


def _tell(steps: list[Step], sent: int, *, as_json: bool) -> None:
    if not as_json:
        for line in rendering.plan_as_text(steps):
            click.echo(line)
        return
    told = [
        {
            **rendering.as_json(step.letter, was_sent=step.standing is Standing.SENT),
            "standing": step.standing.value,
            "why": step.why,
        }
        for step in steps
    ]
    click.echo(json.dumps({"sent": sent, "sums": rendering.sums(steps), "steps": told}, indent=2))
