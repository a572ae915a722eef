"""Find transactions that nobody ends, and end one; see docs/runbooks/hanging-transaction.md.

Environment: KAFKA_BROKERS (else the local stack that is up), KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_*
and KAFKA_SSL_* of docs/operations.md.
Exit codes: 0 none is open, or the one named was ended; 3 the open ones are listed;
2 wrong usage, no broker, or the one named cannot be ended.

Example: python -m scripts.hanging_transactions
         python -m scripts.hanging_transactions --end abort --at reservation-outcomes-7:123456
An end is asked for, unless --yes is given.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Final, TypeVar

import click
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from infra.process.environment import BadSetting
from infra.process.kafka_security import KafkaSecurity
from scripts.brokers.addresses import NotUp, topics_in
from scripts.brokers.answering import brokers_needed
from scripts.brokers.open_transactions import NotEnded, OpenTransaction, check_end, end, find
from scripts.command_line import (
    add_json,
    cannot,
    parser_of,
    printable,
    tell,
    until_stopped,
)
from scripts.program.options import confirmed

TIMEOUT_S = 30.0
_NONE_OPEN, _LISTED = 0, 3
_Told = TypeVar("_Told")

COSTS: Final = {
    "abort": "To abort it drops its records here for good, and fences its producer.",
    "commit": "To commit it shows its records here to everybody, and cannot be taken back.",
}
"""What an end does that nothing undoes."""


@asynccontextmanager
async def _admin(connection: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connection)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def _topics(arguments: argparse.Namespace) -> Sequence[str]:
    return arguments.topics or [topic.name for topic in topics_in(os.environ)]


async def list_open(
    arguments: argparse.Namespace, connection: Mapping[str, Any]
) -> list[OpenTransaction]:
    """Return what is open."""
    async with _admin(connection) as admin:
        return await find(admin, _topics(arguments))


async def end_named(arguments: argparse.Namespace, connection: Mapping[str, Any]) -> None:
    """End the one that is named, as it stands now; raises NotEnded."""
    async with _admin(connection) as admin:
        one = named_in(await find(admin, _topics(arguments)), arguments.at)
        await end(admin, connection, one, arguments.end)


def named_in(found: Sequence[OpenTransaction], at: str) -> OpenTransaction:
    """Return the transaction that began there; raises NotEnded."""
    for one in found:
        if one.named == at:
            return one
    raise NotEnded(f"no transaction that began at {at} is open")


def run(arguments: argparse.Namespace, connection: Mapping[str, Any]) -> int:
    """List what is open, or end one of it; return the exit code."""
    found = _in_time(list_open(arguments, connection))
    now_ms = time.time_ns() // 1_000_000
    if arguments.end is None:
        lines = [printable(one.line(now_ms)) for one in found]
        told = [{**asdict(one), "at": one.named, "advice": one.advice()} for one in found]
        tell(lines, {"open": told}, as_json=arguments.json)
        return _LISTED if found else _NONE_OPEN
    one = named_in(found, arguments.at)
    check_end(one, arguments.end)
    if not arguments.dry_run:
        # While a person thinks, nothing is connected, and no time runs out.
        question = f"{printable(one.line(now_ms))}\n{COSTS[arguments.end]} Do it?"
        confirmed(question, yes=arguments.yes)
        _in_time(end_named(arguments, connection))
    said = f"{arguments.at}: {'to be ' if arguments.dry_run else ''}ended by {arguments.end}"
    told_end = {"at": arguments.at, "end": arguments.end, "ended": not arguments.dry_run}
    tell([printable(said)], told_end, as_json=arguments.json)
    return _NONE_OPEN


def _in_time(asked: Coroutine[Any, Any, _Told]) -> _Told:
    return asyncio.run(asyncio.wait_for(asked, TIMEOUT_S))


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--topics",
        nargs="+",
        help="where to look (default: the topics of schemas/topics.py)",
    )
    parser.add_argument("--end", choices=("abort", "commit"), help="end the one named by --at")
    parser.add_argument("--at", help="topic-partition:offset, as it is listed")
    parser.add_argument("--dry-run", action="store_true", help="end nothing")
    parser.add_argument("--yes", action="store_true", help="end it without being asked")
    add_json(parser)
    arguments = parser.parse_args(words)
    if (arguments.end is None) != (arguments.at is None):
        parser.error(
            "--end and --at go together: name the transaction by --at, topic-partition:offset,"
            " as it is listed without both"
        )
    return arguments


def main(words: Sequence[str] | None = None) -> int:
    """Run from a shell."""
    arguments = _arguments(sys.argv[1:] if words is None else words)
    brokers = ""
    try:
        brokers = brokers_needed()
        security = KafkaSecurity.from_env(os.environ)
        connection = {
            "bootstrap_servers": brokers.split(","),
            **security.aiokafka(),
        }
        return run(arguments, connection)
    except click.ClickException as unasked:
        return cannot("hanging_transactions", unasked.format_message(), as_json=arguments.json)
    except click.Abort as error:
        # Of the question: by Ctrl-C, or by a no.
        raise KeyboardInterrupt from error
    except (BadSetting, NotEnded, NotUp, KafkaError, TimeoutError, OSError) as error:
        # The last two have no text of their own, or one that does not say who was asked.
        asked = "" if isinstance(error, BadSetting | NotEnded | NotUp) else f"{brokers}: "
        why = f"{asked}{str(error) or repr(error)}"
        return cannot("hanging_transactions", why, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(until_stopped(main))
