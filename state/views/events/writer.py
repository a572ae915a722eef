"""Changes one event at a time, on top of what stands, and sees to it that the change stands.

Two pods may change an event at one moment. Both append, and `newer_of` says in every pod which
record stands; the pod whose record does not stand decides again on top of the one that does, and
where it has nothing to change any more, it tells the one that stands anew. So the last record of
an event is in the end the one that stands, which is what compaction keeps.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from serdes.wire import VALUE_BYTES_MAX
from state.domain.event import Event
from state.domain.keys import partition_of
from state.kafka.command_log import Appended, AppendUnknown, TooLarge
from state.records.event import EventEncoder, event_key
from state.views.events.catalogue import Events

ATTEMPTS_MAX: Final = 5
READ_BACK_S: Final = 5.0

Decide = Callable[[Event | None], Event | None]


class Contended(Exception):
    """Others kept changing the event at the same moments.

    Operator action: ask again.
    """


class Appender(Protocol):
    """Where records of `events` are appended; a CommandLog of that topic."""

    @property
    def partitions(self) -> int: ...

    async def send(
        self,
        key: bytes,
        value: bytes,
        *,
        partition: int,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Appended: ...


class EventWriter:
    """Writes what a pod decides about events; all methods belong to one loop."""

    def __init__(
        self,
        catalogue: Events,
        log: Appender,
        encode: EventEncoder,
        *,
        read_back_s: float = READ_BACK_S,
    ) -> None:
        self._catalogue = catalogue
        self._log = log
        self._encode = encode
        self._read_back_s = read_back_s

    def check_size(self, event: Event) -> None:
        """Raise TooLarge for an event whose record no reader would take."""
        size = len(self._encode(event))
        if size > VALUE_BYTES_MAX:
            raise TooLarge(f"a record of {size} bytes, the limit is {VALUE_BYTES_MAX}")

    async def change(
        self, event_id: int, decide: Decide, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Event:
        """Return what stands of an event, once that is what `decide` made of it.

        decide: given what stands, or None, returns the next revision, or None to leave it. Asked
                again when somebody else's change stands instead; may raise, which ends it.

        Raises NotAppended, TooLarge, Contended, and AppendUnknown also for a record that is in
        the log and was not read back in time: whether it stands is not known.
        """
        was_overtaken = False
        for _ in range(ATTEMPTS_MAX):
            known = self._catalogue.get(event_id)
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
                # A record of ours lies behind it, and would be all that compaction leaves.
                wanted = replace(known, revision=known.revision + 1)
            assert wanted.revision == (1 if known is None else known.revision + 1)
            self.check_size(wanted)
            key = event_key(event_id)
            appended = await self._log.send(
                key,
                self._encode(wanted),
                partition=partition_of(key, self._log.partitions),
                headers=headers,
            )
            is_read = await self._catalogue.has_read(
                appended.partition, appended.offset, self._read_back_s
            )
            if not is_read:
                raise AppendUnknown(f"event {event_id}: in the log, but not read back")
            if self._catalogue.get(event_id) == wanted:
                if refusal is not None:
                    raise refusal
                return wanted
            was_overtaken = True
        raise Contended(f"event {event_id}: others changed it {ATTEMPTS_MAX} times meanwhile")
