"""Changes an event, and sees to it that the change stands.

Two pods may change an event at the same moment. Both append a record, and by `newer_of` every pod
finds which of the two stands. The pod whose record does not stand decides again, on top of the one
that does. If it has nothing left to change, it appends the standing content again. So in the end
the last record of an event, which is the one that compaction keeps, is the one that stands.
"""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Final

from serdes.wire import VALUE_BYTES_MAX
from state.domain.event import Event
from state.domain.keys import partition_of
from state.kafka.command_log import Appender, AppendUnknown, TooLarge
from state.records.event import EventEncoder, event_key
from state.views.events.catalogue import Events

ATTEMPTS_MAX: Final = 5
READ_BACK_S: Final = 5.0

Decide = Callable[[Event | None], Event | None]


class Contended(Exception):
    """Others changed the event at the same moments, in every attempt.

    Operator action: ask again.
    """


@dataclass(frozen=True, slots=True)
class EventWriter:
    """Writes a pod's changes of events; all methods belong to one loop."""

    catalogue: Events
    log: Appender
    encode: EventEncoder
    _: KW_ONLY
    read_back_s: float = READ_BACK_S

    def check_size(self, event: Event) -> None:
        """Raise TooLarge for an event whose record would be above the readers' limit."""
        size = len(self.encode(event))
        if size > VALUE_BYTES_MAX:
            raise TooLarge(f"a record of {size} bytes, the limit is {VALUE_BYTES_MAX}")

    async def change(
        self, event_id: int, decide: Decide, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Event:
        """Change an event, and return how it stands once the change stands.

        decide: takes the standing event, or None; returns the next revision, or None to change
                nothing. It is called again when another pod's change stands instead. What it
                raises ends the change.

        Raises NotAppended, TooLarge, Contended and AppendUnknown. The last also means that the
        record is in the log but was not read back in time: nobody knows whether it stands.
        """
        was_overtaken = False
        for _ in range(ATTEMPTS_MAX):
            known = self.catalogue.get(event_id)
            refusal: Exception | None = None
            try:
                wanted = decide(known)
            except Exception as error:
                if known is None or not was_overtaken:
                    raise
                refusal, wanted = error, None
            if wanted is None:
                assert known is not None
                if not was_overtaken:
                    return known
                # Our overtaken record is the event's last one, which compaction would keep.
                wanted = replace(known, revision=known.revision + 1)
            assert wanted.revision == (1 if known is None else known.revision + 1)
            self.check_size(wanted)
            key = event_key(event_id)
            appended = await self.log.send(
                key,
                self.encode(wanted),
                partition=partition_of(key, self.log.partitions),
                headers=headers,
            )
            is_read = await self.catalogue.has_read(
                appended.partition, appended.offset, self.read_back_s
            )
            if not is_read:
                raise AppendUnknown(f"event {event_id}: in the log, but not read back")
            if self.catalogue.get(event_id) == wanted:
                if refusal is not None:
                    raise refusal
                return wanted
            was_overtaken = True
        raise Contended(f"event {event_id}: others changed it {ATTEMPTS_MAX} times meanwhile")
