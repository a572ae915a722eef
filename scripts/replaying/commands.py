"""`seatstream replay`: the commands of seats decided again beside the workers, and compared."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from schemas.topics import (
    DEAD_LETTER_QUEUE,
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
)
from scripts.auditing.facts import CAUSE, origin_of
from scripts.auditing.log import writers_of
from scripts.auditing.schemas import Avro, Unreadable, WireFormat
from scripts.auditing.stored import Stored, opened
from scripts.auditing.topics import BROKER_TIMEOUT_S, CannotRead, LogRecord, reading
from scripts.brokers.addresses import NotUp, Servers
from scripts.brokers.answering import servers
from scripts.brokers.reading import spans_of
from scripts.history.reading import each_line, stored
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import command, failing, json_option, say
from scripts.program.progress import progress
from scripts.replaying import snapshots
from scripts.replaying.folding import CannotFold, Scratch, compare_states, fold
from scripts.replaying.matching import Finding, Findings, Heard, Named
from scripts.replaying.snapshots import Head, Items, NoSnapshot, Part
from scripts.traffic.sending import NoBroker, schema_ids
from serdes.registry.client import Registry, RegistryRefusedError, RegistryUnavailableError
from state.records.seat_codecs import SeatCodecs
from streams.change_sections.handler import CACHED_SEATS_MAX, route
from streams.route import Route
from topology import SEATS

FAILURES = (CannotFold, CannotRead, NoBroker, NoSnapshot, NotUp, Unreadable, OSError)
EMPTY: Items = {}


@dataclass(slots=True)
class Replayed:
    """What became of it; spans: by partition, the first command and the one behind the last."""

    findings: Findings = field(default_factory=Findings)
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    commands: int = 0
    outcomes: int = 0
    keys: int = 0
    foreign: int = 0
    verified: bool = False


@command("replay")
@click.option(
    "--from",
    "begin",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Snapshot to begin at; without one at the beginning of the log.",
)
@click.option(
    "--write",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the state as a snapshot, where nothing is wrong.",
)
@click.option(
    "--begin-here", is_flag=True, help="Only keep the state as it is; --write says where."
)
@click.option("--partition", "chosen", type=int, multiple=True, help="Only this; may be repeated.")
@json_option
@failing(*FAILURES)
def replay(
    *,
    begin: Path | None,
    file: Path | None,
    begin_here: bool,
    chosen: tuple[int, ...],
    as_json: bool,
) -> int:
    """Decide the commands of seats again in scratch stores, and compare outcomes and state.

    Every outcome must be as it lies in the topic, and every key of the state as in the changelog.
    Workers and buyers go on meanwhile; nothing is committed, and nothing is written but --write.
    Where retention removed the first commands, --from goes on at the snapshot of an earlier run.
    Ends with 1 where something differs: the first of each kind is shown.
    Example: seatstream replay --write monday.snapshot
    """
    if begin_here and (begin is not None or file is None):
        raise click.UsageError("--begin-here needs --write, and no --from")
    if file is not None and chosen:
        raise click.UsageError("a snapshot has all partitions: --write goes without --partition")
    if begin_here and file is not None:
        return _begin_here(servers(), file, as_json=as_json)
    found = replayed(servers(), begin, file, chosen)
    _tell(found, file, as_json=as_json)
    return FOUND if found.findings.counts else DONE


def replayed(
    where: Servers, begin: Path | None, file: Path | None = None, chosen: tuple[int, ...] = ()
) -> Replayed:
    """Replay the partitions that are chosen, or all, one after the other."""
    found = Replayed()
    with ExitStack() as stack:
        cluster = cluster_of(where)
        count = len(spans_of(where, SEATS_CHANGELOG, committed=True))
        head, parts = Head(cluster, count, True), beginnings(count)
        if begin is not None:
            head, parts = stack.enter_context(snapshots.opened(begin))
            check_same(head, cluster, count, begin)
        found.verified = head.verified
        again = each_part(where, parts, count, chosen, found)
        if file is None:
            for _ in again:
                pass
            return found
        with suppress(Wrong):
            snapshots.write(file, head, unless_wrong(again, found))
    return found


class Wrong(CannotFold):
    """Something differs, so that no snapshot is kept."""


def unless_wrong(parts: Iterator[Part], found: Replayed) -> Iterator[Part]:
    """Yield parts as long as nothing is wrong; raises Wrong behind the last one."""
    for part in parts:
        if not found.findings.counts:
            yield part
    if found.findings.counts:
        raise Wrong


def beginnings(count: int) -> Iterator[Part]:
    """Yield the state before the first command."""
    for partition in range(count):
        yield Part(partition, 0, 0, EMPTY)


def check_same(head: Head, cluster: str, count: int, path: Path) -> None:
    """Raise NoSnapshot where a snapshot is of other brokers."""
    if (head.cluster, head.partitions) != (cluster, count):
        raise NoSnapshot(
            f"{path} is of cluster {head.cluster} with {head.partitions} partitions, this is"
            f" {cluster} with {count}"
        )


def cluster_of(where: Servers) -> str:
    """Return the id of the cluster."""
    with reading(where) as consumer:
        return str(consumer.list_topics(timeout=BROKER_TIMEOUT_S).cluster_id)


def each_part(
    where: Servers, parts: Iterator[Part], count: int, chosen: tuple[int, ...], found: Replayed
) -> Iterator[Part]:
    """Replay behind each part; yield the state that each ends with."""
    ids = schema_ids(where.registry_url, where.brokers, kafka=where.kafka)
    codecs = SeatCodecs.of(ids)
    own = route(SEATS, codecs, CACHED_SEATS_MAX)
    registry = Registry(where.registry_url, timeout_s=20.0)

    def learns(schema_id: int) -> bool:
        try:
            registered = registry.schema_of(schema_id)
        except (RegistryRefusedError, RegistryUnavailableError) as error:
            raise CannotRead(f"registry at {registry.url}: {error}") from error
        if registered is None:
            return False
        codecs.commands.learn(schema_id, registered)
        return True

    with progress("partitions replayed") as told:
        for done, part in enumerate(parts):
            told(done, count)
            if not chosen or part.partition in chosen:
                yield one_part(where, own, part, count, learns, found)


def one_part(
    where: Servers, own: Route, part: Part, count: int, learns: Any, found: Replayed
) -> Part:
    """Replay one partition as far as its state is now; return the state."""
    number = part.partition
    # First: what is decided meanwhile is behind it, and is not judged.
    live = stored(where, lambda _: True, number, count)
    for offset, why in live.unreadable.values():
        found.findings.add(Finding("corrupt value", number, offset, why))
    behind = live.next_offset
    check_reach(where, part, behind)
    found.spans[number] = part.next_offset, behind
    lies = Outcomes(where)
    heard = Heard(number, lies.records(part), lies.decode, found.findings)
    first, _ = spans_of(where, RESERVATION_OUTCOMES, committed=True)[number]
    heard.skip_before(part.next_offset, is_cut=first > part.outcomes_at)
    commands = between(where, number, part.next_offset, behind)
    with tempfile.TemporaryDirectory(prefix="seatstream-replay-") as folder:
        scratch = Scratch(Path(folder), SEATS_CHANGELOG.name, number)
        try:
            found.commands += fold(
                own, part, count, commands, quarantined(where, number), learns, scratch, heard
            )
            heard.end(behind)
            lives = items_of(live)
            found.keys += compare_states(
                number, behind - 1, lives, scratch.items(), former(live), found.findings
            )
            judge(own, scratch, number, count, behind, found)
        finally:
            scratch.store.close()
    found.outcomes += heard.equal
    found.foreign += heard.foreign
    return Part(number, behind, heard.read_to or part.outcomes_at, lives)


def judge(
    own: Route, scratch: Scratch, number: int, count: int, behind: int, found: Replayed
) -> None:
    """Ask whether the state contradicts itself: seats that do not add up, or have two holders."""
    assert own.contradiction is not None
    payloads = ((key, payload) for key, (payload, _) in scratch.items())
    if why := own.contradiction(payloads, number, count):
        found.findings.add(Finding("contradiction", number, behind - 1, why))


def check_reach(where: Servers, part: Part, behind: int) -> None:
    """Raise CannotFold where commands behind a part are gone, or the part is ahead."""
    number = part.partition
    first, _ = spans_of(where, SECTION_COMMANDS, committed=True)[number]
    if part.next_offset > behind:
        raise CannotFold(
            f"the snapshot has {SECTION_COMMANDS.name}-{number} up to {part.next_offset}, and the"
            f" state is at {behind}: it went back, or the topics are others"
        )
    if first > part.next_offset and behind > part.next_offset:
        raise CannotFold(
            f"{SECTION_COMMANDS.name}-{number} begins at {first}: retention removed the commands"
            f" from {part.next_offset} on. Begin at a newer snapshot with --from, or, where there"
            " is none, take the state as it is: --begin-here --write FILE"
        )


def between(where: Servers, number: int, first: int, behind: int) -> Iterator[LogRecord]:
    """Yield the commands of a partition from an offset on, and before another."""
    lying = each_line(where, SECTION_COMMANDS, lambda _: True, [number], {number: first})
    for _, record in lying:
        if record.offset >= behind:
            return
        yield record


def quarantined(where: Servers, number: int) -> frozenset[int]:
    """Return the offsets of commands that the workers say they could not survive."""
    letters = each_line(
        where,
        DEAD_LETTER_QUEUE,
        lambda record: dict(record.headers).get(CAUSE) == b"QUARANTINED",
        [number],
    )
    return frozenset(origin_of(record, number) for _, record in letters)


class Outcomes:
    """The outcomes in the topic, and how they are read."""

    def __init__(self, where: Servers) -> None:
        self._where = where
        self._writers: dict[int, tuple[str, Any]] = {}
        self._wire = WireFormat(Avro(), self._writers)
        self._asked: set[int] = set()

    def records(self, part: Part) -> Iterator[LogRecord]:
        """Yield those of a partition that were not compared before."""
        number = part.partition
        begins = {number: part.outcomes_at}
        for _, record in each_line(
            self._where, RESERVATION_OUTCOMES, lambda _: True, [number], begins
        ):
            yield record

    def decode(self, value: bytes) -> Named | None:
        """Return name and fields of an outcome; None for a stranger's."""
        schema_id = int.from_bytes(value[1:5], "big")
        if schema_id not in self._asked:
            self._asked.add(schema_id)
            self._writers |= writers_of(self._where.registry_url, {schema_id})[0]
        try:
            return self._wire.decode(value, RESERVATION_OUTCOMES)
        except Unreadable:
            return None


