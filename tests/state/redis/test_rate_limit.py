"""No window ever lets more through than its limit; Redis that fails lets everybody through (F64).

The script runs in a real Redis, by a clock of ours; windows are long enough that no key expires
while a test runs.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from signal import SIGCONT, SIGSTOP
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from infra.stack.redis_server import RedisServer
from state.redis.line import REST_S, Breaker
from state.redis.rate_limit import Limit, LimitStatistics, RateLimits, Refused

NOW_MS = 1_900_000_000_000
MINUTE_MS = 60_000
FRESH = count()


def key() -> str:
    """Return a key that no other example uses."""
    return f"test:{next(FRESH)}"


@asynccontextmanager
async def limits_at(
    url: str, clock_s: Callable[[], float] = monotonic
) -> AsyncIterator[RateLimits]:
    limits = RateLimits(url, clock_s=clock_s)
    try:
        yield limits
    finally:
        await limits.close()


def run(url: str, test: Callable[[RateLimits], Awaitable[None]]) -> None:
    async def go() -> None:
        async with limits_at(url) as limits:
            await test(limits)

    asyncio.run(go())


@given(
    st.integers(1, 5),
    st.lists(st.integers(0, MINUTE_MS), min_size=1, max_size=30),
)
def test_any_window_has_at_most_the_limit_and_no_request_is_refused_early(
    redis_url: str, most: int, gaps_ms: list[int]
) -> None:
    """Agrees with a slow search over all that was accepted."""

    async def test(limits: RateLimits) -> None:
        name, limit, now_ms = key(), Limit(most, MINUTE_MS), NOW_MS
        accepted: list[int] = []
        for gap_ms in gaps_ms:
            now_ms += gap_ms
            inside = [at_ms for at_ms in accepted if at_ms > now_ms - MINUTE_MS]
            refused = await limits.ask([(name, limit)], now_ms)
            if len(inside) < most:
                assert refused is None
                accepted.append(now_ms)
            else:
                # Room again as soon as the oldest of the last `most` has left the window.
                assert refused == Refused(0, accepted[-most] + MINUTE_MS - now_ms)

    run(redis_url, test)


def test_what_one_limit_refuses_is_counted_by_none(redis_url: str) -> None:
    async def test(limits: RateLimits) -> None:
        user, network = key(), key()
        both = [(user, Limit(1, MINUTE_MS)), (network, Limit(2, MINUTE_MS))]
        assert await limits.ask(both, NOW_MS) is None
        for _ in range(5):
            assert await limits.ask(both, NOW_MS + 1) == Refused(0, MINUTE_MS - 1)
        other = [(key(), Limit(1, MINUTE_MS)), (network, Limit(2, MINUTE_MS))]
        assert await limits.ask(other, NOW_MS + 2) is None
        third = [(key(), Limit(1, MINUTE_MS)), (network, Limit(2, MINUTE_MS))]
        assert await limits.ask(third, NOW_MS + 3) == Refused(1, MINUTE_MS - 3)

    run(redis_url, test)


def test_the_index_is_that_of_the_question_also_beside_absent_limits(redis_url: str) -> None:
    async def test(limits: RateLimits) -> None:
        asked = [(key(), None), (key(), Limit(1, MINUTE_MS))]
        assert await limits.ask(asked, NOW_MS) is None
        assert await limits.ask(asked, NOW_MS) == Refused(1, MINUTE_MS)
        assert await limits.ask([(key(), None)], NOW_MS) is None
        assert limits.statistics().allowed == 1

    run(redis_url, test)


def test_a_clock_that_was_set_back_locks_nobody_out_for_longer_than_a_window(
    redis_url: str,
) -> None:
    async def test(limits: RateLimits) -> None:
        name, limit = key(), Limit(1, MINUTE_MS)
        assert await limits.ask([(name, limit)], NOW_MS) is None
        refused = await limits.ask([(name, limit)], NOW_MS - 86_400_000)
        assert refused == Refused(0, MINUTE_MS)

    run(redis_url, test)


def test_many_at_once_at_two_pods_share_one_limit(redis_url: str) -> None:
    async def go() -> None:
        name, limit = key(), Limit(7, MINUTE_MS)
        async with limits_at(redis_url) as one, limits_at(redis_url) as other:
            asked = [pod.ask([(name, limit)]) for pod in (one, other) for _ in range(40)]
            answers = await asyncio.gather(*asked)
            assert sum(answer is None for answer in answers) == 7
            skipped = one.statistics().skipped + other.statistics().skipped
            assert skipped == 0

    asyncio.run(go())


def test_keys_expire_with_their_window(redis_url: str) -> None:
    async def go() -> None:
        name = key()
        async with limits_at(redis_url) as limits:
            await limits.ask([(name, Limit(3, MINUTE_MS))])
            async with Redis.from_url(redis_url) as redis:
                assert 0 < await redis.pttl(name) <= MINUTE_MS

    asyncio.run(go())


@pytest.mark.parametrize("content", ["text", "list"])
def test_b80_what_is_no_count_of_ours_opens_no_limit(redis_url: str, content: str) -> None:
    async def test(limits: RateLimits) -> None:
        name, other, limit = key(), key(), Limit(2, MINUTE_MS)
        async with Redis.from_url(redis_url) as redis:
            if content == "text":
                await redis.set(name, "somebody's")
            else:
                await redis.rpush(name, "x", "y", "z")
        asked = [(other, limit), (name, limit)]
        for _ in range(2):
            assert await limits.ask(asked, NOW_MS) is None
        assert await limits.ask(asked, NOW_MS) == Refused(0, MINUTE_MS)
        assert await limits.ask([(name, limit)], NOW_MS) == Refused(0, MINUTE_MS)
        assert limits.statistics().skipped == 0

    run(redis_url, test)


def test_a_server_that_forgot_the_script_is_told_it_again(redis_url: str) -> None:
    """F71."""

    async def test(limits: RateLimits) -> None:
        name, limit = key(), Limit(2, MINUTE_MS)
        assert await limits.ask([(name, limit)], NOW_MS) is None
        async with Redis.from_url(redis_url) as redis:
            await redis.script_flush()
        assert await limits.ask([(name, limit)], NOW_MS) is None
        assert await limits.ask([(name, limit)], NOW_MS) == Refused(0, MINUTE_MS)
        assert limits.statistics().skipped == 0

    run(redis_url, test)


@pytest.mark.redis
def test_a_dead_redis_lets_everybody_through_and_a_new_one_counts(
    server: RedisServer,
) -> None:
    """F64: killed, then started again."""
    now_s = [0.0]

    async def go() -> None:
        async with limits_at(server.url, lambda: now_s[0]) as limits:
            asked = [(key(), Limit(1, MINUTE_MS))]
            assert await limits.ask(asked) is None
            assert await limits.ask(asked) is not None
            server.kill()
            assert await limits.ask(asked) is None
            for _ in range(1_000):
                assert await limits.ask(asked) is None
            assert limits.statistics().skipped == 1_001
            server.restart()
            await asyncio.to_thread(server.wait)
            now_s[0] += REST_S[1]
            new = [(key(), Limit(1, MINUTE_MS))]
            assert await limits.ask(new) is None
            assert await limits.ask(new) is not None
            assert limits.statistics().skipped == 1_001

    asyncio.run(go())


@pytest.mark.redis
def test_f70_a_full_redis_lets_requests_through_that_are_counted_as_skipped(
    server: RedisServer,
) -> None:
    now_s = [0.0]

    async def go() -> None:
        asked = [(key(), Limit(1, MINUTE_MS))]
        async with (
            limits_at(server.url, lambda: now_s[0]) as limits,
            Redis.from_url(server.url) as admin,
        ):
            await admin.config_set("maxmemory", "1")
            for _ in range(3):
                assert await limits.ask(asked, NOW_MS) is None
            assert limits.statistics().skipped == 3
            await admin.config_set("maxmemory", "0")
            now_s[0] += REST_S[1]
            # Nothing of them was counted by halves.
            assert await limits.ask(asked, NOW_MS) is None
            assert await limits.ask(asked, NOW_MS) == Refused(0, MINUTE_MS)
            assert limits.statistics() == LimitStatistics(allowed=1, refused=1, skipped=3)

    asyncio.run(go())


@pytest.mark.redis
def test_a_redis_that_hangs_costs_one_timeout_and_then_nothing(server: RedisServer) -> None:
    async def go() -> None:
        async with (
            limits_at(server.url, lambda: 0.0) as limits,
            Redis.from_url(server.url) as admin,
        ):

            async def connections() -> int:
                # Who came while it hung is let in before the second question.
                await admin.ping()
                return int((await admin.info("stats"))["total_connections_received"])

            asked = [(key(), Limit(1, MINUTE_MS))]
            assert await limits.ask(asked) is None
            before = await connections()
            assert server.child is not None
            server.child.signal(SIGSTOP)
            try:
                for _ in range(100):
                    assert await limits.ask(asked) is None
            finally:
                server.child.signal(SIGCONT)
            assert limits.statistics().skipped == 100
            # Nobody tried again.
            assert await connections() <= before + 1

    asyncio.run(go())


@pytest.mark.redis
def test_a_busy_script_is_a_redis_that_does_not_answer(server: RedisServer) -> None:
    """F71: BUSY is an answer, but not to our question."""

    async def go() -> None:
        async with Redis.from_url(server.url) as admin, Redis.from_url(server.url) as loop:
            await admin.config_set("busy-reply-threshold", 1)
            endless = asyncio.ensure_future(loop.eval("while true do end", 0))
            async with limits_at(server.url, lambda: 0.0) as limits:
                # The question may come before the loop has begun; then it is simply counted.
                for _ in range(50):
                    await limits.ask([(key(), Limit(1, MINUTE_MS))])
                    if limits.statistics().skipped:
                        break
                assert limits.statistics().skipped
            await admin.script_kill()
            with pytest.raises(ResponseError, match="SCRIPT KILL"):
                await endless

    asyncio.run(go())


def test_without_redis_every_request_passes_and_is_counted() -> None:
    async def test(limits: RateLimits) -> None:
        for _ in range(3):
            assert await limits.ask([("any", Limit(1, MINUTE_MS))]) is None
        assert limits.statistics().skipped == 3

    run("", test)


def test_a_breaker_lets_one_try_after_each_rest_and_rests_longer_each_time() -> None:
    now_s = [100.0]
    breaker = Breaker(lambda: now_s[0])
    assert breaker.may_try()
    low_s, high_s = REST_S
    rest_s = low_s
    for _ in range(10):
        breaker.failed()
        assert not breaker.may_try()
        now_s[0] += rest_s
        assert breaker.may_try()
        assert not breaker.may_try()
        rest_s = min(2 * rest_s, high_s)
    breaker.succeeded()
    assert breaker.may_try()
    assert breaker.may_try()
