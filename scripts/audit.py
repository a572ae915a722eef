"""Judges the whole log of seats and money: nothing lost, no seat sold twice, nobody charged twice.

Reads all topics read committed up to a snapshot of their ends, folds the commands with an
oracle that shares only the schemas with the workers, and compares every outcome, every stored
state, the status of every section and the dead letters with it. Payments are followed by the
words of their table, and their money is compared with the seats; carts are compared with
their parts, tickets with what is paid for, locks in Redis with the holds that they are for,
waiting rooms there with what was written of their turns, and the booking queue, there or in
Kafka, with the reservations that it names.
Records that strangers wrote into these topics are counted and passed over; so are values of the
state that cannot be read where a newer one follows. The log must be at rest, which is when the
group has committed every command: stop the buyers, and let the workers finish. Until then there is
no verdict, but what is wrong already is told. Partitions are judged by as many processes as there
are cores; each has the records of one large one in memory at a time.

    python -m scripts.audit

Where retention removed the first commands, --from-snapshot decides those behind a snapshot again,
as `seatstream replay` does: outcomes and state of seats, and nothing of money, carts and locks.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from scripts.auditing.apart.processes import audit_apart
from scripts.auditing.report import as_json, as_text
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import NotUp
from scripts.brokers.answering import redis_needed, servers
from scripts.command_line import cannot, parser_of, printable, tell, until_stopped
from scripts.replaying.commands import FAILURES, as_document, as_lines, replayed

EXIT_CODES = """exit codes:
  0  everything is as it must be
  1  something is not; the first bad offset of each kind and its records are printed
  2  not at rest: nothing is wrong so far, but commands wait to be decided, payments or
     carts are under way, or locks may yet go; or an argument does not fit
  3  the log cannot be read"""

EXIT_CODE_BY_VERDICT = {"exact": 0, "wrong": 1, "not at rest": 2}


def main(argv: Sequence[str] | None = None) -> int:
    """Audit; return the exit code."""
    parser = parser_of(__doc__, prog="audit", epilog=EXIT_CODES)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--allow-repeats",
        action="store_true",
        help="the group was rewound: outcomes may be there again, byte for byte",
    )
    parser.add_argument(
        "--group",
        default=os.environ.get("SEATSTREAM_APP_ID", ""),
        help="of the workers; by default SEATSTREAM_APP_ID, or else the workers' default",
    )
    parser.add_argument(
        "--ledger",
        type=Path,
        metavar="FILE",
        help="of the mock gateway (DIR/ledger): its captures and refunds are judged too",
    )
    parser.add_argument(
        "--redis",
        metavar="URL",
        default="",
        help="REDIS_URL of the pods: its locks, waiting rooms and booking queue are judged too",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=0,
        metavar="N",
        help="judge N partitions at once; by default one a core, up to 8",
    )
    parser.add_argument(
        "--from-snapshot",
        type=Path,
        metavar="FILE",
        help="of seatstream replay: seats alone are judged, by their rules, from there on",
    )
    arguments = parser.parse_args(argv)
    if arguments.from_snapshot is not None:
        return _from_snapshot(arguments.from_snapshot, as_json=arguments.json)
    started = monotonic()
    try:
        if arguments.redis:
            redis_needed(arguments.redis, "--redis")
        report = audit_apart(
            *(servers(), arguments.group, arguments.ledger, arguments.redis),
            allow_repeats=arguments.allow_repeats,
            processes=arguments.processes,
        )
    except (CannotRead, NotUp) as error:
        print(json.dumps({"error": str(error)}) if arguments.json else str(error))
        return 3
    if arguments.json:
        print(json.dumps(as_json(report), indent=2))
    else:
        print("\n".join(map(printable, as_text(report))))
        print(f"{monotonic() - started:.1f} s")
    return EXIT_CODE_BY_VERDICT[report.verdict]


def _from_snapshot(begin: Path, *, as_json: bool) -> int:
    """Have what lies behind a snapshot decided again; return the exit code."""
    try:
        found = replayed(servers(), begin)
    except FAILURES as error:
        return cannot("audit", error, as_json=as_json, code=3)
    lines = [printable(line) for line in as_lines(found, None)]
    tell(lines, as_document(found, None), as_json=as_json)
    return 1 if found.findings.counts else 0


if __name__ == "__main__":
    sys.exit(until_stopped(main))
