"""Create the topics of schemas/topics.py; show where existing ones differ.

A second run changes nothing. Partition counts of existing topics are never changed: keys would
move to other partitions, away from their state.

Environment: KAFKA_BROKERS (else the local stack that is up), unless --brokers is given;
SEATSTREAM_STATUS_TOPIC, KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_* and KAFKA_SSL_* of
docs/operations.md.
Exit codes: 0 as listed, 1 a topic differs (configs are mended with --apply-configs; in a dry run a
missing topic counts too), 2 wrong usage, a setting that does not fit, or no broker.

Example: python -m scripts.create_topics --replication 3 --dry-run
"""

import argparse
import os
import sys
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.process.environment import BadSetting
from infra.process.kafka_security import KafkaSecurity
from scripts.brokers.addresses import NotUp, topics_in
from scripts.brokers.answering import brokers_needed
from scripts.command_line import (
    above_zero,
    add_json,
    cannot,
    parser_of,
    tell,
    until_stopped,
)
from scripts.contracts.topics import WrongPartitions, carry_out, existing_topics, plan
from state.kafka.refusals import Refusals

_DONE, _DIFFERENT = 0, 1

WHAT_TO_DO = """\
Partition counts are never changed. Give the --partitions that the topics were created with (none:
the listed counts); a local stack without data that you need is emptied by
./scripts/stack down --purge"""


def main(arguments: list[str] | None = None) -> int:
    """Print and carry out the plan; return the exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--brokers", help="host:port, instead of KAFKA_BROKERS")
    parser.add_argument("--partitions", type=above_zero, help="instead of the listed counts")
    parser.add_argument("--replication", type=above_zero, default=1, help="default 1")
    parser.add_argument("--dry-run", action="store_true", help="change nothing")
    parser.add_argument("--apply-configs", action="store_true", help="mend configs that differ")
    add_json(parser)
    return _run(parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    as_json = options.json
    try:
        brokers = brokers_needed(options.brokers, "--brokers")
        security = KafkaSecurity.from_env(os.environ)
        topics = topics_in(os.environ)
    except (BadSetting, NotUp) as error:
        return cannot("create_topics", error, as_json=as_json)
    refusals = Refusals()
    client: dict[str, Any] = {"bootstrap.servers": brokers, **security.librdkafka()}
    client |= {"log_level": 0, "error_cb": refusals}
    admin = AdminClient(client)
    try:
        found = existing_topics(admin, [topic.name for topic in topics])
        steps = plan(topics, found, options.partitions, options.replication)
        said = [str(step) for step in steps]
        if not as_json:
            tell(said or [f"all {len(topics)} topics are as listed"], {}, as_json=False)
        left = list(steps)
        if not options.dry_run:
            left = carry_out(admin, steps, configs=options.apply_configs)
    except (KafkaException, TimeoutError) as error:
        admin.poll(0)
        why = refusals.told_with(error)
        return cannot("create_topics", f"{brokers}: {why}", as_json=as_json)
    if any(isinstance(step, WrongPartitions) for step in steps) and not as_json:
        print(WHAT_TO_DO, file=sys.stderr)
    if as_json:
        tell((), {"steps": said, "left": [str(step) for step in left]}, as_json=True)
    return _DIFFERENT if left else _DONE


if __name__ == "__main__":
    sys.exit(until_stopped(main))
