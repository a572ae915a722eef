import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.told_seats import Decided, Owners, records
from support.records.status_records import EVENT, MS, PARTITIONS, Fed, counts

from schemas.topics import SECTION_COMMANDS
from state.domain.keys import partition_of, section_key
from state.owners.questions import OwnerNotReady
from state.views.seat_maps import YOUNG_MS, AbsenceUnsure, SeatMapCache


class Pod:
    """A cache between an owner and a view that are told by hand."""

    def __init__(self, seats_max: int = 1_000, *, is_read: bool = True) -> None:
        self.owners = Owners()
        self.fed = Fed()
        if is_read:
            self.fed.heartbeat()
        self.decided = Decided()
        self.decided.partitions = PARTITIONS if is_read else 0
        self.cache = SeatMapCache(
            self.owners,
            self.fed.view,
            self.decided,
            1.0,
            seats_max=seats_max,
            clock_ns=lambda: self.fed.now_ms * MS,
        )

    def changes(self, version: int, section: str = "A", *, seen: bool = True) -> None:
        """Have a section reach a version; the view hears of it when `seen`."""
        self.owners.tell(EVENT, section, records(version))
        if seen:
            self.sees(version, section)

    def sees(self, version: int, section: str = "A") -> None:
        self.fed.tell(counts(version, 22), section)
        self.fed.heartbeat()

    def passes(self, ms: int) -> None:
        self.fed.now_ms += ms

    async def version(self, section: str = "A", min_version: int = 0) -> int:
        seat_map = await self.cache.get(EVENT, section, min_version)
        return 0 if seat_map is None else seat_map.records.version


