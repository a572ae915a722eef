"""Record batches of a fetch in, records out; batches of any producer are read without harm.

The client library reads nearly all batches, and fast. Read here are the batches that it does not
read, or not safely: those with header names that are not UTF-8, and compressed ones, which are
unpacked with a limit. A batch that neither reads is `Unreadable`, which is the trouble of its
partition and not of the worker.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import aiokafka.codec as codecs
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords

from streams.batch import Record
from streams.runtime.process.fatal import PartitionTrouble, Reason

UNPACKED_BYTES_MAX: Final = 64 << 20
"""Far above the batches of honest producers; one packed megabyte may unpack to a thousand."""

_LENGTH_AT, _LENGTH_END = 8, 12
_MAGIC_AT, _ATTRIBUTES_AT, _RECORDS_AT = 16, 21, 61
_TIMESTAMPS = struct.Struct(">hiqq")
_COUNT_AT = 57
_CODEC, _LOG_APPEND_TIME = 0x07, 0x08
_NAMES: Final = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_VARINT_BYTES_MAX = 10


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One record; in the names of its headers, surrogates stand for bytes that are not UTF-8."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in place of the records of a batch, at this offset, that cannot be read.

    why: what is wrong with the batch and what to do, for people.
    """

    offset: int
    why: str
    timestamp: int = 0
    key: None = None
    value: None = None
    headers: tuple[()] = ()


def trouble_with(unreadable: Unreadable, place: str, reason: Reason) -> PartitionTrouble:
    """Return the trouble that a batch that cannot be read is to its partition."""
    message = f"{place}: the record batch at {unreadable.offset} cannot be read: {unreadable.why}"
    return PartitionTrouble(message, reason)


class RawRecords:
    """The batches of a fetch, in the place of the library's `MemoryRecords`.

    raw: the bytes of the batch that `next_batch` returned last.
    """

    def __init__(self, data: bytes) -> None:
        self.raw = memoryview(b"")
        self._data = memoryview(data)
        self._at = 0
        self._stock = MemoryRecords(data)
        self.has_next = self._stock.has_next
        self.size_in_bytes = self._stock.size_in_bytes

    def next_batch(self) -> Any:
        length = int.from_bytes(self._data[self._at + _LENGTH_AT : self._at + _LENGTH_END], "big")
        end = self._at + _LENGTH_END + length
        self.raw = self._data[self._at : end]
        self._at = end
        return self._stock.next_batch()


def records_of(batch: Any, raw: memoryview) -> list[Record]:
    """Return the records of a batch whose checksum is right.

    Raises CorruptRecordException or UnsupportedCodecError for a batch that cannot be read.
    """
    if raw[_MAGIC_AT] >= 2 and batch.compression_type:
        raw = memoryview(_unpacked(bytes(raw)))
        batch = DefaultRecordBatch(bytes(raw))
    try:
        return list(batch)
    except (UnicodeDecodeError, CorruptRecordException):
        if raw[_MAGIC_AT] < 2:
            raise
        return _read(bytes(raw))


def _unpacked(raw: bytes) -> bytes:
    """Return the bytes of a batch without its compression, but with its former checksum."""
    attributes = int.from_bytes(raw[_ATTRIBUTES_AT : _ATTRIBUTES_AT + 2], "big")
    packed = raw[_RECORDS_AT:]
    name = _NAMES.get(attributes & _CODEC, str(attributes & _CODEC))
    try:
        match name:
            case "gzip":
                unpacker = zlib.decompressobj(wbits=31)
                body = unpacker.decompress(packed, UNPACKED_BYTES_MAX)
                if not unpacker.eof:
                    raise CorruptRecordException(
                        f"it unpacks to more than {UNPACKED_BYTES_MAX} bytes, or is cut short"
                    )
            case "snappy" | "lz4" | "zstd" if getattr(codecs, f"has_{name}")():
                body = getattr(codecs, f"{name}_decode")(packed)
            case _:
                raise UnsupportedCodecError(
                    f"it is packed with {name}, for which this worker lacks the library: install "
                    "cramjam beside it. With compression.type=uncompressed on the topic "
                    "(create_topics --apply-configs) brokers unpack what producers send"
                )
    except zlib.error as error:
        raise CorruptRecordException(f"it is no {name}: {error}") from error
    plain = (attributes & ~_CODEC).to_bytes(2, "big")
    return raw[:_ATTRIBUTES_AT] + plain + raw[_ATTRIBUTES_AT + 2 : _RECORDS_AT] + bytes(body)


def _read(raw: bytes) -> list[Record]:
    """Read an uncompressed batch of format 2; names of headers may be any bytes."""
    base_offset = int.from_bytes(raw[:8], "big")
    attributes, _, first_ms, max_ms = _TIMESTAMPS.unpack_from(raw, _ATTRIBUTES_AT)
    count = int.from_bytes(raw[_COUNT_AT:_RECORDS_AT], "big")
    at = _RECORDS_AT
    records: list[Record] = []
    try:
        for _ in range(count):
            size, at = _varint(raw, at)
            end = at + size
            # One byte of attributes, which nobody uses.
            later_ms, at = _varint(raw, at + 1)
            later, at = _varint(raw, at)
            key, at = _bytes(raw, at)
            value, at = _bytes(raw, at)
            headers, at = _headers(raw, at)
            if at != end:
                raise CorruptRecordException(f"a record of {size} bytes has another length")
            at_ms = max_ms if attributes & _LOG_APPEND_TIME else first_ms + later_ms
            records.append(BatchRecord(base_offset + later, at_ms, key, value, headers))
    except IndexError as error:
        raise CorruptRecordException("a record is cut short") from error
    if at != len(raw):
        raise CorruptRecordException("there are bytes behind its records")
    return records


def _headers(raw: bytes, at: int) -> tuple[list[tuple[str, bytes]], int]:
    count, at = _varint(raw, at)
    headers: list[tuple[str, bytes]] = []
    for _ in range(count):
        name, at = _bytes(raw, at)
        value, at = _bytes(raw, at)
        if name is None:
            raise CorruptRecordException("a header has no name")
        # A header may have no value; the library's own records say so in spite of their type.
        headers.append((name.decode("utf-8", "surrogateescape"), value))  # type: ignore[arg-type]
    return headers, at


def _bytes(raw: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(raw, at)
    if size < 0:
        return None, at
    end = at + size
    if end > len(raw):
        raise CorruptRecordException("a record is cut short")
    return raw[at:end], end


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    unsigned = 0
    for position in range(_VARINT_BYTES_MAX):
        byte = raw[at + position]
        unsigned |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return (unsigned >> 1) ^ -(unsigned & 1), at + position + 1
    raise CorruptRecordException("a number has no end")
