"""A TCP proxy in front of a broker: late requests, lost and rewritten answers, a link cut one way.

`Link` is one in front of anything else.

Runs in a thread with an event loop of its own. Kafka's framing is understood as far as needed:
four bytes of length, then API key and version of a request.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Self

from infra.stack import Stack
from infra.stack.ports import free_ports
from infra.stack.running import ephemeral_directory

PRODUCE = 0
FETCH = 1
OFFSET_FETCH = 9
ADD_PARTITIONS_TO_TXN = 24
ADD_OFFSETS_TO_TXN = 25
END_TXN = 26
TXN_OFFSET_COMMIT = 28

_CHUNK_BYTES = 1 << 16

Verdict = Callable[[int, bytes], float]
"""(API key, request) -> seconds to hold the request back."""

Choice = Callable[[int, bytes], bool]
"""(API key, request) -> whether the request is chosen."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer is to. frame: the whole request, its four bytes of length included."""

    key: int
    version: int
    frame: bytes


Rewrite = Callable[[Asked, bytes], bytes]
"""(request, answer from its correlation id on) -> what the client gets in its place."""


class Way(Enum):
    """One direction of a link."""

    TO_BROKER = "to broker"
    TO_CLIENT = "to client"


class Proxy:
    """Passes connections on `port` to `target_port()`, on the loopback interface.

    host:     an address of that interface.
    delay_s:  asked for each request; the requests behind it on the same connection wait too, as
              they would on a slow link.
    silenced: API keys whose answers never arrive, though the broker acts on the requests.
    silences: the same by what is in the request.
    rewrite:  gives the answer that the client sees, for instance with another error code.
    """

    def __init__(
        self, port: int, target_port: Callable[[], int], *, host: str = "127.0.0.1"
    ) -> None:
        self.port = port
        self.host = host
        self._target_port = target_port
        self.delay_s: Verdict = lambda _key, _request: 0.0
        self.silenced: frozenset[int] = frozenset()
        self.silences: Choice = lambda _key, _request: False
        self.rewrite: Rewrite = lambda _asked, answer: answer
        self.held = 0
        self._whole = {way: asyncio.Event() for way in Way}
        for whole in self._whole.values():
            whole.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._started = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._clients: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(60)

    @contextmanager
    def cut(self, *ways: Way) -> Iterator[None]:
        """Let nothing pass in these directions while the block runs; connections stay open.

        What was sent meanwhile arrives when the link is whole again, as TCP would deliver it.
        """
        for way in ways:
            self._loop.call_soon_threadsafe(self._whole[way].clear)
        try:
            yield
        finally:
            for way in ways:
                self._loop.call_soon_threadsafe(self._whole[way].set)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        # Sockets are taken here and not by a server of asyncio's: one that is closed while it
        # takes a connection loses the socket (CPython 3.11 to 3.13), and it stays open until
        # another test's garbage is collected.
        with socket.create_server((self.host, self.port)) as listener:
            listener.setblocking(False)
            self._loop.add_reader(listener, self._accept, listener)
            self._started.set()
            await self._stopping.wait()
            self._loop.remove_reader(listener)
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        # Callbacks run in the next turn of the loop, and transports are closed in the one after.
        for _ in range(2):
            await asyncio.sleep(0)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            task = asyncio.ensure_future(self._connection(client))
            self._clients.add(task)
            task.add_done_callback(lambda task: self._end(task, client))

    def _end(self, task: asyncio.Task[None], client: socket.socket) -> None:
        self._clients.discard(task)
        # A task that was cancelled before its first step has closed nothing.
        client.close()

    async def _connection(self, client: socket.socket) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            client.setblocking(False)
            from_client, to_client = await asyncio.open_connection(sock=client)
            # The client hears at once of a broker that is gone.
            async with closing(to_client):
                from_broker, to_broker = await asyncio.open_connection(
                    "127.0.0.1", self._target_port()
                )
                async with closing(to_broker):
                    await self._pass(from_client, to_client, from_broker, to_broker)

    async def _pass(
        self,
        from_client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        from_broker: asyncio.StreamReader,
        to_broker: asyncio.StreamWriter,
    ) -> None:
        # Answers come in the order of the requests; a request without an answer (a produce
        # with acks=0) is not used by any client here.
        expected: list[tuple[Asked, bool]] = []
        requests = asyncio.ensure_future(self._requests(from_client, to_broker, expected))
        answers = asyncio.ensure_future(self._answers(from_broker, to_client, expected))
        try:
            await asyncio.wait({requests, answers}, return_when=asyncio.FIRST_COMPLETED)
            # What the client had sent before it hung up still arrives, as in a real network.
            if not answers.done():
                await asyncio.wait({requests})
        finally:
            for task in (requests, answers):
                task.cancel()
            await asyncio.gather(requests, answers, return_exceptions=True)

    async def _requests(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        expected: list[tuple[Asked, bool]],
    ) -> None:
        while True:
            frame = await _frame(source)
            key = int.from_bytes(frame[4:6], "big")
            delay_s = self.delay_s(key, frame)
            if delay_s:
                self.held += 1
                await asyncio.sleep(delay_s)
            await self._whole[Way.TO_BROKER].wait()
            asked = Asked(key, int.from_bytes(frame[6:8], "big"), frame)
            expected.append((asked, self.silences(key, frame)))
            sink.write(frame)
            await sink.drain()

    async def _answers(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        expected: list[tuple[Asked, bool]],
    ) -> None:
        while True:
            frame = await _frame(source)
            asked, is_silenced = expected.pop(0)
            if is_silenced or asked.key in self.silenced:
                self.held += 1
                continue
            await self._whole[Way.TO_CLIENT].wait()
            answer = self.rewrite(asked, frame[4:])
            sink.write(len(answer).to_bytes(4, "big") + answer)
            await sink.drain()


