"""What a worker does about what became of its topics: tell again, wait, or end."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support.pods.conditions import until
from support.workers.echo import CHANGELOG, OUT, SOURCE, Echo
from support.workers.parts import PARTITIONS, Consumer, parts_over

from streams.route import Retold
from streams.runtime import topic_keeper as module
from streams.runtime.process.topic_watch import Look
from streams.runtime.topic_keeper import TopicKeeper
from streams.settings import Settings


class Ended(Exception):
    """Stands for the end of the process."""


class Told:
    """A watch that sees what a test says, and the group commit that is told of it."""

    def __init__(self, look: Look) -> None:
        self.seen = look
        self.again: list[tuple[object, ...]] = []
        self.held: list[bool] = []

    def look(self) -> Look:
        return self.seen

    def tell_again(self, *where: object) -> None:
        self.again.append(where)

    def tell_oldest_again(self, age_s: float) -> None:
        assert age_s == Settings().retell_s

    def hold_back(self, is_held: bool) -> None:
        self.held.append(is_held)


def kept(
    directory: Path,
    *,
    missing: frozenset[str] = frozenset(),
    renewed: frozenset[str] = frozenset(),
    counts: Mapping[str, int] | None = None,
    shortened: tuple[tuple[str, int], ...] = (),
    has_partitions: bool = True,
    counts_at_start: Mapping[str, int] | None = None,
) -> Told:
    """Let a keeper look once; return what it told. Raises Ended where it ends the process."""
    told: Any = Told(Look(missing, renewed, counts or {}, shortened))
    retold = Retold((OUT,), b"s", lambda *_: [])
    route = replace(Echo().route(), retold=retold)
    parts = parts_over(directory, route, Consumer(), Settings())
    counts_at_start = {**parts.cluster.partitions, **(counts_at_start or {})}
    parts = replace(parts, cluster=replace(parts.cluster, partitions=counts_at_start))

    async def life() -> None:
        keeper = TopicKeeper(parts, lambda: told if has_partitions else None)
        keeper._watch = told
        running = asyncio.create_task(keeper.run())
        looked = asyncio.create_task(
            until(lambda: bool(told.held) or bool(parts.observer._missing))
            if has_partitions or missing
            else asyncio.sleep(0)
        )
        await asyncio.wait({running, looked}, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        looked.cancel()
        ended, _ = await asyncio.gather(running, looked, return_exceptions=True)
        if isinstance(ended, Ended):
            raise ended

    asyncio.run(life())
    result: Told = told
    return result


@pytest.fixture(autouse=True)
def without_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(reason: str) -> NoReturn:
        raise Ended(reason)

    monkeypatch.setattr(module, "end_process", end)


def test_an_output_that_was_created_anew_or_shortened_is_written_again(tmp_path: Path) -> None:
    told = kept(tmp_path, renewed=frozenset({OUT}), shortened=((OUT, 3),))
    assert told.again == [(OUT,), (OUT, 3)]
    assert told.held == [False]


def test_under_another_number_of_partitions_all_of_them_tell_again(tmp_path: Path) -> None:
    told = kept(tmp_path, shortened=((OUT, 3),), counts_at_start={OUT: PARTITIONS + 1})
    assert told.again == [(OUT, None)]


def test_u2_a_worker_starts_anew_over_another_number_of_what_it_tells_again(
    tmp_path: Path,
) -> None:
    with pytest.raises(Ended, match="has 5 now: start it again"):
        kept(tmp_path, counts={OUT: 5})


def test_nothing_is_decided_while_a_topic_is_missing(tmp_path: Path) -> None:
    assert kept(tmp_path, missing=frozenset({OUT})).held == [True]


@pytest.mark.parametrize("topic", [SOURCE, CHANGELOG])
def test_a_worker_ends_over_a_source_or_changelog_that_was_created_anew(
    tmp_path: Path, topic: str
) -> None:
    with pytest.raises(Ended, match=f"topic {topic} was created anew"):
        kept(tmp_path, renewed=frozenset({topic}))


def test_a_worker_ends_over_partitions_that_were_added(tmp_path: Path) -> None:
    with pytest.raises(Ended, match=f"had {PARTITIONS} partitions .* has 5 now"):
        kept(tmp_path, counts={SOURCE: 5})


def test_a_worker_without_partitions_notices_what_is_missing_too(tmp_path: Path) -> None:
    assert kept(tmp_path, missing=frozenset({OUT}), has_partitions=False).held == []
