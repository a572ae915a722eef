"""Judges the whole log of the seats: nothing lost, nothing doubled, no seat sold twice.

Reads all five topics read committed up to a snapshot of their ends, folds the commands with an
oracle that shares only the schemas with the workers, and compares every outcome, every stored
state, the status of every section and the dead letters with it. Records that strangers wrote into
these topics are counted and passed over; so are values of the state that cannot be read where a
newer one follows. The log must be at rest, which is when the group has
committed every command: stop the buyers, and let the workers finish. Until then there is no
verdict, but what is wrong already is told.

    python -m scripts.audit
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from time import monotonic
from typing import Any

from scripts.auditing.checks import audit
from scripts.auditing.log import CannotRead, read_log
from scripts.auditing.report import Report
from scripts.brokers.addresses import NotUp, servers
from scripts.stopping import until_stopped

EXIT_CODES = """exit codes:
  0  everything is as it must be
  1  something is not; the first bad offset of each kind and its records are printed
  2  not at rest: nothing is wrong so far, but commands wait to be decided; or an argument does
     not fit
  3  the log cannot be read"""

EXIT_CODE_BY_VERDICT = {"exact": 0, "wrong": 1, "not at rest": 2}


def main(argv: Sequence[str] | None = None) -> int:
    """Audit; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="audit",
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    arguments = parser.parse_args(argv)
    started = monotonic()
    try:
        log = read_log(servers(), arguments.group)
    except (CannotRead, NotUp) as error:
        print(json.dumps({"error": str(error)}) if arguments.json else str(error))
        return 3
    report = audit(log, allow_repeats=arguments.allow_repeats)
    if arguments.json:
        print(json.dumps(as_json(report), indent=2))
    else:
        print("\n".join(as_text(report)))
        print(f"{monotonic() - started:.1f} s")
    return EXIT_CODE_BY_VERDICT[report.verdict]


def as_json(report: Report) -> dict[str, Any]:
    """Return the report without the long list of violations, but the first of each kind."""
    # Not `asdict`: before Python 3.12 it makes a Counter of a Counter's pairs.
    document = {each.name: getattr(report, each.name) for each in fields(report)}
    document["violations"] = len(report.violations)
    document["first"] = {
        name: asdict(violation) for name, violation in report.first_by_invariant().items()
    }
    for name, remarks in (("foreign", report.foreign), ("superseded", report.superseded)):
        document[name] = {topic: asdict(found) for topic, found in remarks.items()}
    document["exact"] = report.is_exact
    document["verdict"] = report.verdict
    return document


def as_text(report: Report) -> list[str]:
    """Return the report as lines for a person."""
    commands = f"{report.commands} commands, {report.duplicate_commands} of them repeated"
    letters = f"{report.dead_letters} dead letters, {report.set_aside} of them readable"
    seats = f"{report.seats} seats in {report.sections} sections"
    counts = f"free {report.free}, held {report.held}, sold {report.sold}"
    lines = [
        f"{commands}; {report.ticks} ticks; {letters}",
        f"{report.outcomes} outcomes; lost {report.lost}, duplicates {report.repeated}",
        f"{seats}: {counts}, blocked {report.blocked}",
        f"sold twice {report.sold_twice}; status unlike state {report.status_mismatches}",
    ]
    remarks = (
        ("foreign records in", report.foreign),
        ("unreadable and replaced by newer values in", report.superseded),
    )
    for what, by_topic in remarks:
        for topic, found in by_topic.items():
            where = f"partition {found.partition}, offset {found.offset}"
            lines.append(f"{what} {topic}: {found.count}, first at {where}: {found.why}")
    for name, violation in report.first_by_invariant().items():
        where = f"partition {violation.partition}, offset {violation.offset}"
        lines.append(f"{name}: {where}: {violation.message}")
        lines += [f"    {line}" for line in report.excerpts[name]]
    verdict = report.verdict
    if report.violations:
        verdict = f"WRONG, {len(report.violations)} violations"
    if not report.is_at_rest:
        verdict += (
            f"; not at rest: {report.pending} commands wait to be decided, and {report.ahead}"
            " effects were written meanwhile. Stop the buyers, let the workers finish, try again"
        )
    lines.append(f"verdict: {verdict} (fold {report.digest})")
    return lines


if __name__ == "__main__":
    sys.exit(until_stopped(main))
