"""How stored records are asked of the worker that owns their partition; read by both ends.

    GET /partitions/{topic}/{partition}/records/{keys}

topic, partition: of the worker's input; keys: store keys in hex, one, or up to `KEYS_MAX` of them
separated by commas.

    200  the stored payload; for several keys each payload behind its length in 4 bytes, big
         endian, and 0xFFFFFFFF alone for an absent one
    404  there is no such record (one key only)

    GET /partitions/{topic}/{partition}/keys/{prefix}/{begin}

prefix, begin: in hex; the first `LISTED_MAX` store keys from `begin` on that have the prefix.

    200  each key behind its length in 4 bytes, in ascending order

    GET /partitions/{topic}/{partition}/left-alone

    200  each destination outside that the owner calls for nobody now, as `left_alone` writes it,
         behind its length in 4 bytes; a worker from before this route knows no such path: 404
         without `OWNER_HEADER`

All carry `OWNER_HEADER`, the name under which the worker owns the partition, and
`PROGRESS_HEADER`: every input record below this offset is in the answer. The other statuses stand
beside what gives them, `streams.runtime.ownership.committed_records`.
"""

import re
from collections.abc import Sequence
from typing import Final

ROUTE: Final = "/partitions/{topic}/{partition}/records/{keys}"
OWNER_HEADER: Final = "X-Owner"
PROGRESS_HEADER: Final = "X-Progress-Offset"
KEYS_MAX: Final = 8
KEYS_ROUTE: Final = "/partitions/{topic}/{partition}/keys/{prefix}/{begin}"
LISTED_MAX: Final = 100
LEFT_ALONE_ROUTE: Final = "/partitions/{topic}/{partition}/left-alone"

# A store key is a tag and an id: 129 bytes at most.
_KEYS: Final = re.compile(rf"[0-9a-f]{{2,512}}(,[0-9a-f]{{2,512}}){{0,{KEYS_MAX - 1}}}")
_LEFT_ALONE: Final = re.compile(rb"([0-9]{1,9}) ([\x20-\x7e]{1,64})")
_SIZE_BYTES: Final = 4
_ABSENT: Final = 0xFFFFFFFF


def path_to(topic: str, partition: int, keys: Sequence[bytes]) -> str:
    """Return the path under which an owner answers with what is stored under 1 to 8 keys."""
    return ROUTE.format(topic=topic, partition=partition, keys=",".join(key.hex() for key in keys))


def path_to_keys(topic: str, partition: int, prefix: bytes, begin: bytes) -> str:
    """Return the path under which an owner lists store keys; `begin` has the prefix."""
    return KEYS_ROUTE.format(
        topic=topic, partition=partition, prefix=prefix.hex(), begin=begin.hex()
    )


def path_to_left_alone(topic: str, partition: int) -> str:
    """Return the path under which an owner names the destinations that it leaves alone."""
    return LEFT_ALONE_ROUTE.format(topic=topic, partition=partition)


def left_alone(destination: str, left_ms: int) -> bytes:
    """Return a destination that is left alone, and for how many ms from now on."""
    return b"%d %s" % (left_ms, destination.encode())


def left_alone_in(payload: bytes) -> tuple[str, int] | None:
    """Return such a destination and its ms; None where it is none."""
    found = _LEFT_ALONE.fullmatch(payload)
    return None if found is None else (found[2].decode(), int(found[1]))


def keys_in(text: str) -> list[bytes] | None:
    """Return the store keys of a path; None where it is malformed."""
    if not _KEYS.fullmatch(text):
        return None
    try:
        return [bytes.fromhex(key) for key in text.split(",")]
    except ValueError:
        # A key with half a byte.
        return None


def framed(payloads: Sequence[bytes | None]) -> bytes:
    """Return the body of an answer to several keys, in the order asked; None is an absent one."""
    return b"".join(
        _ABSENT.to_bytes(_SIZE_BYTES, "big")
        if payload is None
        else len(payload).to_bytes(_SIZE_BYTES, "big") + payload
        for payload in payloads
    )


def unframed(body: bytes) -> list[bytes | None] | None:
    """Return the payloads of such a body; None where it is no such body."""
    payloads: list[bytes | None] = []
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at : at + _SIZE_BYTES], "big")
        at += _SIZE_BYTES
        if size == _ABSENT:
            payloads.append(None)
            continue
        payloads.append(body[at : at + size])
        at += size
    # What was cut off anywhere leaves `at` behind the end.
    return payloads if at == len(body) else None
