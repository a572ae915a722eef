r"""Record batches as producers of strangers write them, byte by byte.

with_name = batch([record(b"key", b"value", [(b"caf\xe9-", b"1")])])
await append(brokers, "section-commands", 0, with_name)
"""

import struct
import time
from collections.abc import Sequence
from typing import Any

import google_crc32c
from aiokafka import AIOKafkaProducer

Headers = Sequence[tuple[bytes, bytes | None]]


def varint(value: int) -> bytes:
    unsigned = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while unsigned > 0x7F:
        encoded.append(unsigned & 0x7F | 0x80)
        unsigned >>= 7
    encoded.append(unsigned)
    return bytes(encoded)


def _nullable(value: bytes | None) -> bytes:
    return varint(-1) if value is None else varint(len(value)) + value


def record(key: bytes | None, value: bytes | None, headers: Headers = (), *, at: int = 0) -> bytes:
    """Return one record of a batch; `at` is its place in it."""
    body = b"\0" + varint(0) + varint(at) + _nullable(key) + _nullable(value)
    body += varint(len(headers))
    for name, content in headers:
        body += varint(len(name)) + name + _nullable(content)
    return varint(len(body)) + body


def batch(records: Sequence[bytes], *, packed: bytes | None = None, codec: int = 0) -> bytes:
    """Return a batch of format 2.

    packed: the records' bytes as they lie in it, for a codec other than 0.
    """
    content = b"".join(records) if packed is None else packed
    # Of now: where topics keep producers' times, brokers delete what is older than they keep.
    now_ms = int(time.time() * 1000)
    checked = struct.pack(
        ">hiqqqhii", codec, len(records) - 1, now_ms, now_ms, -1, -1, -1, len(records)
    ) + content  # fmt: skip
    rest = struct.pack(">ibI", -1, 2, google_crc32c.value(checked)) + checked
    return struct.pack(">qi", 0, len(rest)) + rest


class _Ready:
    """Stands in the place of the builder of a batch."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def build(self) -> bytearray:
        return bytearray(self._content)

    def size(self) -> int:
        return len(self._content)


async def append(brokers: str, topic: str, partition: int, *batches: bytes) -> list[int]:
    """Append batches of `batch`; return the offset of each."""
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all")
    await producer.start()
    try:
        offsets = []
        for content in batches:
            count = struct.unpack_from(">i", content, 57)[0]
            whole: Any = producer.create_batch()
            for _ in range(count):
                assert whole.append(key=None, value=b"", timestamp=None) is not None
            whole._builder = _Ready(content)
            sent = await producer.send_batch(whole, topic, partition=partition)
            offsets.append((await sent).offset)
        return offsets
    finally:
        await producer.stop()
