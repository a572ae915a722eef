"""A second topic of statuses beside the first, such as one with another number of partitions.

Workers that are set to both write each status to both, in one transaction. So pods that read the
one know what pods know that read the other, and go from one to the other at any time, or back.
"""

from collections.abc import Iterator
from typing import NamedTuple

import click
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.process.settings import PREFIX
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import spans_of
from scripts.contracts.topics import Create, carry_out
from scripts.rebuilding import live
from scripts.rebuilding.recreating import Refused, create_of, states_of


class Second(NamedTuple):
    """The second topic: where it is, beside which one, and how it is made.

    where: its `status` is the second topic.
    """

    where: Servers
    beside: str
    step: Create
    is_there: bool

    @property
    def workers(self) -> str:
        """Return the settings of workers that write both."""
        return f"{PREFIX}STATUS_TOPIC={self.step.name} {PREFIX}STATUS_ALSO={self.beside}"

    @property
    def pods(self) -> str:
        """Return the setting of pods that read the second one."""
        return f"{PREFIX}STATUS_TOPIC={self.step.name}"

    def plan(self) -> Iterator[str]:
        """Yield what is done until it can be rebuilt as any other."""
        if not self.is_there:
            yield str(self.step)
        yield "wait until workers write it too, which are restarted one at a time with"
        yield f"  {self.workers}"
        yield f"rebuild {self.step.name}: each status is written once more, verified"

    def what_is_left(self) -> Iterator[str]:
        """Yield what to do once it is verified; nothing of it is urgent."""
        yield "Each status is in both. Now restart the pods, one at a time, with"
        yield f"  {self.pods}"
        yield f"To go back, restart them without it: workers still write {self.beside}"
        yield (
            f"When no pod reads {self.beside} any more, restart workers without"
            f" {PREFIX}STATUS_ALSO; then it can be deleted"
        )


def second_of(
    where: Servers, name: str, partitions: int | None, replication: int | None
) -> Second:
    """Return what a second topic is to be; raises Refused where it is another already."""
    if name == where.status.name:
        raise Refused(f"{name} is the topic itself: give another name")
    there = where.with_status(name)
    step, is_there, _ = create_of(there, replication, partitions)
    if is_there:
        count = len(spans_of(there, there.status))
        if partitions not in {None, count}:
            raise Refused(f"{name} is there with {count} partitions: give another name")
        step = Create(name, count, step.replication, step.configs)
    return Second(there, where.status.name, step, is_there)


def make(second: Second, wait_s: float) -> None:
    """Create the topic where it is not there, and wait for workers that write it."""
    where = second.where
    if not second.is_there:
        admin = AdminClient({"bootstrap.servers": where.brokers, "log_level": 0, **where.kafka})
        try:
            carry_out(admin, [second.step])
        except (KafkaException, TimeoutError) as error:
            raise Refused(f"{second.step.name}: {error}. Run this again") from error
    click.echo(f"now restart the workers, one at a time, with\n  {second.workers}", err=True)
    wanted = {*states_of(where)}
    begins = dict.fromkeys(range(second.step.partitions), 0)
    missing = live.wait_until_told(where, wanted, begins, wait_s)
    if missing:
        raise Refused(
            f"{missing} of {len(wanted)} sections are not written to {second.step.name}: restart"
            f" the workers with {second.workers}, and run this again"
        )
