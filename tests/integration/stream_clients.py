"""Thousands of clients of one pod's streams, on plain sockets and one selector."""

import selectors
import socket
import time
from contextlib import suppress
from typing import Any

import httpx
import orjson
from support.pods.asgi_stream import Holder, Told, events_in

CONNECTS_AT_ONCE = 200


class StreamClient:
    """One connection: what it holds, and what it has received but not understood yet."""

    def __init__(
        self, client: httpx.Client, target: str, last_id: str = "", receive_bytes: int = 0
    ) -> None:
        self.holder = Holder()
        self.status = 0
        self.is_closed = False
        self.received_bytes = 0
        self._rest = b""
        url = client.base_url
        headers = [
            f"GET {target} HTTP/1.1",
            f"Host: {url.host}:{url.port}",
            f"Authorization: {client.headers['Authorization']}",
            "Accept: text/event-stream",
        ]
        if last_id:
            headers.append(f"Last-Event-ID: {last_id}")
        self.socket = socket.socket()
        if receive_bytes:
            # Before connecting: the window is agreed upon then.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(60)
        self.socket.connect((url.host, url.port))
        self.socket.sendall("\r\n".join([*headers, "", ""]).encode())
        self.socket.setblocking(False)

    def read(self) -> list[Told]:
        """Take in what has arrived; return the whole events in it."""
        with suppress(BlockingIOError):
            while True:
                try:
                    data = self.socket.recv(1 << 16)
                except ConnectionError:
                    data = b""
                if not data:
                    self.is_closed = True
                    break
                self.received_bytes += len(data)
                self._rest += data
        if not self.status and b"\r\n\r\n" in self._rest:
            head, _, self._rest = self._rest.partition(b"\r\n\r\n")
            self.status = int(head.split()[1])
        told: list[Told] = []
        # Chunk sizes stand on lines of their own; events are what lies between empty lines.
        whole, found, rest = self._rest.rpartition(b"\n\n")
        if self.status and found:
            lines = whole.replace(b"\r\n", b"\r").split(b"\r")
            told = events_in(b"".join(line for line in lines if not _is_size(line)) + b"\n\n")
            self._rest = rest
            self.holder.follow(told)
        return told

    def close(self) -> None:
        self.socket.close()


def _is_size(line: bytes) -> bool:
    return 0 < len(line) <= 8 and all(byte in b"0123456789abcdefABCDEF" for byte in line)


class Crowd:
    """Many clients, read together."""

    def __init__(self) -> None:
        self.clients: list[StreamClient] = []
        self._selector = selectors.DefaultSelector()

    def join(self, client: StreamClient) -> None:
        self.clients.append(client)
        self._selector.register(client.socket, selectors.EVENT_READ, client)

    def read_until(self, is_done: Any, timeout_s: float) -> bool:
        """Read whatever comes until `is_done(client)` holds for all; False after the time."""
        until_s = time.monotonic() + timeout_s
        open_ones = {client for client in self.clients if not is_done(client)}
        while open_ones and (left_s := until_s - time.monotonic()) > 0:
            for key, _ in self._selector.select(min(left_s, 1.0)):
                client = key.data
                client.read()
                if client.is_closed:
                    self._selector.unregister(client.socket)
                if is_done(client):
                    open_ones.discard(client)
        return not open_ones

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self._selector.close()


def free_of(answer: httpx.Response) -> dict[str, int]:
    """Return the free seats by section of a look-up's answer."""
    return {
        section["section"]: section["free"] for section in orjson.loads(answer.content)["sections"]
    }