def items_of(state: Stored) -> Items:
    """Return payload and due time of each key."""
    return {key: opened(value) for key, value in state.last.items()}


def former(state: Stored) -> Any:
    """Return what says whether a live value is what an earlier release wrote for another."""

    def is_former(key: bytes, made: tuple[bytes, int]) -> bool:
        return state.present_form(key, state.last[key]) == made

    return is_former


def _begin_here(where: Servers, file: Path, *, as_json: bool) -> int:
    count = len(spans_of(where, SEATS_CHANGELOG, committed=True))

    def parts() -> Iterator[Part]:
        for number in range(count):
            live = stored(where, lambda _: True, number, count)
            if live.unreadable:
                offset, why = next(iter(live.unreadable.values()))
                raise CannotFold(f"{SEATS_CHANGELOG.name}-{number}, offset {offset}: {why}")
            yield Part(number, live.next_offset, 0, items_of(live))

    snapshots.write(file, Head(cluster_of(where), count, verified=False), parts())
    said = f"{file}: the state as it is; nothing before it was verified"
    click.echo(json.dumps({"snapshot": str(file), "verified": False}) if as_json else said)
    return DONE


def as_document(found: Replayed, file: Path | None) -> dict[str, Any]:
    """Return the result for machines."""
    counts = found.findings.counts
    return {
        "exact": not counts,
        "since_the_beginning": found.verified,
        "commands": found.commands,
        "outcomes_equal": found.outcomes,
        "keys_equal": found.keys,
        "foreign": found.foreign,
        "spans": {part: list(span) for part, span in found.spans.items()},
        "findings": counts,
        "first": {kind: one._asdict() for kind, one in found.findings.first.items()},
        "snapshot": str(file) if file is not None and not counts else None,
    }


def as_lines(found: Replayed, file: Path | None) -> Iterator[str]:
    """Yield the result for people."""
    yield (
        f"{found.commands} commands of {len(found.spans)} partitions decided again:"
        f" {found.outcomes} outcomes and {found.keys} keys of the state are equal"
    )
    if found.foreign:
        yield f"{found.foreign} records of strangers among the outcomes"
    for kind, one in found.findings.first.items():
        yield f"{kind}: {found.findings.counts[kind]}, the first in partition {one.partition} by"
        yield f"    command {one.offset}: {one.message}"
        for line in one.excerpt:
            yield f"    {line}"
    if found.findings.counts:
        yield "verdict: WRONG" + ("; no snapshot was kept" if file is not None else "")
        return
    since = "the beginning of the log" if found.verified else "a state that nobody verified"
    yield f"verdict: exact since {since}" + (f"; kept as {file}" if file is not None else "")


def _tell(found: Replayed, file: Path | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(as_document(found, file), indent=2))
        return
    for line in as_lines(found, file):
        say(line)
