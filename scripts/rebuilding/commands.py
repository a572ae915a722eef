"""`seatstream topics recreate` and `seatstream topics verify`."""

import json
import os
from pathlib import Path

import click

from infra.process import settings
from infra.process.environment import BadSetting
from scripts.auditing.schemas import Unreadable
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import NotUp, Servers
from scripts.brokers.answering import servers
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import (
    change_options,
    command,
    confirmed,
    failing,
    is_all,
    json_option,
    resumable,
    say,
)
from scripts.rebuilding import comparing
from scripts.rebuilding.one_at_a_time import SomebodyIsAtIt, alone, lease_servers
from scripts.rebuilding.recreating import (
    Refused,
    check_at_rest,
    compared_in_time,
    create_of,
    recreate,
)
from streams.settings import Settings

FAILURES = (BadSetting, CannotRead, NotUp, Refused, SomebodyIsAtIt, Unreadable)


def a_status_topic(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """Return the name of a topic of statuses; raises BadParameter for any other."""
    if text is None:
        return None
    try:
        return settings.a_status_topic(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error


topic_argument = click.argument("topic", callback=a_status_topic)
partitions_option = click.option(
    "--partitions", type=click.IntRange(1, 10_000), help="By default as many as the commands have."
)
replication_option = click.option(
    "--replication", type=click.IntRange(1), help="Replicas; by default as it has."
)
wait_option = click.option(
    "--wait", type=click.FloatRange(0), default=60.0, show_default=True, help="Seconds."
)
report_option = click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write it as Markdown too."
)


@command("verify")
@topic_argument
@wait_option
@report_option
@json_option
@failing(*FAILURES)
def verify(*, topic: str, wait: float, report: Path | None, as_json: bool) -> int:
    """Compare every section's status with its state: version, counts, and that seats add up.

    Waits for what is missing. Ends with 0 where all is there, else with 1. Sales may go on.
    Example: seatstream topics verify section-status --report verified.md
    """
    return _verified(servers().with_status(topic), wait, report, as_json=as_json)


@command("recreate")
@topic_argument
@partitions_option
@replication_option
@wait_option
@report_option
@change_options
@failing(*FAILURES)
@resumable
def recreate_topic(
    *,
    topic: str,
    partitions: int | None,
    replication: int | None,
    wait: float,
    report: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete a topic and create it; workers that run write it again, and that is verified.

    Refused while commands wait to be decided, but where the topic is what they wait for. Until
    workers are done, pods show what they had.
    Stopped anywhere, run it again: it goes on where it is. With REDIS_URL, nobody begins while
    another is at it.
    Example: seatstream topics recreate section-status --dry-run
    """
    # The registry has a word in what is verified: not to be missed once the topic is gone.
    where = servers(and_registry=True).with_status(topic)
    group = Settings.from_env({**os.environ, "KAFKA_BROKERS": where.brokers}).app_id
    step, is_there, holds_up = create_of(where, replication, partitions)
    if not holds_up:
        check_at_rest(where, group)
    steps = [*([f"delete {step.name}"] if is_there else []), str(step), "verify"]
    if is_all(steps, dry_run=dry_run, as_json=as_json):
        return FOUND
    with alone(step.name, *lease_servers()):
        confirmed(f"Delete {step.name} and all that it holds?", yes=yes)
        if not holds_up:
            # Buyers may have come back while the question stood there.
            check_at_rest(where, group)
        recreate(where, step)
        return _verified(where, wait, report, as_json=as_json)


def _verified(where: Servers, wait: float, report: Path | None, *, as_json: bool) -> int:
    found = compared_in_time(where, wait)
    lines = list(
        comparing.as_markdown(found, f"{where.status.name}, compared with the state of seats")
    )
    if report is not None:
        report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"topic": where.status.name, **comparing.as_json(found)}, indent=2))
    else:
        for line in lines:
            say(line)
    return DONE if found.is_well else FOUND
