"""Of two who make the same anew the second is told at once; Redis decides nothing by that."""

import asyncio
import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest
from redis import Redis
from support.pods.conditions import until

from scripts.program.options import somebody
from scripts.rebuilding import one_at_a_time
from scripts.rebuilding.one_at_a_time import SomebodyIsAtIt, alone, lease_servers
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


@pytest.mark.parametrize(
    ("extended", "then", "told"),
    [
        (b"-ERR out of order\r\n", b"-ERR out of order\r\n", "Redis does not answer"),
        (b"$1\r\nx\r\n", b":1\r\n", "the lease could not be kept (TypeError"),
        (b":0\r\n", b"*3\r\n:0\r\n:9000\r\n:1\r\n", "somebody else has the lease now"),
    ],
)
def test_whatever_keeps_the_lease_from_lasting_is_told_once_and_hinders_nobody(
    extended: bytes,
    then: bytes,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(one_at_a_time, "_EVERY_S", 0.01)
    granted = b"*2\r\n:1\r\n:1\r\n"
    with _answering([granted, extended], then) as asked, alone(WHAT, asked.url):
        asyncio.run(until(lambda: len(asked.scripts) > 3))
    said = capsys.readouterr().err
    assert said.count("nobody else is told that you are at it; going on") == 1
    assert told in said


def test_whatever_redis_answers_at_first_hinders_nobody_and_is_told_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    is_done = False
    with _answering([], b":1\r\n") as asked, alone(WHAT, asked.url):
        is_done = True
    assert is_done
    assert "nobody else is told that you are at it; going on" in capsys.readouterr().err


def test_who_is_second_is_told_so_also_where_nobody_tells_who_is_first() -> None:
    busy = b"*3\r\n:0\r\n:9000\r\n:1\r\n"
    with (
        _answering([busy], busy, owner=b"-ERR out of order\r\n") as asked,
        pytest.raises(SomebodyIsAtIt, match="anew: unknown"),
        alone(WHAT, asked.url),
    ):
        pytest.fail("two are at it")


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
    with alone(WHAT, *lease_servers()), alone(WHAT, *lease_servers()):
        pass


@dataclass
class _Asked:
    """A server of Redis' protocol that says what it was told to; scripts: that it was asked."""

    url: str
    scripts: list[bytes]


@contextmanager
def _answering(
    first: Sequence[bytes], then: bytes, *, owner: bytes = b"$-1\r\n"
) -> Iterator[_Asked]:
    asked = _Asked("", [])
    left = list(first)

    class Answers(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                words = [self._word() for _ in range(int(line[1:]))]
                if words[0].startswith(b"EVAL"):
                    asked.scripts.append(words[1])
                    self.wfile.write(left.pop(0) if left else then)
                else:
                    self.wfile.write(owner if words[0] == b"HGET" else b"+OK\r\n")

        def _word(self) -> bytes:
            size = int(self.rfile.readline()[1:])
            return self.rfile.read(size + 2)[:-2]

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked.url = f"redis://127.0.0.1:{server.server_address[1]}/0"
        try:
            yield asked
        finally:
            server.shutdown()


def _locks() -> tuple[str, ...]:
    return lease(lease_of_rebuild(WHAT)).locks
