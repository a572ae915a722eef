"""The topic of turns in memory, in the place of a pod's CommandLog of it."""

from collections.abc import Collection, Mapping

from schemas.topics import WAITING_TURNS
from serdes.decoding import Decoded, TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.waiting.line import Step
from state.kafka.command_log import Appended, AppendUnknown
from state.kafka.told_turns import NotRead, Told
from state.records.waiting.turns import SEED, SeedTold, TurnChanged, fact_of

IDS = counted_ids()


class TurnsInMemory:
    """What was appended, the last under each key; is_away: it takes nothing.

    seeds: what was told of seeds, each with how many turns had been told of before.
    """

    partitions = 1
    topic = WAITING_TURNS.name

    def __init__(self) -> None:
        self.records: dict[bytes, TurnChanged] = {}
        self.seeds: list[tuple[SeedTold, int]] = []
        self.is_away = False
        self._decoder = TopicDecoder(WAITING_TURNS, IDS)

    def start(self) -> None: ...

    async def close(self) -> None: ...

    def partition_of(self, _: bytes) -> int:
        return 0

    async def send(self, key: bytes, value: bytes, *, partition: int) -> Appended:
        if self.is_away:
            raise AppendUnknown("nobody answers")
        verdict = self._decoder.decode(value, ())
        assert isinstance(verdict, Decoded)
        if verdict.name == SEED:
            self.seeds.append((SeedTold(*verdict.fields), len(self.records)))
        else:
            self.records[key] = TurnChanged(*verdict.fields)
        return Appended(partition, len(self.records))

    def read(self, events: Collection[int]) -> Mapping[int, Told]:
        """Return what was told, as `ToldTurns`."""
        if self.is_away:
            raise NotRead("nobody answers")
        told = {event: Told() for event in events}
        for record in self.records.values():
            fact = fact_of(record)
            if record.event_id in told and fact is not None:
                told[record.event_id].facts.append(fact)
        return told

    def of(self, event: int, user: str) -> list[Step]:
        """Return the steps of all turns of a user, in the order of a life."""
        mine = (one for one in self.records.values() if one.event_id == event)
        return sorted(Step(one.step) for one in mine if one.user_id.decode() == user)