def scenario(play: Callable[[Pod], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(play(Pod()))

    run.__name__ = play.__name__
    return run


@scenario
async def test_the_owner_of_the_partition_that_the_topic_really_has_is_asked(pod: Pod) -> None:
    assert PARTITIONS != SECTION_COMMANDS.partitions
    for section in "ABCDEFGH":
        pod.changes(1, section)
        await pod.cache.get(EVENT, section)
        key = section_key(EVENT, section)
        assert pod.owners.asked[-1] == (partition_of(key, PARTITIONS), key)


def test_no_owner_is_asked_before_it_is_known_how_many_partitions_there_are() -> None:
    async def ask() -> None:
        pod = Pod(is_read=False)
        with pytest.raises(OwnerNotReady):
            await pod.cache.get(EVENT, "A")
        assert pod.owners.asked == []

    asyncio.run(ask())


@scenario
async def test_a_hot_section_is_looked_up_once_while_it_does_not_change(pod: Pod) -> None:
    pod.changes(3)
    for _ in range(100):
        assert await pod.version() == 3
        pod.passes(YOUNG_MS)
        pod.fed.heartbeat()
    key = section_key(EVENT, "A")
    assert pod.owners.asked == [(partition_of(key, PARTITIONS), key)]


@scenario
async def test_a_change_that_the_view_has_seen_is_looked_up(pod: Pod) -> None:
    pod.changes(3)
    await pod.version()
    pod.changes(4)
    pod.passes(YOUNG_MS + 1)
    assert await pod.version() == 4


@scenario
async def test_a_section_that_never_rests_is_looked_up_ten_times_a_second(pod: Pod) -> None:
    for millisecond in range(1_000):
        pod.changes(millisecond + 1)
        version = await pod.version()
        assert millisecond + 1 - version <= YOUNG_MS
        pod.passes(1)
    assert len(pod.owners.asked) == 10


@scenario
async def test_a_version_that_is_demanded_is_looked_up_at_once(pod: Pod) -> None:
    pod.changes(3)
    await pod.version()
    pod.changes(4, seen=False)
    assert await pod.version(min_version=3) == 3
    assert await pod.version(min_version=4) == 4


@scenario
async def test_a_stale_view_vouches_for_nothing(pod: Pod) -> None:
    pod.changes(3)
    await pod.version()
    pod.changes(4, seen=False)
    pod.passes(pod.fed.view.stale_after_ms + 1)
    assert await pod.version() == 4


@scenario
async def test_a_section_that_the_view_does_not_know_is_kept_for_a_moment_only(pod: Pod) -> None:
    pod.changes(3, seen=False)
    assert [await pod.version(), await pod.version()] == [3, 3]
    assert len(pod.owners.asked) == 1
    pod.passes(YOUNG_MS + 1)
    assert await pod.version() == 3
    assert len(pod.owners.asked) == 2


@scenario
async def test_an_owner_ahead_of_the_view_is_believed_until_the_view_knows_better(
    pod: Pod,
) -> None:
    pod.changes(3)
    pod.passes(50)
    pod.changes(9, seen=False)
    assert await pod.version() == 9
    pod.passes(YOUNG_MS + 1)
    assert await pod.version() == 9
    assert len(pod.owners.asked) == 1
    # A view that was read to the end since, and still says 3: the topics were made anew.
    pod.owners.tell(EVENT, "A", records(3))
    pod.fed.heartbeat()
    pod.passes(1)
    assert await pod.version() == 3


@scenario
async def test_requests_at_one_moment_share_a_look_up(pod: Pod) -> None:
    pod.changes(3)
    pod.owners.gate.clear()
    asking = [asyncio.create_task(pod.version()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    pod.owners.gate.set()
    assert await asyncio.gather(*asking[1:]) == [3] * 19
    assert len(pod.owners.asked) == 1
    assert not pod.cache._lookups


@scenario
async def test_an_owner_that_is_not_ready_is_told_to_all_who_ask_and_kept_for_nobody(
    pod: Pod,
) -> None:
    pod.changes(3)
    pod.owners.error = OwnerNotReady("restores")
    pod.owners.gate.clear()
    asking = [asyncio.create_task(pod.version()) for _ in range(3)]
    await asyncio.sleep(0)
    pod.owners.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [OwnerNotReady] * 3
    pod.owners.error = None
    assert await pod.version() == 3


@scenario
async def test_an_unknown_section_is_none_and_not_kept(pod: Pod) -> None:
    assert await pod.version("NONE") == 0
    assert len(pod.cache) == 0
    pod.changes(1, "NONE", seen=False)
    assert await pod.version("NONE") == 1


def test_the_longest_unused_sections_go_first() -> None:
    async def play() -> None:
        pod = Pod(seats_max=3 * records().layout.capacity)
        for section in "ABCD":
            pod.changes(1, section)
        for section in "ABCACD":
            await pod.version(section)
        assert len(pod.cache) == 3
        asked = len(pod.owners.asked)
        await pod.version("A")
        assert len(pod.owners.asked) == asked
        await pod.version("B")
        assert len(pod.owners.asked) == asked + 1

    asyncio.run(play())


steps = st.lists(
    st.tuples(st.sampled_from(["change", "unseen", "see", "pass", "ask"]), st.integers(1, 200)),
    max_size=30,
)


@given(steps)
def test_no_map_is_older_than_its_bound_and_than_what_was_known_a_moment_ago(
    taken: list[tuple[str, int]],
) -> None:
    """Compare with when the section left the version that was told."""

    async def play() -> None:
        pod = Pod()
        pod.changes(1)
        version, left_ms = 1, {}
        for step, number in taken:
            match step:
                case "change" | "unseen":
                    left_ms[version] = pod.fed.now_ms
                    version += 1
                    pod.changes(version, seen=step == "change")
                case "see":
                    pod.sees(version)
                case "pass":
                    pod.passes(number)
                case _:
                    seat_map = await pod.cache.get(EVENT, "A")
                    assert seat_map is not None
                    told = seat_map.records.version
                    bound_ms = pod.cache.staleness_ms(EVENT, "A", seat_map)
                    assert told == version or pod.fed.now_ms - left_ms[told] <= bound_ms

    asyncio.run(play())


@pytest.mark.parametrize("seats_max", [1, 10_000])
def test_one_section_is_kept_however_large(seats_max: int) -> None:
    async def play() -> None:
        pod = Pod(seats_max)
        pod.changes(1)
        assert [await pod.version(), await pod.version()] == [1, 1]
        assert len(pod.cache) == 1

    asyncio.run(play())


# --- what is not there -----------------------------------------------------------------------


@scenario
async def test_s8_a_section_that_another_pod_told_of_is_not_denied(pod: Pod) -> None:
    """The owner stores after the commit, and what it stored is asked for again once we know."""

    def opened() -> None:
        pod.decided.offset = 5
        pod.changes(1, seen=False)

    pod.decided.arrives = opened
    assert await pod.version() == 1
    assert len(pod.owners.asked) == 2


@scenario
async def test_s8_nothing_is_denied_while_the_brokers_do_not_tell(pod: Pod) -> None:
    pod.decided.is_told = False
    with pytest.raises(AbsenceUnsure):
        await pod.cache.get(EVENT, "A")
    pod.changes(1)
    assert await pod.version() == 1


@scenario
async def test_s8_whoever_joins_a_look_up_is_not_told_that_there_was_none_before(pod: Pod) -> None:
    pod.owners.gate.clear()
    first = asyncio.create_task(pod.cache.get(EVENT, "A"))
    await pod.owners.was_asked.wait()
    # Nothing was decided for the first who asked; the others come after somebody was told.
    late = [asyncio.create_task(pod.version()) for _ in range(20)]
    await asyncio.sleep(0)
    pod.owners.gate.set()
    assert await first is None
    pod.changes(1, seen=False)
    assert await asyncio.gather(*late) == [1] * 20
    assert len(pod.owners.asked) == 2


@scenario
async def test_s8_what_is_there_asks_the_brokers_nothing(pod: Pod) -> None:
    pod.changes(1)
    assert await pod.version() == 1
    assert pod.decided.asked == 0
