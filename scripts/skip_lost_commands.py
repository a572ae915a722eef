"""Give up commands that retention removed before any worker had decided them, and say so.

A worker sets a partition aside whose next command is not in the log any more. This says for each
partition which offsets are lost; with --yes it writes that down twice, as a dead letter LOST for
people and as a record in the changelog for workers, and moves the group behind them, all in one
transaction a partition. Nothing else is changed: what the lost commands asked for never happened,
and whoever sent them has to ask again. Commands are those of the role `seats`, or of --role, which
may be named by its topic, too, where no other role reads that.

Stop all workers of the group before. Without --yes nothing is changed.

Environment: KAFKA_BROKERS (else the local stack that is up), KAFKA_*, SEATSTREAM_APP_ID as for
workers (docs/operations.md).
Exit codes: 0 nothing is lost, or it was given up; 1 commands are lost and --yes was not given; 2
it is refused, wrong usage, a setting that does not fit, or no answer from the brokers.

Example: python -m scripts.skip_lost_commands --dry-run
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import KafkaError

from infra.process.environment import BadSetting
from scripts.brokers.addresses import NotUp
from scripts.brokers.answering import brokers_needed
from scripts.brokers.lost_commands import Lost, Refused, Topics, find_lost, give_up
from scripts.brokers.roles import ROLES, SOURCES, readers_of
from scripts.command_line import cannot, parser_of, until_stopped
from scripts.show_topology import all_routes
from streams.settings import Settings

_DONE, _LEFT = 0, 1


def told(lost: Sequence[Lost], topics: Topics, *, is_done: bool) -> str:
    """Return what is lost in words, a line for each partition."""
    lines = [
        f"{topics.source}-{one.partition}: offsets {one.first} to {one.behind - 1} "
        f"({one.behind - one.first}) {'were given up' if is_done else 'are lost'}"
        for one in lost
    ]
    if not lost:
        lines = ["nothing is lost: every partition goes on where its state stands"]
    elif not is_done:
        lines.append("nothing was changed; --yes gives them up")
    return "\n".join(lines)


def as_json(lost: Sequence[Lost], topics: Topics, *, is_done: bool) -> str:
    """Return the same for machines."""
    parts = [
        {
            "topic": topics.source,
            "partition": one.partition,
            "first": one.first,
            "behind": one.behind,
        }
        for one in lost
    ]
    return json.dumps({"lost": parts, "given_up": is_done and bool(lost)})


async def run(settings: Settings, topics: Topics, *, yes: bool, as_text: Any = told) -> int:
    lost = await find_lost(settings, topics)
    if lost and yes:
        await give_up(settings, topics, lost)
    print(as_text(lost, topics, is_done=yes))
    return _DONE if yes or not lost else _LEFT


def topics_of(role: str) -> Topics:
    """Return the topics of a role, and how its state is read, from the topology."""
    [route] = [route for route in all_routes() if route.role == role]
    return Topics.of(route)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = parser_of(__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only say what is lost (the default)")
    what.add_argument("--yes", action="store_true", help="give it up")
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--role", choices=[*ROLES], default="seats", help="whose (%(default)s)")
    whose.add_argument("--topic", choices=[*SOURCES], help="the same, by what one role reads")
    parser.add_argument("--json", action="store_true", help="one object instead of lines")
    parser.add_argument("--brokers", help="host:port, instead of KAFKA_BROKERS")
    asked = parser.parse_args(arguments)
    roles = readers_of(asked.topic) if asked.topic else [asked.role]
    if len(roles) > 1:
        # Each has a state of its own, and a group.
        parser.error(f"{asked.topic} is read by {' and '.join(roles)}: name one with --role")
    environment = dict(os.environ)
    try:
        environment["KAFKA_BROKERS"] = brokers_needed(asked.brokers, "--brokers")
        settings = Settings.from_env(environment)
        as_text = as_json if asked.json else told
        return asyncio.run(run(settings, topics_of(roles[0]), yes=asked.yes, as_text=as_text))
    except (NotUp, Refused) as refused:
        return cannot("skip_lost_commands", refused, as_json=asked.json)
    except (BadSetting, KafkaError, OSError, TimeoutError) as error:
        why = f"{type(error).__name__}: {error}"
        return cannot("skip_lost_commands", why, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(until_stopped(main))
