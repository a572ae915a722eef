"""A file with the state of all partitions behind a command each, to go on from there later.

A line of JSON says whose it is, one for each partition how far that is, and one for each key what
it has; the last line has the digest of all before it. The file is compressed.
"""

import base64
import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

FORMAT = 1
KIND = "seatstream-snapshot"

Items = Mapping[bytes, tuple[bytes, int]]
"""Payload and due time (Unix ms; 0 for never) by key."""


class NoSnapshot(Exception):
    """The file is none, is cut or altered, or is of another cluster.

    Operator action: take another one; where there is none, `seatstream replay --begin-here`.
    """


class Head(NamedTuple):
    """Whose state it is.

    cluster:  id of the Kafka cluster.
    verified: whether every command since the beginning of the log was folded again on the way
              here; False where somebody took a state as it was.
    """

    cluster: str
    partitions: int
    verified: bool


class Part(NamedTuple):
    """The state of one partition.

    next_offset: of the first command that it does not have.
    outcomes_at: offset of the first outcome that was not compared.
    """

    partition: int
    next_offset: int
    outcomes_at: int
    items: Items


def write(path: Path, head: Head, parts: Iterable[Part]) -> None:
    """Write a snapshot in place of any that is there, at once or not at all."""
    # Beside it: a rename goes to no other disk.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    digest = hashlib.sha256()
    try:
        with gzip.open(beside, "wb", compresslevel=3) as file:

            def put(line: Any) -> None:
                written = json.dumps(line, separators=(",", ":")).encode() + b"\n"
                digest.update(written)
                file.write(written)

            put({"kind": KIND, "format": FORMAT, **head._asdict()})
            for part in parts:
                count = len(part.items)
                put([part.partition, part.next_offset, part.outcomes_at, count])
                for key, (payload, due_ms) in sorted(part.items.items()):
                    put([_text(key), _text(payload), due_ms])
            file.write(json.dumps({"sha256": digest.hexdigest()}).encode() + b"\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


@contextmanager
def opened(path: Path) -> Iterator[tuple[Head, Iterator[Part]]]:
    """Give head and parts of a snapshot whose digest is right, one part in memory at a time.

    Raises NoSnapshot, also while parts are read.
    """
    try:
        _check(path)
        with gzip.open(path, "rb") as file:
            said = json.loads(file.readline())
            head = Head(str(said["cluster"]), int(said["partitions"]), bool(said["verified"]))
            yield head, _parts(file, head.partitions)
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise NoSnapshot(f"{path}: {error}") from error


def _check(path: Path) -> None:
    digest = hashlib.sha256()
    with gzip.open(path, "rb") as file:
        last = file.readline()
        said = json.loads(last)
        if not isinstance(said, dict) or said.get("kind") != KIND:
            raise ValueError("this is no snapshot")
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']}, this program reads {FORMAT}")
        for line in file:
            digest.update(last)
            last = line
    if not last.endswith(b"\n") or json.loads(last) != {"sha256": digest.hexdigest()}:
        raise ValueError("its digest is wrong: it is cut or altered")


def _parts(file: BinaryIO | gzip.GzipFile, partitions: int) -> Iterator[Part]:
    for _ in range(partitions):
        partition, next_offset, outcomes_at, count = json.loads(file.readline())
        items = {}
        for _ in range(count):
            key, payload, due_ms = json.loads(file.readline())
            items[base64.b64decode(key)] = base64.b64decode(payload), int(due_ms)
        yield Part(partition, next_offset, outcomes_at, items)
