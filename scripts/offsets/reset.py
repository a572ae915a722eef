"""`seatstream reset`: the state of a role made anew from the first of its commands."""

import asyncio
import json
from pathlib import Path
from typing import NamedTuple

import click
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.topics import Topic
from scripts.brokers.addresses import Servers
from scripts.brokers.answering import servers
from scripts.brokers.lost_commands import fence_owners
from scripts.brokers.reading import spans_of
from scripts.brokers.roles import ROLES
from scripts.contracts.topics import Create, existing_topics, plan
from scripts.offsets.commands import FAILURES
from scripts.offsets.local_stores import InUse, clear, held
from scripts.offsets.moving import committed_at_rest, move_group, settings_for
from scripts.offsets.plan import NOWHERE, At, Impossible, Move
from scripts.offsets.undecided import check_decided
from scripts.program import options
from scripts.program.catalogue import DONE, FOUND
from scripts.rebuilding.recreating import Refused, recreate
from streams.settings import Settings

ELSEWHERE = (
    "on every other machine of a worker remove stores, crash-journal.json and deciding in its"
    " SEATSTREAM_DATA_DIR"
)


class Anew(NamedTuple):
    """What is done for one role; ends: of its source, by partition, all of which begin at 0."""

    role: str
    source: Topic
    ends: dict[int, int]
    create: Create

    @property
    def lines(self) -> list[str]:
        offsets = f"{sum(self.ends.values())} offsets in {len(self.ends)} partitions"
        return [
            f"{self.role}: read {self.source.name} again from offset 0: {offsets}",
            f"{self.role}: delete {self.create.name}, and {self.create}",
        ]


@options.command("reset")
@click.option(
    "--role", "roles", type=click.Choice([*ROLES]), multiple=True, required=True, help="Whose."
)
@click.option(
    "--data-dir",
    "data_dirs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Of a worker on this machine; may be repeated.",
)
@options.reason_option
@options.change_options
@options.failing(*FAILURES, InUse, Refused)
@options.resumable
def reset(
    *,
    roles: tuple[str, ...],
    data_dirs: tuple[Path, ...],
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Have the state of a role made anew from its commands: offsets, changelog, local stores.

    All workers must have been stopped. Refused where commands are gone, for what they decided
    would be forgotten, and where some were passed over as dead letters, or the letters are gone:
    they would be decided now, before what came behind them. Outcomes are told again. Stopped on
    the way, run it again.
    Example: seatstream reset --role seats --data-dir /var/lib/seatstream --dry-run
    """
    where = servers()
    settings = settings_for(where.brokers)
    anew = [planned(where, role) for role in dict.fromkeys(roles)]
    moved = [move for one in anew for move in moves_of(settings, one)]
    for one in anew:
        check_decided(where, one.source, {part: (0, end) for part, end in one.ends.items()})
    # All the time: no supervisor starts a worker on stores that are about to go.
    with held(data_dirs):
        lines = [line for one in anew for line in one.lines]
        lines += [f"remove the stores in {directory}" for directory in data_dirs]
        if not as_json:
            for line in (*lines, ELSEWHERE):
                click.echo(line)
        elif dry_run:
            click.echo(json.dumps({"done": False, "steps": lines}))
        if dry_run:
            return FOUND
        options.confirmed(f"Make the state of {', '.join(roles)} anew?", yes=yes)
        asyncio.run(fence_owners(settings, (move.owner for move in moved)))
        # First: an old state that reads its commands again changes nothing, wherever this stops.
        # The broker refuses it where a worker came meanwhile.
        asyncio.run(move_group(settings, moved, options.somebody(), reason))
        for one in anew:
            recreate(where, one.create)
        for directory in data_dirs:
            clear(directory)
        if as_json:
            click.echo(json.dumps({"done": True, "steps": lines}))
        return DONE


def planned(where: Servers, role: str) -> Anew:
    """Return what is done for a role; raises Impossible where its commands are not all there."""
    source, changelog = ROLES[role]
    admin = AdminClient({"bootstrap.servers": where.brokers, "log_level": 0, **where.kafka})
    try:
        found = existing_topics(admin, [source.name, changelog.name])
    except KafkaException as error:
        raise Refused(f"{where.brokers}: {error.args[0].str()}") from error
    if source.name not in found:
        raise Impossible(f'{source.name} is not there: see "A topic is lost"')
    spans = spans_of(where, source)
    for part, (first, _) in spans.items():
        if first:
            raise Impossible(
                f"{source.name}-{part} begins at {first}: what was decided before would be"
                ' forgotten. Restore a backup, or see "Begin anew"'
            )
    copies = (found.get(changelog.name) or found[source.name]).replication
    [create] = plan([changelog], {}, len(spans), copies)
    assert isinstance(create, Create)
    return Anew(role, source, {part: end for part, (_, end) in spans.items()}, create)


def moves_of(settings: Settings, anew: Anew) -> list[Move]:
    """Return a move to offset 0 for each partition; raises while the group has members.

    A group that never read the commands is not that of the role: its workers may be running.
    """
    name = anew.source.name
    committed = asyncio.run(committed_at_rest(settings, name))
    if not committed and any(anew.ends.values()):
        raise Impossible(
            f"group {settings.app_id} has no offsets in {name}: set SEATSTREAM_APP_ID to that of"
            f" the workers of {anew.role}. Where its offsets expired, set them first:"
            f" seatstream offsets set {name} --to 0"
        )
    places = [(name, part) for part in anew.ends]
    ats = [(place, committed.get(place, At(NOWHERE))) for place in places]
    return [Move(place, at.offset, 0, at.owner) for place, at in ats]
