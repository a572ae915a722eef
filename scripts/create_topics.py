"""Create the topics of schemas/topics.py; show where existing ones differ.

A second run changes nothing. Partition counts of existing topics are never changed: keys would
move to other partitions, away from their state.

Environment: KAFKA_BROKERS, unless --brokers is given; KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_*
and KAFKA_SSL_* of docs/operations.md.
Exit codes: 0 as listed, 1 a topic differs (configs are mended with --apply-configs; in a dry run a
missing topic counts too),
2 wrong usage, a setting that does not fit, or no broker.

Example: python -m scripts.create_topics --replication 3 --dry-run
"""

import os
import sys
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.process.environment import BadSetting
from infra.process.kafka_security import KafkaSecurity
from schemas.topics import TOPICS
from scripts.command_line import parser_of, until_stopped
from scripts.contracts.topics import carry_out, existing_topics, plan
from state.kafka.refusals import Refusals

_DONE, _DIFFERENT, _USAGE = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Print and carry out the plan; return the exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--brokers", default=os.environ.get("KAFKA_BROKERS"))
    parser.add_argument("--partitions", type=int, help="instead of the listed counts")
    parser.add_argument("--replication", type=int, default=1, help="default 1")
    parser.add_argument("--dry-run", action="store_true", help="change nothing")
    parser.add_argument("--apply-configs", action="store_true", help="mend configs that differ")
    options = parser.parse_args(arguments)
    if not options.brokers:
        print("create_topics: set KAFKA_BROKERS or give --brokers", file=sys.stderr)
        return _USAGE
    try:
        security = KafkaSecurity.from_env(os.environ)
    except BadSetting as error:
        print(f"create_topics: {error}", file=sys.stderr)
        return _USAGE
    refusals = Refusals()
    client: dict[str, Any] = {"bootstrap.servers": options.brokers, **security.librdkafka()}
    client |= {"log_level": 0, "error_cb": refusals}
    admin = AdminClient(client)
    try:
        names = [topic.name for topic in TOPICS]
        found = existing_topics(admin, names)
        steps = plan(TOPICS, found, options.partitions, options.replication)
        for step in steps:
            print(step)
        if options.dry_run:
            return _DIFFERENT if steps else _DONE
        left = carry_out(admin, steps, configs=options.apply_configs)
    except (KafkaException, TimeoutError) as error:
        admin.poll(0)
        why = refusals.told_with(error)
        print(f"create_topics: {options.brokers}: {why}", file=sys.stderr)
        return _USAGE
    return _DIFFERENT if left else _DONE


if __name__ == "__main__":
    sys.exit(until_stopped(main))
