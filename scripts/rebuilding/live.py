"""A topic that workers write from their state, written anew while seats are sold.

Nothing is missing in it at any time. Workers tell each status again, in order with its changes;
where all of them lie behind the offsets at which the topic ended when this began, and are right,
what lies before those offsets is removed.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin import ResourceType as Resource

from schemas.topics import Topic
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import Span, spans_of
from scripts.history.reading import Unread
from scripts.program.progress import Told as Shown
from scripts.program.progress import progress
from scripts.rebuilding.recreating import (
    ANSWER_S,
    PAUSE_S,
    Begins,
    Refused,
    Told,
    newest_statuses,
    states_of,
)
from state.domain.keys import partition_of

# Brokers delete no records of a topic that is compacted alone; and nothing by age meanwhile.
OPEN = {"cleanup.policy": "compact,delete", "retention.ms": "-1", "retention.bytes": "-1"}


def admin_of(where: Servers) -> AdminClient:
    """Return a client that asks the brokers to change something."""
    return AdminClient({"bootstrap.servers": where.brokers, "log_level": 0, **where.kafka})


class Nudged(NamedTuple):
    """What was not removed at the front, and why.

    slow:   in how many partitions statuses lie, or should, and nothing was removed.
    unread: what could not be read, in words; empty where all could.
    """

    slow: int
    unread: str = ""


def needless(
    newest: Mapping[str, Told], spans: Mapping[int, Span], untold: Collection[int]
) -> dict[int, int]:
    """Return by partition the offset before which no section has its newest status.

    Partitions in which that removes nothing are left out.

    untold: partitions in which a section has no status: there it may be one that nobody sees.
    """
    needed = {part: end for part, (_, end) in spans.items()}
    for told in newest.values():
        needed[told.partition] = min(needed[told.partition], told.offset)
    return {
        part: offset
        for part, offset in needed.items()
        if offset > spans[part][0] and part not in untold
    }


@contextmanager
def deletable(admin: AdminClient, topic: Topic) -> Iterator[None]:
    """Let records be deleted meanwhile; raises Refused."""
    _configure(admin, topic, [_entry(name, value) for name, value in OPEN.items()])
    try:
        yield
    finally:
        close(admin, topic)


def close(admin: AdminClient, topic: Topic) -> None:
    """Give the topic its own policy back, also after somebody who was killed."""
    own = _entry("cleanup.policy", topic.cleanup)
    others = [_entry(name, None) for name in OPEN if name != own.name]
    _configure(admin, topic, [own, *others])


def _entry(name: str, value: str | None) -> ConfigEntry:
    change = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
    return ConfigEntry(name, value, incremental_operation=change)


def _configure(admin: AdminClient, topic: Topic, entries: list[ConfigEntry]) -> None:
    resource = ConfigResource(Resource.TOPIC, topic.name, incremental_configs=entries)
    for answer in admin.incremental_alter_configs([resource]).values():
        _answered(topic, answer)


def _answered(topic: Topic, answer: Any) -> None:
    try:
        answer.result(timeout=ANSWER_S)
    except (KafkaException, TimeoutError) as error:
        raise Refused(f"{topic.name}: {error}. Run this again: it goes on where it is") from error


def remove(admin: AdminClient, topic: Topic, befores: Begins) -> None:
    """Remove all records before these offsets, by partition; raises Refused."""
    until = time.monotonic() + ANSWER_S
    left = [TopicPartition(topic.name, part, before) for part, before in befores.items() if before]
    while left:
        answers = admin.delete_records(left, request_timeout=ANSWER_S)
        late = []
        for place, answer in answers.items():
            try:
                answer.result(timeout=ANSWER_S)
            except (KafkaException, TimeoutError) as error:
                # Its leader may not have heard of the other policy yet.
                if not _is_policy(error) or time.monotonic() > until:
                    raise Refused(
                        f"{topic.name}-{place.partition}: {error}. Run this again"
                    ) from error
                late.append(place)
        left = late
        if left:
            time.sleep(PAUSE_S)


def _is_policy(error: Exception) -> bool:
    return isinstance(error, KafkaException) and (
        error.args[0].code() == KafkaError.POLICY_VIOLATION
    )


def nudge(where: Servers, admin: AdminClient) -> Nudged:
    """Remove what nobody needs at the front: workers that see it tell all statuses again at once.

    Where nothing is removed, workers do so by themselves within SEATSTREAM_RETELL_S, or when they
    start. Nothing is removed while anything of the topic cannot be read, as where a registry does
    not know what wrote it: each of those may be the newest status of a section.
    """
    # Before the statuses: whichever section is known has one by then.
    states = states_of(where)
    spans = spans_of(where, where.status, committed=True)
    unread = Unread()
    newest = newest_statuses(where, unread=unread)
    untold = untold_in(states, newest, len(spans))
    befores = {} if unread.count else needless(newest, spans, untold)
    remove(admin, where.status, befores)
    parts = untold | {told.partition for told in newest.values()} | unread.partitions
    return Nudged(len(parts - befores.keys()), str(unread))


def untold_in(states: Collection[str], newest: Mapping[str, Told], count: int) -> set[int]:
    """Return the partitions in which a section that there is has no status.

    count: of partitions.
    """
    owners = {key: partition_of(key.encode(), count) for key in states}
    return {
        part
        for key, part in owners.items()
        # One that lies elsewhere is a stranger's.
        if key not in newest or newest[key].partition != part
    }


def wait_until_told(
    where: Servers,
    wanted: set[str],
    begins: Begins,
    wait_s: float,
) -> int:
    """Wait until each section has a status behind these offsets; return how many have none."""
    with progress("sections written anew") as told:
        return _wait(where, wanted, begins, time.monotonic() + wait_s, told)


def _wait(where: Servers, wanted: set[str], begins: Begins, until: float, told: Shown) -> int:
    missing, at = set(wanted), dict(begins)
    while True:
        ends = {
            part: end for part, (_, end) in spans_of(where, where.status, committed=True).items()
        }
        if ends.keys() != at.keys() or any(end < begins[part] for part, end in ends.items()):
            raise CannotRead(f"{where.status.name} was created again meanwhile: run this again")
        missing -= newest_statuses(where, at).keys()
        # What comes while this is read is read once more.
        at = {part: max(at[part], end) for part, end in ends.items()}
        told(len(wanted) - len(missing), len(wanted))
        if not missing or time.monotonic() > until:
            return len(missing)
        time.sleep(PAUSE_S)
