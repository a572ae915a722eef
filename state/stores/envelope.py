"""The form of a value in a store and in its changelog: its order, due time, payload and checksum.

1 byte   format, 2
5 bytes  order: number of the transaction that wrote the value, counted in its partition
6 bytes  due time, Unix ms; 0 when the key is not due at any time
n bytes  payload
4 bytes  CRC-32C of the place and of all bytes before

Numbers are big-endian. The place is a changelog and a partition. It is not written, but the
checksum begins with a seed made of it, so that the checksum of a value is wrong anywhere else. Two
partitions of one changelog never have the same seed, and checksums from different seeds differ,
whatever the value is.

Format 1 is read and never written: format, 8 bytes of due time, payload, CRC-32C of all bytes
before. It tells neither place nor order.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import google_crc32c

FORMAT = 2
FORMER_FORMAT = 1
NO_PLACE = 0
"""Seed of values that have no place: those of stores in memory."""

HEADER_BYTES = 12
_FORMER_HEADER_BYTES = 9
_CRC = struct.Struct(">I")
OVERHEAD_BYTES = HEADER_BYTES + _CRC.size
_ORDER_BYTES = 5
_DUE_BYTES = 6
_DUE_AT = 1 + _ORDER_BYTES
_FORMAT_BYTE = bytes([FORMAT])
DELETION_HEADER = "deletion"
"""Header of our tombstones, the key as a packed payload: without it anybody could delete keys."""

_crc32c = google_crc32c.extend
_pack_crc = _CRC.pack


class CorruptValue(Exception):
    """A stored value is cut, altered, of another format, or another place's.

    Operator action: none for a store, which is deleted and restored; for a changelog record see
    the message, which names topic, partition and offset.
    """


def seed_of(changelog: str, partition: int) -> int:
    """Return the seed with which the checksums of a changelog's partition begin."""
    # The partition comes last, in four bytes: CRCs of texts that differ only there always differ.
    return int(_crc32c(_crc32c(0, changelog.encode()), partition.to_bytes(4, "big")))


def pack(payload: bytes, due_ms: int = 0, *, seed: int = NO_PLACE, order: int = 0) -> bytes:
    """Return the stored form of a payload."""
    body = _header(order, due_ms) + payload
    return body + _pack_crc(_crc32c(seed, body))


def _header(order: int, due_ms: int) -> bytes:
    return _FORMAT_BYTE + order.to_bytes(_ORDER_BYTES, "big") + due_ms.to_bytes(_DUE_BYTES, "big")


def pack_all(
    values: Mapping[bytes, tuple[bytes | None, int]], seed: int = NO_PLACE, order: int = 0
) -> tuple[list[tuple[bytes, bytes]], list[bytes], dict[int, list[bytes]]]:
    """Return puts (key, stored form) by ascending key, deleted keys, and keys by due time.

    values: key -> (payload, due_ms); a payload of None deletes.
    """
    puts: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []
    dues: dict[int, list[bytes]] = {}
    headers = {0: _header(order, 0)}
    for key in sorted(values):
        payload, due_ms = values[key]
        if payload is None:
            deletes.append(key)
            continue
        if due_ms in headers:
            body = headers[due_ms] + payload
        else:
            # Few times in a batch: holds whose commands have the same time are due at the same.
            headers[due_ms] = _header(order, due_ms)
            dues[due_ms] = []
            body = headers[due_ms] + payload
        puts.append((key, body + _pack_crc(_crc32c(seed, body))))
        if due_ms:
            dues[due_ms].append(key)
    return puts, deletes, dues


def unpack(stored: bytes, seed: int = NO_PLACE) -> tuple[bytes, int]:
    """Return (payload, due_ms); raises CorruptValue unless it was packed so, with this seed."""
    body = stored[:-4]
    if stored[:1] == _FORMAT_BYTE and len(stored) >= OVERHEAD_BYTES:
        if _pack_crc(_crc32c(seed, body)) != stored[-4:]:
            raise CorruptValue("checksum mismatch")
        return body[HEADER_BYTES:], int.from_bytes(stored[_DUE_AT:HEADER_BYTES], "big")
    if len(stored) < _FORMER_HEADER_BYTES + _CRC.size:
        message = f"{len(stored)} bytes are too few"
        raise CorruptValue(message)
    if _pack_crc(_crc32c(NO_PLACE, body)) != stored[-4:]:
        raise CorruptValue("checksum mismatch")
    if stored[0] != FORMER_FORMAT:
        message = f"format {stored[0]} is neither {FORMAT} nor {FORMER_FORMAT}"
        raise CorruptValue(message)
    return body[_FORMER_HEADER_BYTES:], due_of(stored)


def due_of(stored: bytes) -> int:
    """Return the due time of a stored value, in Unix ms, without checking the value."""
    if stored[0] == FORMAT:
        return int.from_bytes(stored[_DUE_AT:HEADER_BYTES], "big")
    return int.from_bytes(stored[1:_FORMER_HEADER_BYTES], "big")


def order_of(stored: bytes) -> int:
    """Return the order of a stored value, without checking the value; 0 in format 1."""
    return int.from_bytes(stored[1:_DUE_AT], "big") if stored[0] == FORMAT else 0


def tombstone(key: bytes, seed: int, order: int) -> tuple[bytes, None, list[tuple[str, bytes]]]:
    """Return the record (key, value, headers) that deletes a key."""
    return key, None, [(DELETION_HEADER, pack(key, seed=seed, order=order))]
