"""Deletes a topic that workers write again from their state, creates it, and waits for them."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.topics import SEATS_CHANGELOG, SECTION_COMMANDS
from scripts.auditing.stored import Stored
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import OffsetsUnknown, rest
from scripts.brokers.reading import spans_of
from scripts.contracts.topics import Create, carry_out, existing_topics, plan
from scripts.history.reading import Unread, decoded, each_line, folded, readable
from scripts.program.progress import progress
from scripts.rebuilding.comparing import Comparison, Counts, compare, counts_of

ANSWER_S = 30.0
PAUSE_S = 0.5

Fields = dict[str, Any]
Begins = Mapping[int, int]  # offsets by partition

_OF_SECTIONS = frozenset({b"s", b"l", b"b"})
"""First byte of the keys that hold how a section stands."""


class Refused(Exception):
    """The topic may not be made anew now; the message says what to do first."""


class Anew(NamedTuple):
    """How the topic is to be created.

    holds_up: it is gone: workers decide nothing until it is mended, and who waited for them to be
    at rest would wait for ever.
    """

    step: Create
    is_there: bool
    holds_up: bool


def create_of(where: Servers, replication: int | None, partitions: int | None = None) -> Anew:
    """Return how the topic would be created; raises Refused.

    It gets as many partitions as the commands have, and as many replicas as it has, where nothing
    else is asked for.
    """
    admin = AdminClient({"bootstrap.servers": where.brokers, "log_level": 0, **where.kafka})
    try:
        found = existing_topics(admin, [SECTION_COMMANDS.name, where.status.name])
    except KafkaException as error:
        raise Refused(f"{where.brokers}: {error.args[0].str()}") from error
    source = found.get(SECTION_COMMANDS.name)
    if source is None:
        raise Refused(f'{SECTION_COMMANDS.name} is not there: see "A topic is lost"')
    own = found.get(where.status.name)
    copies = replication or (own or source).replication
    [step] = plan([where.status], {}, partitions or source.partitions, copies)
    assert isinstance(step, Create)
    return Anew(step, own is not None, own is None)


def check_at_rest(where: Servers, group: str) -> None:
    """Raise Refused unless the group has decided every command."""
    try:
        behind = rest(where, group).behind
    except OffsetsUnknown as error:
        raise Refused(str(error)) from error
    if behind:
        (topic, number), (committed, end) = next(iter(sorted(behind.items())))
        raise Refused(
            f"group {group} lags in {len(behind)} partitions, {topic}-{number} at {committed} of"
            f" {end}: wait until seatstream_lag_records is 0, or see why it is not"
        )


def recreate(where: Servers, step: Create) -> None:
    """Delete the topic where it is there, and create it; raises Refused where brokers do not."""
    admin = AdminClient({"bootstrap.servers": where.brokers, "log_level": 0, **where.kafka})
    try:
        for answer in admin.delete_topics([step.name], operation_timeout=ANSWER_S).values():
            _gone(answer)
        until = time.monotonic() + ANSWER_S
        # Its name alone: a topic that goes away has no configs to ask for.
        while step.name in admin.list_topics(timeout=ANSWER_S).topics:
            if time.monotonic() > until:
                raise Refused(f"{step.name} is still there: run this again")
            time.sleep(PAUSE_S)
        carry_out(admin, [step])
    except (KafkaException, TimeoutError) as error:
        raise Refused(f"{step.name}: {error}. Run this again: it goes on where it is") from error


def _gone(answer: Any) -> None:
    try:
        answer.result(timeout=ANSWER_S)
    except KafkaException as error:
        # Whoever was stopped behind the deletion comes back to this.
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise


def compared(where: Servers, begins: Begins | None = None) -> Comparison:
    """Read the state and then the statuses, and compare them; raises CannotRead."""
    states = states_of(where)
    newest = newest_statuses(where, begins)
    return compare(states, {key: told.fields for key, told in newest.items()})


def compared_in_time(
    where: Servers,
    wait_s: float,
    begins: Begins | None = None,
) -> Comparison:
    """Compare until nothing is missing any more, or the time is over; return the last one.

    begins: by partition, the offset before which no status counts.
    """
    until = time.monotonic() + wait_s
    with progress("statuses verified") as told:
        while True:
            found = compared(where, begins)
            total = sum(found.sums.values())
            told(total - len(found.why), total)
            if found.is_well or not found.may_become_well or time.monotonic() > until:
                return found
            time.sleep(PAUSE_S)


def states_of(where: Servers) -> dict[str, Counts]:
    """Return the counts of every section by the changelog."""
    count = len(spans_of(where, SEATS_CHANGELOG, committed=True))
    # By one client: to connect once for each partition takes longer than to read.
    records = each_line(where, SEATS_CHANGELOG, lambda one: (one.key or b"")[:1] in _OF_SECTIONS)
    states: dict[int, Stored] = {}
    for partition, record in records:
        if partition not in states:
            states[partition] = folded((), partition, count)
        states[partition].fold((record,))
        states[partition].section_states.clear()
    return {
        key: counts
        for partition, state in sorted(states.items())
        for key, counts in _counts_in(state, partition)
    }


def _counts_in(state: Stored, partition: int) -> Iterator[tuple[str, Counts]]:
    readable(state, partition, [*state.unreadable])
    for key, value in state.last.items():
        layout = state.last.get(b"l" + key[1:])
        if key[:1] != b"s" or layout is None:
            continue
        closed = state.last.get(b"b" + key[1:])
        blocked = b"" if closed is None else state.state_of(b"b", closed)["blocked"]
        rows = state.state_of(b"l", layout)["rows"]
        yield key[1:].decode(), counts_of(state.state_of(key, value), rows, blocked)


class Told(NamedTuple):
    """The newest status of a section, and where it lies."""

    partition: int
    offset: int
    fields: Fields


def newest_statuses(
    where: Servers, begins: Begins | None = None, unread: Unread | None = None
) -> dict[str, Told]:
    """Return the newest status of each section; begins: as above.

    unread: counts what may be somebody's newest status, and cannot be told whose.
    """
    unread = Unread() if unread is None else unread
    # One by one, in the order of each partition: a topic that is not compacted yet is long.
    records = each_line(where, where.status, lambda record: record.value is not None, None, begins)
    newest: dict[str, Told] = {}
    for partition, record, _, fields in decoded(where, where.status, records, unread):
        key = f"{fields['eventId']}-{fields['section']}"
        if record.key == key.encode():
            newest[key] = Told(partition, record.offset, fields)
        else:
            # A stranger's, which pods leave out too, or read by the schema of another registry.
            unread.note(where.status, partition, record.offset, f"its value is of {key}")
    return newest
