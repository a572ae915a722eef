"""However many ask at once, Redis is asked all; what is slow, gone or wrong is told apart."""

import asyncio
import secrets
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from support.pages.certificates import Authority

from infra.stack.redis_server import RedisServer
from state.redis.idempotency import IdempotencyKeys, Use
from state.redis.line import REST_S, TICK_S, NoAnswer, RedisLine, TooManyAsk
from state.redis.rate_limit import Limit, RateLimits

MANY = Limit(1_000_000, 60_000)


def fresh() -> str:
    return f"test:{secrets.token_hex(8)}"


@asynccontextmanager
async def line_to(url: str, **options: Any) -> AsyncIterator[RedisLine]:
    line = RedisLine(url, "nothing goes on without it", **options)
    try:
        yield line
    finally:
        await line.close()


@pytest.mark.parametrize("at_once", [512, 2_560])
def test_s11_of_many_at_once_every_one_is_counted_and_every_key_used(
    redis_url: str, at_once: int
) -> None:
    async def go() -> None:
        limits, keys = RateLimits(redis_url), IdempotencyKeys(redis_url)
        both = [(fresh(), Limit(at_once - 7, 60_000)), (fresh(), MANY)]
        stem = secrets.token_hex(8)
        answers, uses = await asyncio.gather(
            asyncio.gather(*(limits.ask(both) for _ in range(at_once))),
            asyncio.gather(*(keys.use(f"{stem}{n}", "one") for n in range(at_once))),
        )
        assert sum(answer is not None for answer in answers) == 7
        assert set(uses) == {Use.FIRST}
        assert (limits.statistics().skipped, keys.unknown) == (0, 0)
        await limits.close()
        await keys.close()

    asyncio.run(go())


def test_s11_a_loop_that_is_late_is_no_redis_that_is_gone(redis_url: str) -> None:
    """The first questions too, whose connection takes several turns of the loop."""

    async def go() -> None:
        is_over = False

        async def hog() -> None:
            while not is_over:
                until_s = time.monotonic() + 0.15
                while time.monotonic() < until_s:
                    pass
                await asyncio.sleep(0)

        limits = RateLimits(redis_url)
        hogging = asyncio.create_task(hog())
        await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.gather(*(limits.ask([(fresh(), MANY)]) for _ in range(64)))
        is_over = True
        await hogging
        seen = limits.statistics()
        assert (seen.allowed, seen.skipped) == (192, 0)
        await limits.close()

    asyncio.run(go())


def test_each_gets_the_answer_to_its_own_question_also_beside_those_who_left(
    redis_url: str,
) -> None:
    async def go() -> None:
        async with line_to(redis_url) as line:
            asked = [asyncio.ensure_future(line.ask("ECHO", f"{n}")) for n in range(300)]
            await asyncio.sleep(0)
            for left in asked[::3]:
                left.cancel()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            for number, answer in enumerate(answers):
                if number % 3:
                    assert answer == str(number).encode()

    asyncio.run(go())


def test_an_error_of_one_key_is_that_questions_own(redis_url: str) -> None:
    async def go() -> None:
        name = fresh()
        async with line_to(redis_url) as line:
            await line.ask("SET", name, "no list")
            asked = [line.ask("RPUSH", name, "1"), *(line.ask("PING") for _ in range(20))]
            first, *others = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(first, ResponseError)
            assert set(others) == {b"PONG"}
        limits = RateLimits(redis_url)
        # B80: a limit counts anew where something else lies in its place.
        assert await limits.ask([(name, MANY)]) is None
        assert await limits.ask([(fresh(), MANY)]) is None
        assert (limits.statistics().allowed, limits.statistics().skipped) == (2, 0)
        await limits.close()

    asyncio.run(go())


def test_scripts_that_are_forgotten_while_many_ask_are_told_again(redis_url: str) -> None:
    """F71."""

    async def go() -> None:
        limits = RateLimits(redis_url)
        name, limit = fresh(), Limit(1_000, 60_000)

        async def ask() -> Counter[bool]:
            answers = await asyncio.gather(*(limits.ask([(name, limit)]) for _ in range(400)))
            return Counter(answer is None for answer in answers)

        seen = Counter[bool]()
        async with Redis.from_url(redis_url) as redis:
            for _ in range(3):
                flushed, some = await asyncio.gather(redis.script_flush(), ask())
                assert flushed
                seen += some
        # Each was counted once, though some were asked twice.
        assert seen == {True: 1_000, False: 200}
        assert limits.statistics().skipped == 0
        await limits.close()

    asyncio.run(go())


@pytest.mark.redis
def test_a_paused_redis_keeps_nobody_for_long_however_many_come(server: RedisServer) -> None:
    async def go() -> None:
        now_s = [0.0]
        limits = RateLimits(server.url, clock_s=lambda: now_s[0])
        assert await limits.ask([(fresh(), MANY)]) is None
        assert server.child is not None
        server.child.signal(SIGSTOP)
        try:
            async with asyncio.timeout(60):
                for _ in range(20):
                    await asyncio.gather(*(limits.ask([(fresh(), MANY)]) for _ in range(500)))
        finally:
            server.child.signal(SIGCONT)
        assert limits.statistics().skipped == 10_000
        now_s[0] += REST_S[1]
        async with asyncio.timeout(60):
            while limits.statistics().allowed < 2:
                await limits.ask([(fresh(), MANY)])
                now_s[0] += REST_S[1]
        await limits.close()

    asyncio.run(go())


