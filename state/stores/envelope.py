"""How a value lies in a store and in its changelog: format, due time, payload, checksum.

1 byte   format, 1
8 bytes  due time, Unix ms, big-endian; 0 when the key is not due at any time
n bytes  payload
4 bytes  CRC-32C of all before, big-endian
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import google_crc32c

FORMAT = 1
_HEADER = struct.Struct(">BQ")
_CRC = struct.Struct(">I")
HEADER_BYTES = _HEADER.size
OVERHEAD_BYTES = HEADER_BYTES + _CRC.size

_crc32c = google_crc32c.value
_pack_header = _HEADER.pack
_pack_crc = _CRC.pack


class CorruptValue(Exception):
    """A stored value is cut, altered or of another format.

    Operator action: none for a store (it is deleted and restored at the next start); for a
    changelog record see the message, which names the topic, partition and offset.
    """


def pack(payload: bytes, due_ms: int = 0) -> bytes:
    """Return the stored form of a payload."""
    body = _pack_header(FORMAT, due_ms) + payload
    return body + _pack_crc(_crc32c(body))


def pack_all(
    values: Mapping[bytes, tuple[bytes | None, int]],
) -> tuple[list[tuple[bytes, bytes]], list[bytes], dict[int, list[bytes]]]:
    """Return puts (key, stored form) by ascending key, deleted keys, and keys by due time.

    values: key -> (payload, due_ms); a payload of None deletes.
    """
    puts: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []
    dues: dict[int, list[bytes]] = {}
    headers = {0: _pack_header(FORMAT, 0)}
    for key in sorted(values):
        payload, due_ms = values[key]
        if payload is None:
            deletes.append(key)
            continue
        if due_ms in headers:
            body = headers[due_ms] + payload
        else:
            # The holds of a batch share few due times: those whose commands share one.
            headers[due_ms] = _pack_header(FORMAT, due_ms)
            dues[due_ms] = []
            body = headers[due_ms] + payload
        puts.append((key, body + _pack_crc(_crc32c(body))))
        if due_ms:
            dues[due_ms].append(key)
    return puts, deletes, dues


def unpack(stored: bytes) -> tuple[bytes, int]:
    """Return (payload, due_ms); raise CorruptValue unless every byte is as it was written."""
    if len(stored) < OVERHEAD_BYTES:
        message = f"{len(stored)} bytes are too few"
        raise CorruptValue(message)
    body = stored[: -_CRC.size]
    if _pack_crc(_crc32c(body)) != stored[-_CRC.size :]:
        raise CorruptValue("checksum mismatch")
    if stored[0] != FORMAT:
        message = f"format {stored[0]} is not {FORMAT}"
        raise CorruptValue(message)
    return body[HEADER_BYTES:], due_of(stored)


def due_of(stored: bytes) -> int:
    """Return the due time of a stored value, Unix ms, without checking the rest."""
    return int.from_bytes(stored[1:HEADER_BYTES], "big")