class Link(Proxy):
    """A proxy in front of anything else than a broker: bytes pass as they come.

    loses: told of what a client sends; where it says so, the server gets it and acts, and the
           connection ends before the answer comes back. lost: how often that was.
    """

    def __init__(self, port: int, target_port: Callable[[], int]) -> None:
        super().__init__(port, target_port)
        self.loses: Callable[[bytes], bool] = lambda _: False
        self.lost = 0

    async def _requests(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        expected: list[tuple[Asked, bool]],
    ) -> None:
        while sent := await source.read(_CHUNK_BYTES):
            await self._whole[Way.TO_BROKER].wait()
            if self.loses(sent):
                expected.append((Asked(0, 0, sent), True))
            sink.write(sent)
            await sink.drain()

    async def _answers(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        expected: list[tuple[Asked, bool]],
    ) -> None:
        while answer := await source.read(_CHUNK_BYTES):
            if expected:
                self.lost += 1
                return
            await self._whole[Way.TO_CLIENT].wait()
            sink.write(answer)
            await sink.drain()


@contextmanager
def broker_behind_proxy(
    name: str, properties: Mapping[str, str], *parts: str
) -> Iterator[tuple[Stack, Proxy]]:
    """Give a stack whose broker tells clients no other address than the proxy's, and the proxy.

    parts: what to start beside Kafka.
    """
    (port,) = free_ports(1)
    behind = {**properties, "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"}
    with ephemeral_directory(name) as directory:
        stack = Stack(directory, 1, {"kafka", *parts}, behind, fast_jit=True, throw_away=True)
        with Proxy(port, lambda: int(stack.kafka_brokers.rpartition(":")[2])) as proxy, stack:
            yield stack, proxy


@contextmanager
def brokers_behind_proxies(
    name: str, properties: Mapping[str, str]
) -> Iterator[tuple[Stack, dict[int, Proxy]]]:
    """Give a stack of three brokers and the proxy of each by node id; all say its address only.

    The brokers speak with one another through the proxies too.
    """
    (port,) = free_ports(1)
    behind = {**properties, "advertised.listeners": f"PLAINTEXT://127.0.1.{{node_id}}:{port}"}
    with ephemeral_directory(name) as directory, ExitStack() as entered:
        stack = Stack(directory, 3, {"kafka"}, behind, fast_jit=True, throw_away=True)

        def proxy_of(node_id: int) -> Proxy:
            def target_port() -> int:
                return int(stack.kafka_brokers.split(",")[node_id - 1].rpartition(":")[2])

            return Proxy(port, target_port, host=f"127.0.1.{node_id}")

        proxies = {node_id: entered.enter_context(proxy_of(node_id)) for node_id in (1, 2, 3)}
        yield entered.enter_context(stack), proxies


@asynccontextmanager
async def closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection at the end of the block; one that is left in the middle at once."""
    try:
        yield
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    finally:
        # What nobody reads any more is not waited for.
        writer.transport.abort()


async def _frame(source: asyncio.StreamReader) -> bytes:
    head = await source.readexactly(4)
    return head + await source.readexactly(int.from_bytes(head, "big"))
