"""Opens the sections of an event: a command for each, and its outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from scripts.brokers.addresses import Servers
from scripts.traffic.sending import (
    CommandEncoders,
    CommandSender,
    NoBroker,
    OutcomeReader,
    schema_ids,
)
from serdes.registry.ids import SchemaIds
from serdes.wire import VALUE_BYTES_MAX
from state.domain.keys import section_key
from state.domain.layout import Rules
from state.domain.reasons import Reason
from state.plans.seating import PlanFault, SeatingPlan
from state.records.outcomes import REASON

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """What became of the sections.

    refused: section -> reason. missing: sections without an outcome in time.
    """

    opened: int
    refused: dict[str, str]
    missing: list[str]


def open_event(
    where: Servers,
    plan: SeatingPlan,
    event_id: int,
    rules: Rules,
    *,
    ids: SchemaIds | None = None,
    timeout_s: float = 60.0,
    progress: Progress = lambda _opened, _all: None,
) -> Opening:
    """Send one command a section and wait for its outcome; raises NoBroker, PlanFault.

    ids:      those of the registry; asked for where they are not given.
    progress: told how many sections have answered, often.
    """
    ids = ids or schema_ids(where.registry_url, where.brokers, kafka=where.kafka)
    encoders = CommandEncoders(ids)
    commands: dict[bytes, tuple[str, bytes]] = {}
    for section in plan.sections:
        reservation_id = f"open-{event_id}-{section.section}"
        identity = encoders.identity(reservation_id, "operator", section.section, event_id)
        value = encoders.open_section(identity, section, rules)
        if len(value) > VALUE_BYTES_MAX:
            raise PlanFault(
                section.path,
                f"a record of {len(value)} bytes, the limit is {VALUE_BYTES_MAX}",
                "Split the section in two",
            )
        commands[reservation_id.encode()] = (section.section, value)
    reader = OutcomeReader(where.brokers, ids, kafka=where.kafka)
    sender = CommandSender(where.brokers, kafka=where.kafka)
    try:
        for section_name, value in commands.values():
            sender.send(section_key(event_id, section_name), value)
        unsent = sender.flush()
        if unsent or sender.failed:
            why = sender.failed[0] if sender.failed else "no acknowledgement"
            raise NoBroker(f"{unsent + len(sender.failed)} commands were not taken: {why}")
        refused: dict[str, str] = {}
        waiting = dict(commands)
        end = monotonic() + timeout_s
        while waiting and monotonic() < end:
            for message in reader.read(0.1):
                found = waiting.pop(message.key() or b"", None)
                value = message.value() or b""
                if found is not None and reader.name_of(value) != "SectionOpened":
                    refused[found[0]] = Reason(reader.fields_of(value)[REASON]).name
            progress(len(commands) - len(waiting), len(commands))
    finally:
        reader.close()
    missing = [section for section, _ in waiting.values()]
    return Opening(len(commands) - len(refused) - len(missing), refused, missing)