@pytest.mark.redis
def test_a_redis_that_was_killed_among_many_questions_is_found_again(server: RedisServer) -> None:
    async def go() -> None:
        now_s = [0.0]
        limits = RateLimits(server.url, clock_s=lambda: now_s[0])
        for _ in range(3):
            await limits.ask([(fresh(), MANY)])
            asked = asyncio.gather(*(limits.ask([(fresh(), MANY)]) for _ in range(2_560)))
            await asyncio.sleep(0)
            server.kill()
            async with asyncio.timeout(60):
                await asked
            server.restart()
            await asyncio.to_thread(server.wait)
            now_s[0] += REST_S[1]
            before = limits.statistics()
            async with asyncio.timeout(60):
                while limits.statistics().allowed == before.allowed:
                    await limits.ask([(fresh(), MANY)])
                    now_s[0] += REST_S[1]
        await limits.close()

    asyncio.run(go())


@pytest.mark.redis
def test_a_connection_that_the_server_ends_while_nobody_asks_costs_nobody_anything(
    server: RedisServer,
) -> None:
    async def go() -> None:
        limits = RateLimits(server.url)
        async with Redis.from_url(server.url) as admin:
            for _ in range(5):
                assert await limits.ask([(fresh(), MANY)]) is None
                await admin.client_kill_filter(_type="normal", skipme=True)
                assert limits._line is not None
                life = limits._line._life
                # The end may have been seen already.
                if life is not None:
                    async with asyncio.timeout(60):
                        await asyncio.wait({life})
        assert (limits.statistics().allowed, limits.statistics().skipped) == (5, 0)
        await limits.close()

    asyncio.run(go())


Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def at_a_port(answering: Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen on a free port, in this loop; whoever is connected at the end has to leave first."""
    open_ones: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        with suppress(ConnectionError):
            await answering(reader, writer)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    async with listener:
        yield listener.sockets[0].getsockname()[1]
        async with asyncio.timeout(60):
            await asyncio.gather(*open_ones)


def passing_to(url: str) -> Answering:
    """Pass bytes on to the server, and its answers back."""
    place = urlsplit(url)

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(place.hostname, place.port)

        async def back() -> None:
            while line := await from_server.readline():
                writer.write(line)

        backwards = asyncio.create_task(back())
        while data := await reader.read(65_536):
            to_server.write(data)
        backwards.cancel()
        to_server.close()
        await to_server.wait_closed()

    return answering


async def one_answer_a_tick(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each PING a tick after the one before it, and all else at once.

    No server of its own: in the loop of who asks, it is never silent, however slow the machine.
    """
    while header := await reader.readline():
        words = [await reader.readline() for _ in range(2 * int(header[1:]))]
        is_ping = words[1] == b"PING\r\n"
        if is_ping:
            await asyncio.sleep(TICK_S)
        if writer.is_closing():
            # Who asked has gone.
            return
        writer.write(b"+PONG\r\n" if is_ping else b"+OK\r\n")


def test_a_redis_that_is_slower_than_what_is_asked_has_some_come_back_and_lets_none_through() -> (
    None
):
    async def go() -> None:
        async with (
            at_a_port(one_answer_a_tick) as port,
            line_to(f"redis://127.0.0.1:{port}/0", waiting_max=300) as line,
        ):
            asked = [line.ask("PING") for _ in range(400)]
            async with asyncio.timeout(60):
                answers = await asyncio.gather(*asked, return_exceptions=True)
            kinds = Counter(type(answer) for answer in answers)
            # Beyond the bound at once, and within it those for whom it took too long.
            assert kinds[TooManyAsk] > 100
            assert kinds[bytes] >= 1
            assert set(kinds) == {bytes, TooManyAsk}

    asyncio.run(go())


def test_a_server_that_says_nothing_to_a_new_connection_is_given_up(tmp_path: Path) -> None:
    async def go() -> None:
        async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            while await reader.read(65_536):
                pass

        async with (
            at_a_port(mute) as port,
            line_to(f"redis://127.0.0.1:{port}/0", clock_s=lambda: 0.0) as line,
            asyncio.timeout(60),
        ):
            for _ in range(3):
                with pytest.raises(NoAnswer):
                    await line.ask("PING")

    asyncio.run(go())


@pytest.mark.redis
def test_tls_and_a_user_of_the_access_list_are_as_good_as_neither(
    server: RedisServer, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("redis")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(identity.both)

    async def go() -> None:
        async with Redis.from_url(server.url) as admin:
            await admin.execute_command(  # type: ignore[no-untyped-call]
                "ACL", "SETUSER", "pods", "on", ">a b/c", "~seatstream:*", "-@all",
                "+evalsha", "+eval", "+set", "+del", "+select", "+client", "+hello", "+time",
                "+lindex", "+rpush", "+ltrim", "+pexpire",
            )  # fmt: skip
        async with at_a_port(passing_to(server.url), tls) as port:
            ca = f"?ssl_ca_certs={authority.ca}"
            url = f"rediss://pods:a%20b%2Fc@127.0.0.1:{port}/0{ca}"
            limits, keys = RateLimits(url), IdempotencyKeys(url)
            one = [("seatstream:limit:x", Limit(1, 60_000))]
            assert await limits.ask(one) is None
            assert await limits.ask(one) is not None
            assert await keys.use("stem", "one") is Use.FIRST
            assert await keys.use("stem", "other") is Use.OTHER
            assert (limits.statistics().skipped, keys.unknown) == (0, 0)
            await limits.close()
            await keys.close()
            stranger = RateLimits(f"rediss://pods:wrong@127.0.0.1:{port}/0{ca}")
            assert await stranger.ask(one) is None
            assert stranger.statistics().skipped == 1
            await stranger.close()

    asyncio.run(go())
