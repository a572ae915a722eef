"""Connections over TLS to a broker that never says goodbye."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from support.pages.certificates import Authority

from infra.process import hanging_up
from infra.process.hanging_up import hang_up_soon
from infra.process.kafka_security import CA, PROTOCOL, KafkaSecurity

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with the library as it is, and leave it so."""
    monkeypatch.setattr(AIOKafkaConnection, "close", hanging_up._close)


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """Give a server that tells its versions and reads nothing more, and what its clients trust."""
    authority = Authority(tmp_path)
    identity = authority.issue("mute")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.cert, identity.key)
    has_ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            raw, _ = server.accept()
            with context.wrap_socket(raw, server_side=True) as client:
                request = client.recv(4_096)
                # No error, and a version of nothing.
                answer = request[8:12] + bytes(2 + 4)
                client.sendall(len(answer).to_bytes(4, "big") + answer)
                has_ended.wait()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], ssl.create_default_context(cafile=authority.ca)
        has_ended.set()
        thread.join()


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_broker_that_does_not_say_goodbye_is_not_waited_for(
    mute: tuple[int, ssl.SSLContext], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    port, context = mute
    hang_up_soon()

    async def close() -> None:
        connection = AIOKafkaConnection(
            "127.0.0.1", port, security_protocol="SSL", ssl_context=context
        )
        await connection.connect()
        # Left alone, it waits for 30 s.
        async with asyncio.timeout(20):
            await connection.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(close())


def test_closing_twice_or_what_was_never_open_is_nothing() -> None:
    hang_up_soon()
    hang_up_soon()

    async def close() -> None:
        connection = AIOKafkaConnection("127.0.0.1", 1)
        assert connection.close() is None
        assert connection.close() is None

    asyncio.run(close())


def test_every_client_over_tls_hangs_up_soon(tmp_path: Path) -> None:
    ca = str(Authority(tmp_path).ca)
    KafkaSecurity.from_env({PROTOCOL: "PLAINTEXT"}).aiokafka()
    assert AIOKafkaConnection.close is hanging_up._close
    KafkaSecurity.from_env({PROTOCOL: "SSL", CA: ca}).aiokafka()
    assert AIOKafkaConnection.close is not hanging_up._close
