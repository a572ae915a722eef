"""`seatstream offsets`: show, set."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import click
from aiokafka.errors import KafkaError

from infra.process.environment import BadSetting
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import NotUp
from scripts.brokers.answering import servers
from scripts.brokers.group_offsets import OffsetsUnknown, rest
from scripts.brokers.lost_commands import Refused, fence_owners
from scripts.brokers.reading import spans_of
from scripts.brokers.roles import SOURCES
from scripts.offsets.moving import committed_at_rest, move_group, settings_for
from scripts.offsets.plan import NOWHERE, At, Impossible, as_text, moves
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import (
    change_options,
    command,
    confirmed,
    failing,
    json_option,
    reason_option,
    somebody,
)

FAILURES = (
    BadSetting,
    CannotRead,
    Impossible,
    KafkaError,
    NotUp,
    OffsetsUnknown,
    OSError,
    Refused,
)
topic_argument = click.argument("topic", type=click.Choice([*SOURCES]))


@command("show")
@topic_argument
@json_option
@failing(*FAILURES)
def show(*, topic: str, as_json: bool) -> int:
    """Show where the workers' group stands in each partition of a topic, and where that ends.

    Ends with 1 where records wait to be decided.
    Example: seatstream offsets show section-commands
    """
    where = servers()
    group = settings_for(where.brokers).app_id
    found = rest(where, group, [SOURCES[topic]])
    spans = spans_of(where, SOURCES[topic])
    told: list[dict[str, Any]] = [
        {
            "partition": partition,
            "first": first,
            "committed": found.committed.get((topic, partition)),
            "end": end,
            "waits": (topic, partition) in found.behind,
        }
        for partition, (first, end) in spans.items()
    ]
    if as_json:
        click.echo(json.dumps({"group": group, "topic": topic, "partitions": told}, indent=2))
    else:
        click.echo(f"group {group} in {topic}")
        for one in told:
            click.echo(_in_words(one))
    return FOUND if found.behind else DONE


def _in_words(one: Mapping[str, Any]) -> str:
    """Return a line on one partition for people."""
    committed, end = one["committed"], one["end"]
    stands = "nothing committed" if committed is None else f"committed {committed}"
    state = "records wait to be decided" if one["waits"] else "all is decided"
    return f"  partition {one['partition']}: {stands}, offsets {one['first']} to {end}: {state}"


@command("set")
@topic_argument
@click.option("--partition", type=click.IntRange(0), multiple=True, help="By default all.")
@click.option("--to", required=True, metavar="OFFSET", help="A number, first or end.")
@click.option("--give-up", is_flag=True, help="Pass over what nobody has decided.")
@reason_option
@change_options
@failing(*FAILURES)
def set_offsets(
    *,
    topic: str,
    partition: tuple[int, ...],
    to: str,
    give_up: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Move the workers' group in a topic; all its workers must have been stopped.

    Says of each partition what is read again or given up. The worker that committed last is
    fenced, and stays named for whoever takes it over. What is done is written down first.
    Example: seatstream offsets set section-commands --partition 7 --to 0 --dry-run
    """
    where = servers()
    settings = settings_for(where.brokers)
    spans = {(topic, number): span for number, span in spans_of(where, SOURCES[topic]).items()}
    places = [(topic, number) for number in partition] or [*spans]
    # Before the group is asked: a wrong argument is wrong, whoever is a member.
    moves({}, spans, places, to)
    committed = asyncio.run(committed_at_rest(settings, topic))
    moved = moves(committed, spans, places, to)
    lines = [*as_text(moved)] or ["every partition stands there already"]
    if not as_json:
        for line in lines:
            click.echo(line)
    elif dry_run or not moved:
        click.echo(json.dumps({"moved": 0, "moves": lines}))
    if dry_run or not moved:
        return FOUND if moved else DONE
    lost = sum(move.gives_up for move in moved)
    if lost and not give_up:
        raise Impossible(f"{lost} offsets would be given up, undecided: --give-up does so")
    confirmed(f"Move group {settings.app_id} in {len(moved)} partitions?", yes=yes)
    asyncio.run(fence_owners(settings, (move.owner for move in moved)))
    now = asyncio.run(committed_at_rest(settings, topic))
    if any(now.get(move.place, At(NOWHERE)) != At(move.was, move.owner) for move in moved):
        raise Impossible("the group moved since this was planned: run the same command again")
    asyncio.run(move_group(settings, moved, somebody(), reason))
    if as_json:
        click.echo(json.dumps({"moved": len(moved), "moves": lines}))
    return DONE
