"""What a batch says to a database, written there before the batch is committed.

    decided -> written there, with marks -> committed here

A worker that dies in between decides the same records again; the database finds what it has. A
database that does not take them sets the partition aside: nothing of the batch is committed, and
no record is passed over, however long it takes.
"""

from __future__ import annotations

import asyncio
from typing import Final

from streams.batch import DeadLetter
from streams.runtime.process.fatal import PartitionTrouble
from streams.runtime.transactions.input_partition import Decided

CONTRADICTS: Final = "CONTRADICTS"
"""Reason of a record that a rule of the database forbids."""

LONGEST_S: Final = 10.0


async def project(one: Decided, transaction_s: float) -> None:
    """Write what a batch projects; what is wrong with it becomes its dead letters.

    transaction_s: how long whoever waits for a batch waits at most. Raises PartitionTrouble.
    """
    write, projected = one.partition.route.project, one.effects.projected
    place = one.partition.place
    assert write is not None, f"{place} projects, and its route does not"
    # Others have their turn in the same wait.
    limit_s = min(LONGEST_S, transaction_s / 3)
    try:
        async with asyncio.timeout(limit_s):
            wrong = await write([said for _, said in projected])
    except MemoryError:
        raise
    except Exception as error:
        why = (
            f"no answer within {limit_s:.0f} s" if isinstance(error, TimeoutError) else f"{error}"
        )
        message = f"what {place} says could not be written: {why or repr(error)}"
        raise PartitionTrouble(message, "database") from error
    for (record, _), why in zip(projected, wrong, strict=True):
        if why:
            one.effects.dead_letters.append(DeadLetter(record, CONTRADICTS, why))
