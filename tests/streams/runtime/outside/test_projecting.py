"""What a batch says to a database is there before the batch is committed, or nothing of it is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.workers.echo import Echo, FakeRecord
from support.workers.parts import Consumer, partition_in_memory, parts_over

from state.stores.partition_state import Changes
from streams.batch import Effects
from streams.runtime.outside.projecting import CONTRADICTS, project
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.transactions.input_partition import Decided
from streams.settings import Settings

RECORDS = [FakeRecord(offset, value=b"v") for offset in range(3)]


@dataclass
class Written:
    """Whoever writes: it refuses what it is told to, or fails as it is told."""

    wrong: Sequence[str] = ("", "", "")
    error: BaseException | None = None
    hangs: bool = False
    told: list[Any] = field(default_factory=list)

    async def write(self, words: Sequence[Any]) -> Sequence[str]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.told += words
        return self.wrong


def decided(directory: Path, written: Written) -> Decided:
    route = replace(Echo().route(), project=written.write)
    parts = parts_over(directory, route, Consumer(), Settings(instance="one"), lambda _: True)
    effects = Effects(projected=[(record, f"w{record.offset}") for record in RECORDS])
    return Decided(partition_in_memory(parts, 0), 3, 3, 0, effects, Changes([], [], {}, []))


def test_what_is_wrong_with_a_record_makes_a_dead_letter_of_that_record_alone(
    tmp_path: Path,
) -> None:
    written = Written(wrong=("", "has another amount", ""))
    one = decided(tmp_path, written)
    asyncio.run(project(one, 15))
    assert written.told == ["w0", "w1", "w2"]
    [letter] = one.effects.dead_letters
    assert (letter.record, letter.reason, letter.detail) == (
        *(RECORDS[1], CONTRADICTS, "has another amount"),
    )


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (Written(error=ConnectionError("refused")), "could not be written: refused"),
        (Written(error=ValueError()), "could not be written: ValueError"),
        (Written(hangs=True), "no answer within 0 s"),
    ],
)
def test_whatever_fails_sets_the_partition_aside_and_makes_no_dead_letter(
    written: Written, why: str, tmp_path: Path
) -> None:
    one = decided(tmp_path, written)
    with pytest.raises(PartitionTrouble, match=why) as trouble:
        asyncio.run(project(one, 0.03))
    assert trouble.value.reason == "database"
    assert one.effects.dead_letters == []
