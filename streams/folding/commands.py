"""Records of a batch in; one command after another out, with what is stored at its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from streams.batch import Record
from streams.folding.fold import Fields, Fold
from streams.folding.reading import read

AnyFold = TypeVar("AnyFold", bound=Fold)


class Turn(NamedTuple):
    """A command whose turn it is.

    name:   full name of its record; fields: as decoded.
    stored: what the state has under its key, with all that records before it have changed through
            `Fold.put` and `Fold.delete`.
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
    """Give the commands of a batch; time has come to each, and what is due has ended before it.

    key_of:  the key of the store that a command is about.
    end_due: ends what `fold.due` names.
    Raises UnknownSchema or NewerProducer before the first one.
    """
    names, decoded = read(fold, records)
    says_nothing = {"", fold.tick_name}
    # Whatever is looked up for those is not looked at; the progress is there.
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
