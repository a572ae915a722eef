"""Find transactions that nobody ends, and end one; see docs/runbooks/hanging-transaction.md.

Environment: KAFKA_BROKERS (else the local stack that is up), KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_*
and KAFKA_SSL_* of docs/operations.md.
Exit codes: 0 none is open, or the one named was ended; 3 the open ones are listed;
2 wrong usage, no broker, or the one named cannot be ended.

Example: python -m scripts.hanging_transactions
         python -m scripts.hanging_transactions --end abort --at reservation-outcomes-7:123456
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from infra.process.environment import BadSetting
from infra.process.kafka_security import KafkaSecurity
from scripts.brokers.addresses import NotUp, topics_in
from scripts.brokers.answering import brokers_needed
from scripts.brokers.open_transactions import NotEnded, end, find
from scripts.command_line import (
    add_json,
    cannot,
    parser_of,
    printable,
    tell,
    until_stopped,
)

TIMEOUT_S = 30.0
_NONE_OPEN, _LISTED = 0, 3


async def run(arguments: argparse.Namespace, connection: Mapping[str, Any]) -> int:
    """List what is open, or end one of it; return the exit code."""
    admin = AIOKafkaAdminClient(**connection)
    await admin.start()
    try:
        topics = arguments.topics or [topic.name for topic in topics_in(os.environ)]
        found = await find(admin, topics)
        if arguments.end is None:
            now_ms = time.time_ns() // 1_000_000
            lines = [printable(one.line(now_ms)) for one in found]
            told = [{**asdict(one), "at": one.named, "advice": one.advice()} for one in found]
            tell(lines, {"open": told}, as_json=arguments.json)
            return _LISTED if found else _NONE_OPEN
        wanted = [one for one in found if one.named == arguments.at]
        if not wanted:
            raise NotEnded(f"no transaction that began at {arguments.at} is open")
        if not arguments.dry_run:
            await end(admin, connection, wanted[0], arguments.end)
        said = f"{arguments.at}: {'to be ' if arguments.dry_run else ''}ended by {arguments.end}"
        told_end = {"at": arguments.at, "end": arguments.end, "ended": not arguments.dry_run}
        tell([printable(said)], told_end, as_json=arguments.json)
        return _NONE_OPEN
    finally:
        await admin.close()


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
        return asyncio.run(asyncio.wait_for(run(arguments, connection), TIMEOUT_S))
    except (BadSetting, NotEnded, NotUp, KafkaError, TimeoutError, OSError) as error:
        # The last two have no text of their own, or one that does not say who was asked.
        asked = "" if isinstance(error, BadSetting | NotEnded | NotUp) else f"{brokers}: "
        why = f"{asked}{str(error) or repr(error)}"
        return cannot("hanging_transactions", why, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(until_stopped(main))
