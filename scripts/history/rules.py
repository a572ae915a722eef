"""By which strategy, and under which version of the rules, the log had something decided.

Which version decides is told by ticks: from the first one of a newer version on, that one holds.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from typing import NamedTuple

from schemas.topics import SECTION_COMMANDS
from scripts.auditing.topics import LogRecord
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import spans_of
from scripts.history import reading
from scripts.history.timeline import Event
from streams.folding.ticks import is_tick_key, tick_version

STRATEGIES = {
    "HoldBestAvailable": "best available",
    "HoldChosenSeats": "chosen seats",
    "HoldInPieces": "in pieces",
}
"""How seats are chosen, by the command that asks for them."""


class Rules(NamedTuple):
    """What holds in one partition.

    begins: offset and version, rising, of each first tick of a newer version; the log begins
            with version 1 at offset 0, and with none where retention removed its beginning.
    asked:  what commands are called, by their offset.
    """

    begins: tuple[tuple[int, int], ...]
    asked: Mapping[int, str]

    def version_at(self, offset: int) -> int:
        """Return the version that decided a command; 0 where the log does not tell any more."""
        before = bisect_right([begin for begin, _ in self.begins], offset)
        return self.begins[before - 1][1] if before else 0

    def said_of(self, event: Event) -> str:
        """Return strategy and version in words."""
        position = event.position
        version = self.version_at(position.offset)
        rules = f"rules {version}" if version else "rules of a time that retention removed"
        asked = self.asked.get(position.offset, "") if position.is_own else ""
        strategy = STRATEGIES.get(asked)
        return f"{strategy}, {rules}" if strategy else rules


def rules_of(where: Servers, partition: int, offsets: Collection[int]) -> Rules:
    """Return what decided the commands at these offsets; raises CannotRead."""
    first, _ = spans_of(where, SECTION_COMMANDS, committed=True)[partition]
    begins = [] if first else [(0, 1)]
    asked: dict[int, str] = {}

    def newest() -> int:
        return begins[-1][1] if begins else 1

    def wanted(record: LogRecord) -> bool:
        # Asked again below: what is decoded meanwhile may have told a newer one.
        is_newer = is_tick_key(record.key) and tick_version(record.key) > newest()
        return is_newer or record.offset in offsets

    records = reading.each_line(where, SECTION_COMMANDS, wanted, [partition])
    # A stranger's record under a tick's key is none: only what can be read counts.
    for _, record, name, _ in reading.decoded(where, SECTION_COMMANDS, records):
        asked[record.offset] = name
        if name == "Tick" and tick_version(record.key) > newest():
            begins.append((record.offset, tick_version(record.key)))
    return Rules(tuple(begins), asked)
