"""`seatstream topics rebuild`: section-status written anew while seats are sold."""

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import click
from confluent_kafka import Producer

from scripts.brokers.addresses import Servers
from scripts.brokers.answering import servers
from scripts.brokers.reading import spans_of
from scripts.letters.sending import NotSent, send_as_one, sender
from scripts.program import options
from scripts.program.catalogue import DONE, FOUND
from scripts.rebuilding import comparing, live
from scripts.rebuilding.commands import (
    FAILURES,
    a_status_topic,
    partitions_option,
    replication_option,
    report_option,
    topic_argument,
)
from scripts.rebuilding.comparing import Comparison
from scripts.rebuilding.journal import (
    Entry,
    Step,
    read_journal,
    record_of,
    unfinished,
    was_verified,
)
from scripts.rebuilding.one_at_a_time import alone, lease_servers
from scripts.rebuilding.recreating import Begins, Refused, compared_in_time, states_of
from scripts.rebuilding.second_topic import make, second_of

COMPARED_S = 60.0


class Journal(NamedTuple):
    """Writes lines, each in a transaction that fails where somebody else began meanwhile."""

    topic: str
    producer: Producer
    who: str
    why: str

    def write(self, entry: Entry) -> None:
        """Write a line."""
        record = record_of(self.topic, entry, self.who, self.why, time.time_ns() // 1_000_000)
        send_as_one(self.producer, [record])


@options.command("rebuild")
@topic_argument
@click.option(
    "--wait", type=click.FloatRange(0), default=7_200.0, show_default=True, help="Seconds."
)
@click.option(
    "--to", callback=a_status_topic, help="Another topic that is to take its place, beside it."
)
@partitions_option
@replication_option
@click.option("--give-up", is_flag=True, help="End one that is under way; nothing was removed.")
@report_option
@options.reason_option
@options.change_options
@options.failing(*FAILURES, NotSent)
@options.resumable
def rebuild(
    *,
    topic: str,
    to: str | None,
    partitions: int | None,
    replication: int | None,
    wait: float,
    give_up: bool,
    report: Path | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Write a topic anew while seats are sold; nothing is missing in it at any time.

    Workers tell every status again, behind what lies there. Once each is verified, what lies
    before is removed. Workers do so at once, or within SEATSTREAM_RETELL_S, or when they start.
    With --to, in a topic of its own that workers write beside it, with as many --partitions as
    you like; it says which settings workers and then pods are to be restarted with.
    Stopped anywhere, run it again: it goes on. With REDIS_URL, nobody begins while another is at
    it; without it, a run that starts ends any other. --give-up ends any.
    Ends with 1 where a status is missing or wrong: then no newest status was removed.
    Example: seatstream topics rebuild section-status --report rebuilt.md
    """
    where, second = servers(and_registry=not give_up).with_status(topic), None
    if to is not None:
        second = second_of(where, to, partitions, replication)
        where = second.where
    elif partitions or replication:
        raise Refused("of a topic that is there neither changes: give --to, or topics recreate")
    lines = [*second.plan()] if second else planned(where)
    lines = ["give the rebuild up"] if give_up else lines
    if options.is_all(lines, dry_run=dry_run, as_json=as_json):
        return FOUND
    topic = where.status.name
    # Giving up ends what runs elsewhere, too.
    with nullcontext() if give_up else alone(topic, *lease_servers()):
        if not give_up:
            options.confirmed(f"Write {topic} anew?", yes=yes)
        if second and not give_up:
            make(second, wait)
        # One for the topic, whichever workers a shell is set up for.
        with sender(where, f"{topic}-rebuild") as producer:
            # Behind the fence: whoever was at it writes nothing more.
            journal = Journal(topic, producer, options.somebody(), reason)
            lines_there = read_journal(where)
            entry = unfinished(lines_there, ends_of(where))
            if give_up:
                return _given_up(where, journal, entry, as_json=as_json)
            if entry is None:
                begins = tuple(end for _, end in sorted(ends_of(where).items()))
                entry = Entry(str(time.time_ns()), Step.BEGUN, begins)
                journal.write(entry)
            is_unread = second is not None and not was_verified(lines_there)
            found, removed = rebuilt(where, journal, entry, wait, is_unread=is_unread)
    _tell(found, removed, topic, report, as_json=as_json)
    for line in second.what_is_left() if second and found.is_well else ():
        click.echo(line, err=as_json)
    return DONE if found.is_well else FOUND


def ends_of(where: Servers) -> dict[int, int]:
    """Return where each partition ends, records of open transactions included."""
    return {part: end for part, (_, end) in spans_of(where, where.status).items()}


def planned(where: Servers) -> list[str]:
    """Return the steps in words."""
    spans = spans_of(where, where.status)
    ends = {part: end for part, (_, end) in spans.items()}
    entry = unfinished(read_journal(where), ends)
    begins = ends if entry is None else entry.by_partition
    old = sum(max(0, begins[part] - first) for part, (first, _) in spans.items())
    return [
        *([] if entry is None else [f"go on with the rebuild {entry.run}, which is {entry.step}"]),
        f"have workers write {len(states_of(where))} statuses again in {len(spans)} partitions",
        "verify the version and counts of each, and that the seats add up",
        f"remove the {old} offsets before them",
    ]


def rebuilt(
    where: Servers, journal: Journal, entry: Entry, wait_s: float, *, is_unread: bool = False
) -> tuple[Comparison, int]:
    """Do what is left of a rebuild; return the last comparison, and how many offsets are gone.

    None are, where that comparison says that something is missing or wrong.
    is_unread: no pod reads the topic yet, so that nobody misses what is removed before the proof.
    """
    until = time.monotonic() + wait_s
    admin, begins = live.admin_of(where), entry.by_partition
    with live.deletable(admin, where.status):
        nudged = live.Nudged(0)
        click.echo("workers tell each status again", err=True)
        if is_unread:
            # Every owner that writes it tells all again; one that does not is found out by that.
            live.remove(admin, where.status, begins)
        elif entry.step is Step.BEGUN:
            nudged = live.nudge(where, admin)
        if nudged.unread:
            click.echo(
                f"{nudged.unread}. Does SCHEMA_REGISTRY_URL belong to these brokers, and is this"
                " program as new as the workers? Nothing is removed until each section's status"
                " is verified behind what lies there",
                err=True,
            )
        if nudged.slow:
            click.echo(
                f"in {nudged.slow} partitions workers tell again within SEATSTREAM_RETELL_S of"
                " each, or when they start: restart them one at a time to be quicker",
                err=True,
            )
        live.wait_until_told(where, {*states_of(where)}, begins, wait_s)
        left = min(COMPARED_S, until - time.monotonic())
        click.echo("each is compared with the state", err=True)
        found = compared_in_time(where, left, begins=begins)
        if not found.is_well:
            return found, 0
        journal.write(entry._replace(step=Step.CUT))
        removed = _older(where, begins)
        click.echo(f"{removed} offsets before them are removed", err=True)
        live.remove(admin, where.status, begins)
    found = compared_in_time(where, COMPARED_S)
    journal.write(entry._replace(step=Step.DONE))
    return found, removed


def _older(where: Servers, begins: Begins) -> int:
    spans = spans_of(where, where.status)
    return sum(max(0, begins[part] - first) for part, (first, _) in spans.items())


def _given_up(where: Servers, journal: Journal, entry: Entry | None, *, as_json: bool) -> int:
    if entry is not None and entry.step is Step.CUT:
        raise Refused("all is verified, and what is old may be gone: run it without --give-up")
    # Whoever was killed may have left it open.
    live.close(live.admin_of(where), where.status)
    if entry is not None:
        journal.write(entry._replace(step=Step.GIVEN_UP))
    said = "no rebuild is under way" if entry is None else f"{entry.run} was given up"
    click.echo(json.dumps({"given_up": entry is not None}) if as_json else said)
    return DONE


def _tell(
    found: Comparison, removed: int, topic: str, report: Path | None, *, as_json: bool
) -> None:
    lines = [*comparing.as_markdown(found, f"{topic}, written anew"), ""]
    lines.append(f"Offsets of older records that were removed: {removed}")
    if report is not None:
        report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if as_json:
        told = {
            "topic": topic,
            **comparing.as_json(found),
            "rebuilt_keys": sum(found.sums[verdict] for verdict in comparing.WELL),
            "rebuild_mismatches": len(found.why),
            "removed": removed,
        }
        click.echo(json.dumps(told, indent=2))
        return
    for line in lines:
        options.say(line)
