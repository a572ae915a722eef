"""`seatstream tables rebuild`."""

import asyncio
import json
import os

import click

from infra.process.environment import BadSetting
from scripts.auditing.log import CannotRead
from scripts.brokers.addresses import NotUp, servers
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import (
    command,
    confirmed,
    dry_run_option,
    failing,
    json_option,
    say,
    yes_option,
)
from scripts.tables.reading import Found, stored_rows
from state.tables.migrations import TablesTrouble
from state.tables.opening import tables_at
from streams.settings import Settings


@command("rebuild")
@dry_run_option
@yes_option
@json_option
@failing(BadSetting, CannotRead, NotUp, TablesTrouble)
def rebuild(*, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Write the tables at DATABASE_URL anew, from the changelogs, in one transaction.

    Workers may run: they wait, and go on with what was told since. Who reads the tables sees the
    former rows until the end. Ends with 1 where values were left out, which no worker can read.
    Example: seatstream tables rebuild --dry-run
    """
    where = servers()
    settings = Settings.from_env({**os.environ, "KAFKA_BROKERS": where.brokers})
    tables = tables_at(settings.database_url, settings.app_id, "who makes the tables anew")
    found = Found()
    if dry_run:
        for _ in stored_rows(where, found):
            pass
        return _told(found, "would be written", as_json=as_json)
    confirmed("Delete all rows of the tables and write them anew?", yes=yes)
    asyncio.run(tables.replace(lambda: stored_rows(where, found)))
    return _told(found, "written", as_json=as_json)


def _told(found: Found, what: str, *, as_json: bool) -> int:
    rows = {name: found.rows[name] for name in ("purchases", "orders", "allocations")}
    if as_json:
        told = {**rows, "left_out": found.left_out, "first_left_out": found.first}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"{what}: " + ", ".join(f"{count} {name}" for name, count in rows.items()))
        if found.left_out:
            say(f"left out: {found.left_out} values; the first is {found.first}")
    return FOUND if found.left_out or what != "written" else DONE
