"""A Redis is ready when our own process answers, and what was written outlives it."""

import shutil
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import redis

from infra.stack.processes import PortTakenError, StackError
from infra.stack.redis_server import RedisServer, server_program


class Pong(socketserver.BaseRequestHandler):
    """Answers whatever is asked as a Redis answers PING."""

    def handle(self) -> None:
        while self.request.recv(4096):
            self.request.sendall(b"+PONG\r\n")


@contextmanager
def somebody_else_on(port: int) -> Iterator[None]:
    """Let another program listen there, which answers as Redis does, until the block ends."""

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        block_on_close = True

    with Server(("127.0.0.1", port), Pong) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(timeout=60)


def test_a_program_is_found_on_every_machine() -> None:
    found = shutil.which(server_program())
    assert found is not None
    assert Path(found).is_file()


def test_a_server_that_was_never_started_is_killed_without_harm(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    server.kill()
    assert server.child is None
    assert not (tmp_path / "redis").exists()


@pytest.mark.redis
def test_a_port_that_another_server_answers_on_is_not_taken_for_ours(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.begin()
    server.kill()
    with somebody_else_on(int(server.url.split(":")[2].split("/")[0])):
        server.restart()
        try:
            with pytest.raises(PortTakenError, match="was taken meanwhile"):
                server.wait()
        finally:
            server.kill()


@pytest.mark.redis
def test_data_that_cannot_be_read_end_the_start_with_the_log(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("damaged")
    server.begin()
    assert server.child is not None
    try:
        with pytest.raises(StackError, match=r"Redis did not start\. Last lines of "):
            server.wait()
        assert not server.child.is_alive()
    finally:
        server.kill()


@pytest.mark.redis
def test_what_was_written_outlives_a_crash_at_the_same_address(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.begin()
    try:
        server.wait()
        address = server.url
        with redis.Redis.from_url(address) as client:
            client.set("seat", "7")
            # Everything up to here is on the disk, and not only what is older than a second.
            client.execute_command("CONFIG", "SET", "appendfsync", "always")
            client.set("other", "8")
        server.kill()
        server.restart()
        server.wait()
        assert server.url == address
        with redis.Redis.from_url(address) as client:
            assert (client.get("seat"), client.get("other")) == (b"7", b"8")
    finally:
        server.kill()
