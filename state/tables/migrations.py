"""Migrations of the tables: plain SQL files, applied once each, in the order of their numbers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

FOLDER: Final = Path(__file__).parent / "sql"
_NAME: Final = re.compile(r"([0-9]{4})_[a-z0-9_]+\.sql")


class TablesTrouble(Exception):
    """The database did not take what it was given, for a reason that is not in what it was given.

    Operator action: as the message says, else look at the database. Nothing is lost meanwhile: it
    is tried again.
    """


class WrongSchema(Exception):
    """The tables are not those that this code knows.

    Operator action: as the message says.
    """


class Migration(NamedTuple):
    """One file; digest: of its text, as hex."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def all_migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Return the migrations of a folder in their order; their numbers are 1, 2, 3 and so on."""
    found: list[Migration] = []
    for file in sorted(folder.iterdir()):
        name = _NAME.fullmatch(file.name)
        if name is None or int(name[1]) != len(found) + 1:
            raise ValueError(f"{file.name} is not the migration {len(found) + 1:04}_*.sql")
        found.append(Migration(int(name[1]), file.name, file.read_text(encoding="utf-8")))
    return tuple(found)


def pending(ours: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """Return what is to be applied; applied: digest by number. Raises WrongSchema."""
    if applied and max(applied) > len(ours):
        raise WrongSchema(
            f"the tables are at migration {max(applied)}, and this code knows {len(ours)}: they "
            "were changed by newer code. Roll this worker out as well"
        )
    changed = [one.name for one in ours if applied.get(one.number, one.digest) != one.digest]
    if changed:
        raise WrongSchema(
            f"the tables were made by another text of {', '.join(changed)}: drop the schema "
            "seatstream, and run `seatstream tables rebuild`"
        )
    return [one for one in ours if one.number not in applied]
