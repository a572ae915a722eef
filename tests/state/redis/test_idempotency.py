"""Idempotency keys on a real Redis, and without one."""

import asyncio
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from infra.stack.redis_server import RedisServer
from state.domain.keys import stem_of
from state.redis.idempotency import LIFETIME_S, IdempotencyKeys, Use, digest_of
from state.redis.keys import idempotency
from state.redis.line import REST_S

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
BODIES = st.dictionaries(st.text(max_size=5), VALUES, max_size=5)


@given(BODIES, BODIES)
def test_digests_are_the_same_for_the_same_members_in_any_order_only(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert digest_of(one) == digest_of(dict(reversed(one.items())))
    # `1 == True` in Python, and not in JSON.
    assert (digest_of(one) == digest_of(other)) == (repr_of(one) == repr_of(other))


def repr_of(value: object) -> str:
    if isinstance(value, dict):
        return repr(sorted((key, repr_of(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return repr([repr_of(inner) for inner in value])
    return repr(value)


def test_of_many_who_come_at_once_one_is_the_first(redis_url: str) -> None:
    async def go() -> None:
        pods = [IdempotencyKeys(redis_url) for _ in range(3)]
        stem = stem_of(secrets.token_hex(4), "key")
        assert await pods[0].is_unused(stem)
        uses = await asyncio.gather(*(pod.use(stem, "same") for pod in pods for _ in range(10)))
        assert sorted(uses, key=str).count(Use.FIRST) == 1
        assert uses.count(Use.SAME) == 29
        assert await pods[0].use(stem, "other") is Use.OTHER
        assert not await pods[2].is_unused(stem)
        redis = Redis.from_url(redis_url)
        assert LIFETIME_S - 60 < await redis.ttl(idempotency(stem)) <= LIFETIME_S
        await pods[1].give_back(stem)
        assert await pods[2].use(stem, "other") is Use.FIRST
        await redis.aclose()
        for pod in pods:
            await pod.close()

    asyncio.run(go())


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:1/0"])
def test_f64_without_redis_nothing_is_known_and_nothing_is_waited_for(url: str) -> None:
    async def go() -> None:
        keys = IdempotencyKeys(url)
        async with asyncio.timeout(60):
            for _ in range(200):
                assert await keys.use("stem", "digest") is Use.UNKNOWN
        assert keys.unknown == 200
        assert not await keys.is_unused("stem")
        await keys.give_back("stem")
        await keys.close()

    asyncio.run(go())


@pytest.mark.redis
def test_f70_a_full_redis_tells_of_no_key_and_takes_none(server: RedisServer) -> None:
    now_s = [0.0]

    async def go() -> None:
        keys = IdempotencyKeys(server.url, clock_s=lambda: now_s[0])
        async with Redis.from_url(server.url) as admin:
            await admin.config_set("maxmemory", "1")
            assert await keys.use("stem", "digest") is Use.UNKNOWN
            await admin.config_set("maxmemory", "0")
        now_s[0] += REST_S[1]
        assert await keys.use("stem", "other") is Use.FIRST
        assert keys.unknown == 1
        await keys.close()

    asyncio.run(go())
