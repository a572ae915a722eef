"""The tables in PostgreSQL: words and their marks in one transaction, or not at all.

Writers of one partition take turns by an advisory lock: what a transaction has read is still so
when it writes, whoever else believes to own the partition. A transaction of unknown fate is one
that failed here: it is made again, and finds its marks and rows where it was committed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from itertools import islice
from time import monotonic
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from state.tables.migrations import TablesTrouble, WrongSchema, all_migrations, pending
from state.tables.rows import (
    AllocationRow,
    Key,
    Mark,
    OrderRow,
    PurchaseRow,
    Row,
    SlotRow,
    TicketRow,
    Wanted,
    Word,
    key_of,
    planned,
    version_of,
)

WORDS_MAX: Final = 500
"""Words of one transaction."""

_CONNECT_S: Final = 3
_CONNECT_PATIENTLY_S: Final = 30
_ASK_AGAIN_S: Final = 2.0
"""How long a database in trouble is left alone: many partitions want it, one after the other."""

_MIGRATING: Final = 7_215_001
_WRITING: Final = 7_215_002
"""Advisory locks: of who migrates; the first half of those of partitions."""

_SETTINGS: Final = (
    "SET search_path = seatstream",
    # The offset is committed once this has answered: it may not be lost then.
    "SET synchronous_commit = on",
    "SET statement_timeout = '4s'",
    "SET lock_timeout = '3s'",
    # A worker that freezes within a transaction keeps nobody waiting for ever.
    "SET idle_in_transaction_session_timeout = '10s'",
)
_TABLES: Final = "purchases, orders, tickets, allocations, slots"


def check_address(url: str) -> None:
    """Raise ValueError where this is no address of a database; its message repeats nothing."""
    try:
        conninfo_to_dict(url)
    except psycopg.Error:
        raise ValueError("not an address that libpq reads") from None


class Tables:
    """The tables, over one connection; it is made when it is needed, and anew after any trouble.

    group: whose events `processed_events` marks.
    """

    def __init__(self, url: str, group: str) -> None:
        self._url = url
        self._group = group
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._left_alone: tuple[float, str] = (0.0, "")

    async def write(self, words: Sequence[Word]) -> list[str]:
        """Have the tables say what words of one partition say, and mark these as acted on.

        Returns for each word what is wrong with it, empty for nothing: such a word was not
        written. Raises TablesTrouble; some of the first may have been written then.
        """
        until_s, why = self._left_alone
        if monotonic() < until_s:
            raise TablesTrouble(why)
        wrong: list[str] = []
        try:
            for at in range(0, len(words), WORDS_MAX):
                wrong += await self._write_or_each(words[at : at + WORDS_MAX])
        except BaseException as error:
            # Also who is cancelled in the middle of an answer leaves no connection that is.
            await self.close()
            why = self._said(error)
            self._left_alone = monotonic() + _ASK_AGAIN_S, why
            if isinstance(error, psycopg.Error | OSError | WrongSchema):
                raise TablesTrouble(why) from None
            raise
        return wrong

    async def counts(self) -> Counter[str]:
        """Return how many rows each table has, and change nothing; raises TablesTrouble."""
        try:
            connection = await self._connected(is_patient=True, migrates=False)
            return await _counts(connection)
        except (psycopg.Error, OSError) as error:
            raise TablesTrouble(self._said(error)) from None
        finally:
            await self.close()

    async def replace(self, wanted: Callable[[Counter[str]], Wanted]) -> int:
        """Have the tables say what is wanted, and nothing else; return how many rows it brought.

        wanted: called with the number of rows in each table when nobody writes any more. Who reads
        sees the former rows until the end. No event is marked then: what comes again is compared
        with the rows. Raises TablesTrouble, and whatever `wanted` raises, with nothing changed.
        """
        try:
            connection = await self._connected(is_patient=True)
            async with connection.transaction():
                await connection.execute(f"LOCK {_TABLES} IN SHARE ROW EXCLUSIVE MODE")
                rows, kept = wanted(await _counts(connection))
                await _empty(connection, kept)
                count = 0
                for some in _chunks(rows, WORDS_MAX):
                    await _put(connection, await _unless_newer(connection, some, kept))
                    count += len(some)
        except (psycopg.Error, OSError, WrongSchema) as error:
            raise TablesTrouble(self._said(error)) from None
        finally:
            await self.close()
        return count

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                await connection.close()

    # --- inside ----------------------------------------------------------------------------

    async def _write_or_each(self, words: Sequence[Word]) -> list[str]:
        """Write words together; where a constraint forbids that, each for itself."""
        try:
            return await self._write(words)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            if len(words) == 1:
                return [_violated(error)]
        return [wrong for word in words for wrong in await self._write_or_each([word])]

    async def _write(self, words: Sequence[Word]) -> list[str]:
        connection = await self._connected()
        async with connection.transaction():
            for partition in sorted({word.partition for word in words}):
                # In an order of their own, so that no two writers wait for each other.
                await connection.execute(
                    "SELECT pg_advisory_xact_lock(%s, %s)", (_WRITING, partition)
                )
            marks = await self._marks(connection, words)
            named = {key_of(row) for word in words for row in word.rows}
            plan = planned(words, await _rows(connection, named), marks)
            await _put(connection, plan.rows.values())
            await _many(
                connection,
                "INSERT INTO processed_events VALUES (%s, %s, %s, %s, %s)",
                [
                    (self._group, *word.mark, word.event_type, word.correlation_id)
                    for word in plan.new
                ],
            )
        return plan.wrong

    async def _marks(
        self, connection: psycopg.AsyncConnection[Any], words: Sequence[Word]
    ) -> set[Mark]:
        found = await connection.execute(
            "SELECT topic, event_id FROM processed_events"
            " WHERE consumer_group = %s AND topic = ANY(%s) AND event_id = ANY(%s)",
            (
                self._group,
                sorted({word.topic for word in words}),
                sorted({word.event_id for word in words}),
            ),
        )
        return {(topic, event_id) for topic, event_id in await found.fetchall()}

    async def _connected(
        self, *, is_patient: bool = False, migrates: bool = True
    ) -> psycopg.AsyncConnection[Any]:
        """Return a connection to tables that are as this code knows them.

        is_patient: wait as long as statements and others' locks take. migrates: False for who
        takes them as they are.
        """
        connection = self._connection
        if connection is not None and not connection.closed:
            return connection
        connection = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=_CONNECT_PATIENTLY_S if is_patient else _CONNECT_S,
            application_name="seatstream",
        )
        # Before anything else may fail, so that whoever closes us closes it.
        self._connection = connection
        for one in _SETTINGS:
            await connection.execute(one)
        if is_patient:
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
            ):
                await connection.execute(f"SET {name} = 0")
        if migrates:
            await _migrate(connection)
        return connection

    def _said(self, error: BaseException) -> str:
        """Return what an error says, without the password that the address has."""
        text = " ".join(str(error).split()) or type(error).__name__
        with suppress(psycopg.Error):
            password = conninfo_to_dict(self._url).get("password")
            text = text.replace(self._url, "...")
            if password:
                text = text.replace(str(password), "...")
        return text


def _violated(error: psycopg.Error) -> str:
    """Say which rule a word violates, without what it says."""
    return error.diag.message_primary or str(error)


async def _migrate(connection: psycopg.AsyncConnection[Any]) -> None:
    """Make the tables, or what is new of them; raises WrongSchema for those of other code."""
    ours = all_migrations()
    if not pending(ours, await _applied(connection)):
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("CREATE SCHEMA IF NOT EXISTS seatstream")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (number integer PRIMARY KEY,"
            " name text NOT NULL, digest text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        # Asked again: another one may have been quicker.
        for one in pending(ours, await _applied(connection)):
            await connection.execute(one.sql.encode())
            await connection.execute(
                "INSERT INTO schema_migrations VALUES (%s, %s, %s)",
                (one.number, one.name, one.digest),
            )


async def _applied(connection: psycopg.AsyncConnection[Any]) -> dict[int, str]:
    there = await connection.execute("SELECT to_regclass('seatstream.schema_migrations')")
    if await there.fetchone() == (None,):
        return {}
    found = await connection.execute("SELECT number, digest FROM schema_migrations")
    return dict(await found.fetchall())


async def _counts(connection: psycopg.AsyncConnection[Any]) -> Counter[str]:
    """Return how many rows each table has; none of one that is not there yet."""
    counts: Counter[str] = Counter()
    for table in _TABLES.split(", "):
        there = await connection.execute("SELECT to_regclass(%s)", (f"seatstream.{table}",))
        if await there.fetchone() != (None,):
            found = await connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  (ours)
            [(counts[table],)] = await found.fetchall()
    return counts


async def _empty(connection: psycopg.AsyncConnection[Any], kept: AbstractSet[str]) -> None:
    """Delete all rows but those of some purchases, and slots that nothing else tells of."""
    for kind, table in _TABLE_OF.items():
        # Tickets go with their orders.
        delete = f"DELETE FROM {table} WHERE purchase_id <> ALL(%s)"  # noqa: S608  (ours)
        if kind is SlotRow:
            # Workers forget slots that have begun, and those that were cancelled.
            delete += " AND NOT is_cancelled AND starts_at_ms > extract(epoch FROM now()) * 1000"
        await connection.execute(delete, (sorted(kept),))
    await connection.execute("DELETE FROM processed_events")


async def _unless_newer(
    connection: psycopg.AsyncConnection[Any], rows: Sequence[Row], kept: AbstractSet[str]
) -> list[Row]:
    """Return the rows without those that the tables have as new, of purchases that were kept."""
    named = {key_of(row) for row in rows if row.purchase_id in kept}
    there = await _rows(connection, named) if named else {}
    return [
        row
        for row in rows
        if key_of(row) not in there or version_of(there[key_of(row)]) < version_of(row)
    ]


async def _rows(
    connection: psycopg.AsyncConnection[Any], named: AbstractSet[Key]
) -> dict[Key, Row]:
    """Return the rows of these keys, as far as there are any."""
    found: dict[Key, Row] = {}
    for kind, select in _SELECTS.items():
        ids = sorted(own_id for one, own_id in named if one is kind)
        if not ids:
            continue
        for fields in await (await connection.execute(select, (ids,))).fetchall():
            row = kind(*fields)
            if isinstance(row, OrderRow):
                row = row._replace(seats=tuple(tuple(one) for one in row.seats))  # type: ignore[misc]
            found[key_of(row)] = row
    return found


async def _put(connection: psycopg.AsyncConnection[Any], rows: Iterable[Row]) -> None:
    """Write rows, and the tickets of their orders, over whatever was there."""
    by_kind: dict[type[Row], list[Row]] = {kind: [] for kind in _TABLE_OF}
    for row in rows:
        by_kind[type(row)].append(row)
    for kind, some in by_kind.items():
        await _many(connection, _UPSERTS[kind], [_parameters(row) for row in some])
    orders = [row for row in by_kind[OrderRow] if isinstance(row, OrderRow)]
    await _many(connection, "DELETE FROM tickets WHERE order_id = %s", [row[:1] for row in orders])
    tickets = [ticket for row in orders for ticket in row.tickets()]
    await _many(connection, _TICKET, tickets)


async def _many(
    connection: psycopg.AsyncConnection[Any], statement: str, parameters: Sequence[Sequence[Any]]
) -> None:
    """Run a statement once for each of the parameters, without a wait in between."""
    if parameters:
        async with connection.cursor() as cursor:
            await cursor.executemany(statement, parameters)


def _parameters(row: Row) -> tuple[Any, ...]:
    return row._replace(seats=json.dumps(row.seats)) if isinstance(row, OrderRow) else row  # type: ignore[arg-type]


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    left = iter(rows)
    while some := list(islice(left, size)):
        yield some


_TABLE_OF: Final[dict[type[Row], str]] = {
    PurchaseRow: "purchases",
    OrderRow: "orders",
    AllocationRow: "allocations",
    SlotRow: "slots",
}


def _insert(table: str, columns: Sequence[str]) -> str:
    places = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608  (ours)


def _upsert(table: str, columns: Sequence[str]) -> str:
    """Return what writes a row over the one of its id, which is its first column."""
    own_id, *others = columns
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f"{_insert(table, columns)} ON CONFLICT ({own_id}) DO UPDATE SET {changes}"


_SELECTS: Final = {
    kind: f"SELECT {', '.join(kind._fields)} FROM {table} WHERE {kind._fields[0]} = ANY(%s)"  # noqa: S608  (ours)
    for kind, table in _TABLE_OF.items()
}
_UPSERTS: Final = {kind: _upsert(table, kind._fields) for kind, table in _TABLE_OF.items()}
_TICKET: Final = _insert("tickets", TicketRow._fields)
