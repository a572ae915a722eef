"""Of two who make the same anew the second is told at once; Redis decides nothing by that."""

import asyncio
import socket
from contextlib import suppress

import pytest
from redis import Redis
from support.pods.conditions import until

from scripts.program.options import somebody
from scripts.rebuilding import one_at_a_time
from scripts.rebuilding.one_at_a_time import SomebodyIsAtIt, alone, redis_configured
from state.redis.keys import lease, lease_of_rebuild

WHAT = "section-status-one"


@pytest.mark.parametrize("ends_by", [None, KeyboardInterrupt, ValueError])
def test_the_second_is_told_who_and_since_when_until_the_first_ends(
    ends_by: type[BaseException] | None, redis_url: str
) -> None:
    with suppress(KeyboardInterrupt, ValueError), alone(WHAT, redis_url):
        with pytest.raises(SomebodyIsAtIt) as told, alone(WHAT, redis_url):
            pytest.fail("two are at it")
        said = f"making {WHAT} anew: {somebody()} at {socket.gethostname()} since 20"
        assert said in str(told.value)
        # Another topic is another matter; and who was refused took nothing.
        with alone(f"{WHAT}-else", redis_url), Redis.from_url(redis_url) as client:
            assert client.exists(*_locks()) == 1
        if ends_by is not None:
            raise ends_by
    with Redis.from_url(redis_url) as client:
        assert not client.exists(*_locks())
    with alone(WHAT, redis_url):
        pass


def test_it_lasts_as_long_as_the_work(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_at_a_time, "_EVERY_S", 0.01)
    with alone(WHAT, redis_url), Redis.from_url(redis_url) as client:
        client.pexpire(*_locks(), 20_000)
        asyncio.run(until(lambda: client.pttl(*_locks()) > 20_000))
        # F66: one that a restart of Redis lost is taken again.
        client.delete(*_locks())
        asyncio.run(until(lambda: client.exists(*_locks()) == 1))


def test_f64_a_redis_that_does_not_answer_hinders_nobody_and_is_told_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    is_done = False
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with alone(WHAT, f"redis://127.0.0.1:{port}/0"):
        is_done = True
    assert is_done
    assert "Redis does not answer" in capsys.readouterr().err


def test_b80_words_of_a_stranger_are_told_without_what_a_terminal_obeys(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        owner = "x:1:\x1b[2Jann\r\n" + "b" * 5_000
        client.hset(*_locks(), mapping={"o": owner, "t": "x", "f": "1"})
        client.pexpire(*_locks(), 20_000)
        with pytest.raises(SomebodyIsAtIt) as told, alone(WHAT, redis_url):
            pytest.fail("two are at it")
        client.delete(*_locks())
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 600


def test_without_a_redis_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    with alone(WHAT, redis_configured()), alone(WHAT, redis_configured()):
        pass


def _locks() -> tuple[str, ...]:
    return lease(lease_of_rebuild(WHAT)).locks
