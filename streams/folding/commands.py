"""Records of a batch in; its commands out, one by one, each with what is stored of its subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from streams.batch import Record
from streams.folding.causes import each_followed
from streams.folding.fold import Fields, Fold
from streams.folding.reading import read

AnyFold = TypeVar("AnyFold", bound=Fold)
Decide = TypeVar("Decide")

Kinds = dict[str, tuple[Callable[[Fields], Any], Decide]]
"""By a record's full name: what gives its fields their names, and what decides it."""


class Turn(NamedTuple):
    """A command, at the moment when it is to be decided.

    name:   full name of its Avro record; fields: as decoded.
    stored: what the state has under the command's key. It includes what earlier records of the
            batch changed through `Fold.put` and `Fold.delete`.
    """

    record: Record
    name: str
    fields: Fields
    stored: bytes | None


def each_command(
    fold: AnyFold,
    records: Sequence[Record],
    *,
    key_of: Callable[[Fields], bytes],
    end_due: Callable[[AnyFold], None],
) -> Iterator[Turn]:
    """Give the commands of a batch, in order.

    Before each command the log time moves to its record, and `end_due` ends what is due by then.
    What the fold publishes at a command's turn gets the ids of its record.

    key_of:  returns the key in the store of what a command is about.
    end_due: ends what `fold.due` names.
    Raises UnknownSchema or NewerProducer before the first command.
    """

    def turns() -> Iterator[Turn]:
        names, decoded = read(fold, records)
        says_nothing = {"", fold.tick_name}
        # The look-up wants a key for every record. What it finds for these is never used, so any
        # key that exists will do.
        keys = [
            fold.progress_key if name in says_nothing else key_of(fields)
            for name, fields in zip(names, decoded, strict=True)
        ]
        found = fold.look_up(keys)
        for record, name, fields, key, stored in zip(
            records, names, decoded, keys, found, strict=True
        ):
            fold.follow(record, name, fields)
            end_due(fold)
            if name not in says_nothing:
                now = fold.state.get(key) if key in fold.look_again else stored
                yield Turn(record, name, fields, now)

    return each_followed(fold, turns())


def by_full_name(namespace: str, *kinds: tuple[Any, Decide]) -> Kinds[Decide]:
    """Return the kinds of commands that a handler decides.

    namespace: of their records, with a dot at its end.
    kinds:     the named tuple of each, which is called as its record is, and what decides it.
    """
    return {namespace + record.__name__: (record._make, decide) for record, decide in kinds}
