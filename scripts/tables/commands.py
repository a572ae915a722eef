"""`seatstream tables rebuild`."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Mapping

import click

from infra.process.environment import BadSetting
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import NotUp
from scripts.brokers.answering import servers
from scripts.program.catalogue import CANNOT, DONE, FOUND
from scripts.program.options import (
    change_options,
    command,
    confirmed,
    failing,
    say,
)
from scripts.rebuilding.one_at_a_time import SomebodyIsAtIt, alone
from scripts.tables.reading import TABLES, Found, stored
from state.tables.migrations import TablesTrouble
from state.tables.opening import tables_at
from state.tables.rows import Wanted
from streams.settings import Settings


class Refused(Exception):
    """What was read is not all that the tables have.

    Operator action: as the message says. Nothing was deleted.
    """


@command("rebuild")
@change_options
@click.option(
    "--leave-out",
    type=click.IntRange(min=0),
    default=0,
    help="Go on without so many values that cannot be read; their purchases keep their rows.",
)
@failing(BadSetting, CannotRead, NotUp, Refused, SomebodyIsAtIt, TablesTrouble)
def rebuild(*, dry_run: bool, yes: bool, as_json: bool, leave_out: int) -> int:
    """Write the tables at DATABASE_URL anew, from the changelogs, in one transaction.

    Workers may run: they wait, and go on with what was told since. Who reads the tables sees the
    former rows until the end. Nothing is deleted, and it ends with 2, where nothing was read for
    tables that have rows, or where values cannot be read. Ends with 1 where such were left out.
    With REDIS_URL, nobody begins while another is at it.
    Example: seatstream tables rebuild --dry-run
    """
    where = servers()
    settings = Settings.from_env({**os.environ, "KAFKA_BROKERS": where.brokers})
    tables = tables_at(settings.database_url, settings.app_id, "who makes the tables anew")
    if dry_run:
        before = asyncio.run(tables.counts())
        found = stored(where)
        why = refusal(found, before, leave_out)
        tell(found, before, "would be written", why, as_json=as_json)
        return CANNOT if why else FOUND
    seen: list[tuple[Found, Counter[str]]] = []

    def wanted(before: Counter[str]) -> Wanted:
        found = stored(where)
        seen.append((found, before))
        if why := refusal(found, before, leave_out):
            raise Refused(why)
        return Wanted(found.all_rows(), found.purchases_unread)

    with alone("the tables", *settings.lease_servers):
        confirmed("Delete all rows of the tables and write them anew?", yes=yes)
        asyncio.run(tables.replace(wanted))
    [(found, before)] = seen
    tell(found, before, "written", "", as_json=as_json)
    return FOUND if found.left_out else DONE


def refusal(found: Found, before: Mapping[str, int], leave_out: int) -> str:
    """Say why the tables are left as they are; empty where they may be written anew.

    before: how many rows each of them has.
    """
    for table, topic in TABLES.items():
        if before.get(table) and not found.values[topic.name]:
            return (
                f"nothing was read of {topic.name} for {table}, a table with"
                f" {before[table]} rows: are these the brokers of the workers who fill it?"
                " To have it empty, drop the schema seatstream. Nothing was deleted"
            )
    if found.left_out > leave_out:
        return (
            f"{found.left_out} values cannot be read; the first is {found.first}. Are they of a"
            f" newer release? Run that. To leave them out, and keep the rows of their purchases:"
            f" --leave-out {found.left_out}. Nothing was deleted"
        )
    return ""


def tell(found: Found, before: Mapping[str, int], what: str, why: str, *, as_json: bool) -> None:
    """Print what was found, and what the tables had before; why: as `refusal` says it."""
    rows = {name: found.rows[name] for name in TABLES}
    former = {name: before.get(name, 0) for name in TABLES}
    if as_json:
        told = {**rows, "before": former}
        told |= {"left_out": found.left_out, "first_left_out": found.first}
        click.echo(json.dumps({**told, "error": why} if why else told, indent=2))
        return
    for when, counts in (("before", former), (what, rows)):
        click.echo(f"{when}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    if found.left_out:
        say(f"left out: {found.left_out} values; the first is {found.first}")
    if why:
        say(f"Refused: {why}")
