"""A pool does every job once, never more at once than it has members, and fails one at a time."""

import asyncio
import logging
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.admission.pool import DRAIN_S, QUEUED_MAX, WARNED_PERCENT, Pool
from api.settings import ApiSettings


@given(st.integers(1, 5), st.integers(1, 6), st.lists(st.booleans(), max_size=30))
def test_s000_8_every_job_is_done_once_and_an_error_stops_no_other(
    members: int, queued_max: int, fails: list[bool]
) -> None:
    at_once, most, done = 0, 0, list[int]()

    async def job(number: int) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        done.append(number)
        if fails[number]:
            raise ValueError(number)
        return number

    async def go() -> None:
        pool = Pool("tests", members, queued_max)
        jobs = [partial(job, number) for number in range(len(fails))]
        ends = await pool.do_all(jobs)
        await pool.close()
        assert sorted(done) == list(range(len(fails)))
        for number, end in enumerate(ends):
            assert isinstance(end, ValueError) if fails[number] else end == number
        # Whoever offers one too many is one more who works.
        assert most <= members + 1

    asyncio.run(go())


def test_s000_8_who_finds_no_room_does_the_job_itself() -> None:
    async def go() -> None:
        gate, by = asyncio.Event(), dict[int, str]()

        async def job(number: int) -> None:
            task = asyncio.current_task()
            by[number] = task.get_name() if task else ""
            if number == 2:
                gate.set()
            await gate.wait()

        pool = Pool("tests", 1, 2)
        caller = asyncio.current_task()
        assert caller is not None
        caller.set_name("caller")
        await pool.do_all([partial(job, number) for number in range(4)])
        assert pool.done_by_callers == 2
        assert (by[2], by[3]) == ("caller", "caller")
        assert {by[0], by[1]} == {"pool: tests"}
        await pool.close()

    asyncio.run(go())


def test_s000_8_a_queue_that_is_nearly_full_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def go() -> None:
        async def job() -> None: ...

        pool = Pool("tests", 1, 10)
        await pool.do_all([job] * 10)
        await pool.close()

    with caplog.at_level(logging.WARNING, "seatstream.api"):
        asyncio.run(go())
    assert [record.getMessage() for record in caplog.records] == [
        "tests: 8 jobs wait for 1 members"
    ]


def test_a_member_that_is_ended_is_replaced_and_its_job_is_told_to_have_ended() -> None:
    async def go() -> None:
        async def ends_its_member() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        async def job() -> str:
            return "done"

        pool = Pool("tests", 1)
        ended, *_ = await pool.do_all([ends_its_member])
        assert isinstance(ended, asyncio.CancelledError)
        assert await pool.do_all([job]) == ["done"]
        await pool.close()

    asyncio.run(go())


def test_s000_8_closing_waits_for_what_is_under_way_but_not_for_ever() -> None:
    async def go() -> None:
        begun, gate, done = asyncio.Event(), asyncio.Event(), list[str]()

        async def job(name: str) -> None:
            begun.set()
            await gate.wait()
            done.append(name)

        pool = Pool("tests", 1)
        first = asyncio.create_task(pool.do_all([partial(job, "one"), partial(job, "two")]))
        await begun.wait()
        assert pool.queued == 1
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        gate.set()
        await closing
        await first
        assert done == ["one", "two"]
        # One that never ends is ended.
        stuck = Pool("tests", 1)
        never = asyncio.create_task(stuck.do_all([asyncio.Event().wait] * 3))
        await asyncio.sleep(0)
        await stuck.close(drain_s=0.0)
        assert all(isinstance(end, asyncio.CancelledError) for end in await never)

    asyncio.run(go())


def test_s000_8_ten_members_take_from_a_hundred_that_wait_and_have_half_a_minute_to_end() -> None:
    """The size is a setting; the rest is as source document 000 says."""
    assert ApiSettings().promoters == 10
    assert (QUEUED_MAX, WARNED_PERCENT, DRAIN_S) == (100, 80, 30.0)
