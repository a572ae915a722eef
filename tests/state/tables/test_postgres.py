"""A real PostgreSQL says what words say, whoever writes, repeats, dies or is cut off."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables.postgres_server import PASSWORD, PostgresServer
from support.tables.words import (
    ANN,
    EVENT,
    allocation_row,
    histories,
    nothing_of,
    order_of,
    rows_after,
    slot_of,
    words_of,
)

from state.domain.issued.purchase import IssuedPurchase
from state.tables.migrations import TablesTrouble
from state.tables.postgres import WORDS_MAX, Tables
from state.tables.rows import (
    AllocationRow,
    Mark,
    OrderRow,
    PurchaseRow,
    Row,
    SlotRow,
    TicketRow,
    Wanted,
    Word,
    rows_of,
)

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]

GROUP = "back-office-workers"
LOOPBACK = "127.0.0.1"
KINDS: dict[str, type[PurchaseRow | OrderRow | AllocationRow | SlotRow | TicketRow]] = {
    "purchases": PurchaseRow,
    "orders": OrderRow,
    "allocations": AllocationRow,
    "slots": SlotRow,
    "tickets": TicketRow,
}
OWN_ID = ANN.purchase_id.decode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    made = PostgresServer(tmp_path_factory.mktemp("postgres") / "server")
    made.create()
    made.start()
    yield made
    made.kill()


@pytest.fixture
def empty(server: PostgresServer) -> PostgresServer:
    server.do("DROP SCHEMA IF EXISTS seatstream CASCADE")
    return server


def with_tables(url: str, talk: Callable[[Tables], Awaitable[None]], group: str = GROUP) -> None:
    async def run() -> None:
        tables = Tables(url, group)
        try:
            async with asyncio.timeout(120):
                await talk(tables)
        finally:
            await tables.close()

    asyncio.run(run())


async def taken(tables: Tables, words: Sequence[Word]) -> list[str]:
    """Have words written, as a worker does: what was too slow is tried again."""
    while True:
        try:
            return await tables.write(words)
        except TablesTrouble:
            await asyncio.sleep(0.1)


def everything(server: PostgresServer) -> set[object]:
    """Return all rows of all tables, marks apart."""
    found: set[object] = set()
    for table, kind in KINDS.items():
        for fields in server.rows(f"SELECT {', '.join(kind._fields)} FROM {table}"):
            row = kind(*fields)  # type: ignore[arg-type]
            if isinstance(row, OrderRow):
                row = row._replace(seats=tuple(tuple(one) for one in row.seats))  # type: ignore[misc]
            found.add(row)
    return found


def with_tickets(rows: set[Row]) -> set[object]:
    orders = [row for row in rows if isinstance(row, OrderRow)]
    return {*rows, *(ticket for order in orders for ticket in order.tickets())}


def marks(server: PostgresServer) -> set[tuple[object, ...]]:
    return set(server.rows("SELECT consumer_group, topic, event_id FROM processed_events"))


@st.composite
def told_to_two(draw: st.DrawFn) -> tuple[list[IssuedPurchase], list[list[Word]]]:
    """Give what happened, and its words as two writers tell them, each in an order of its own."""
    history = draw(histories())
    words = words_of(history)
    return history, [draw(st.permutations(words)) for _ in range(2)]


def test_59_two_writers_who_tell_all_in_other_orders_leave_what_a_rebuild_makes(
    empty: PostgresServer,
) -> None:
    @settings(max_examples=8, deadline=None)
    @given(told_to_two())
    def holds(told: tuple[list[IssuedPurchase], list[list[Word]]]) -> None:
        history, (ones, others) = told

        async def talk(tables: Tables) -> None:
            await tables.replace(lambda _: Wanted([]))
            empty.do("TRUNCATE slots")
            zombie = Tables(empty.url, GROUP)
            try:
                wrong = await asyncio.gather(taken(tables, ones), taken(zombie, others))
            finally:
                await zombie.close()
            assert not any(why for some in wrong for why in some)
            live = everything(empty)
            assert live == with_tickets(rows_after(history))
            assert marks(empty) == {(GROUP, *word.mark) for word in ones}
            wanted = rows_after(history)
            assert await tables.replace(lambda _: Wanted(wanted)) == len(wanted)
            assert everything(empty) == live

        with_tables(empty.url, talk)

    holds()


def word(*rows: Row, event_id: str = "e") -> Word:
    return Word("purchase-created", 0, event_id, "PURCHASE_CREATED", "c", rows)


def test_one_word_that_breaks_a_rule_or_cannot_be_stored_costs_no_other(
    empty: PostgresServer,
) -> None:
    purchase = PurchaseRow(OWN_ID, "ann", EVENT, 1, is_active=True)
    foreign = purchase._replace(purchase_id="another")
    zero = AllocationRow("third", "x\0y", EVENT, 1, "al", "approved")
    fine = AllocationRow(OWN_ID, "ann", EVENT, 1, "al-1", "approved")
    rows: list[Row] = [purchase, foreign, zero, fine]
    told = [word(one, event_id=f"e{at}") for at, one in enumerate(rows)]

    async def talk(tables: Tables) -> None:
        wrong = await taken(tables, told)
        assert [bool(why) for why in wrong] == [False, True, True, False]
        assert "one_active_purchase" in wrong[1]
        assert "NUL" in wrong[2]

    with_tables(empty.url, talk)
    assert everything(empty) == {purchase, fine}
    assert len(marks(empty)) == 2


def test_groups_of_their_own_each_mark_what_they_have_acted_on(empty: PostgresServer) -> None:
    words = words_of([ANN])

    async def talk(tables: Tables) -> None:
        assert not any(await taken(tables, words))

    for group in ("one", "two"):
        with_tables(empty.url, talk, group)
    assert len(marks(empty)) == 2 * len(words)


class CutAtCommit:
    """Goes between; lets the COMMIT of marks through, and cuts the line before it is answered."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2].partition("/")[0])
        self._has_marks = False
        self.has_cut = False
        self.is_over = asyncio.Event()

    async def go_between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, self._port)
        answers = asyncio.create_task(self._relay(inner_reader, writer))
        while not self.has_cut and (sent := await reader.read(1 << 16)):
            self.has_cut = self._has_marks and b"COMMIT" in sent
            self._has_marks = self._has_marks or b"INSERT INTO processed_events" in sent
            if self.has_cut:
                answers.cancel()
                await asyncio.wait({answers})
            inner_writer.write(sent)
            await inner_writer.drain()
        if self.has_cut:
            # It answers once it has committed.
            await inner_reader.read(1 << 16)
        answers.cancel()
        await asyncio.wait({answers})
        for one in (inner_writer, writer):
            one.close()
            await one.wait_closed()
        self.is_over.set()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer := await reader.read(1 << 16):
            writer.write(answer)
            await writer.drain()


def test_a_line_that_is_cut_at_the_commit_is_trouble_and_the_repeat_finds_its_marks(
    empty: PostgresServer,
) -> None:
    words = words_of([ANN])

    async def talk(direct: Tables) -> None:
        await direct.replace(lambda _: Wanted([]))
        cut = CutAtCommit(empty.url)
        between = await asyncio.start_server(cut.go_between, LOOPBACK, 0)
        port = between.sockets[0].getsockname()[1]
        address = f"{empty.url.rpartition(':')[0]}:{port}/postgres"
        tables = Tables(address, GROUP)
        try:
            with pytest.raises(TablesTrouble):
                await tables.write(words)
        finally:
            await tables.close()
            between.close()
            await cut.is_over.wait()
        assert cut.has_cut
        before = everything(empty), marks(empty)
        assert len(before[1]) == len(words)
        assert not any(await taken(direct, words))
        assert (everything(empty), marks(empty)) == before

    with_tables(empty.url, talk)


class DiesWithin(Tables):
    """Tables whose server is killed within their third transaction."""

    def __init__(self, server: PostgresServer) -> None:
        super().__init__(server.url, GROUP)
        self._server = server
        self._looks = 0

    async def _marks(
        self, connection: psycopg.AsyncConnection[Any], words: Sequence[Word]
    ) -> set[Mark]:
        self._looks += 1
        if self._looks == 3:
            await asyncio.to_thread(self._server.kill)
        return await super()._marks(connection, words)


def test_a_server_that_dies_within_a_transaction_has_whole_ones_and_takes_the_rest_after(
    empty: PostgresServer,
) -> None:
    words = [
        word(PurchaseRow(f"p{at}", f"u{at}", EVENT, 1, is_active=True), event_id=f"u{at}")
        for at in range(3 * WORDS_MAX)
    ]

    async def talk(tables: Tables) -> None:
        await taken(tables, words[:1])
        dying = DiesWithin(empty)
        with pytest.raises(TablesTrouble):
            await dying.write(words)
        await asyncio.to_thread(empty.start)
        found = {row[0] for row in empty.rows("SELECT user_id FROM purchases")}
        assert found == {row[2] for row in marks(empty)}
        assert len(found) == 2 * WORDS_MAX
        assert not any(await taken(tables, words))

    with_tables(empty.url, talk)
    assert len(everything(empty)) == len(marks(empty)) == len(words)


def test_a_rebuild_that_fails_in_the_middle_changes_nothing(empty: PostgresServer) -> None:
    def rows() -> Iterator[Row]:
        yield PurchaseRow("another", "bob", EVENT, 1, is_active=True)
        raise RuntimeError("no broker answers")

    async def talk(tables: Tables) -> None:
        await taken(tables, words_of([ANN]))
        before = everything(empty), marks(empty)
        with pytest.raises(RuntimeError):
            await tables.replace(lambda _: Wanted(rows()))
        assert (everything(empty), marks(empty)) == before

    with_tables(empty.url, talk)


def test_a_rebuild_keeps_the_rows_of_purchases_that_it_could_not_read(
    empty: PostgresServer,
) -> None:
    bob = nothing_of("bob").taking(order_of("bob", 1, 1))
    newer = ANN.taking(order_of("ann", 1, 1))
    told: list[Counter[str]] = []

    def only_bob(before: Counter[str]) -> Wanted:
        told.append(before)
        # Its last value is unread, and an older one is there.
        return Wanted([*rows_of(bob), *rows_of(ANN)], frozenset({OWN_ID}))

    async def talk(tables: Tables) -> None:
        await taken(tables, words_of([ANN, newer]))
        await tables.replace(only_bob)
        assert everything(empty) == with_tickets({*rows_of(bob), *rows_after([ANN, newer])})
        assert marks(empty) == set()
        await tables.replace(lambda _: Wanted(rows_of(ANN)))
        assert everything(empty) == with_tickets(set(rows_of(ANN)))
        # What is newer than the row that was kept replaces it.
        await tables.replace(lambda _: Wanted(rows_of(newer), frozenset({OWN_ID})))
        assert everything(empty) == with_tickets(set(rows_of(newer)))

    with_tables(empty.url, talk)
    assert told == [{"purchases": 1, "orders": 2, "tickets": 5, "allocations": 1, "slots": 2}]


def test_an_allocation_has_one_slot_at_a_time_and_one_that_was_cancelled_is_none(
    empty: PostgresServer,
) -> None:
    slot = slot_of(allocation_row(ANN), 1)
    another = slot._replace(slot_id="another", purchase_id="another")
    ended = slot._replace(revision=9, is_cancelled=True)
    told = [word(one, event_id=f"e{at}") for at, one in enumerate((slot, another, ended, another))]

    async def talk(tables: Tables) -> None:
        wrong = [(await taken(tables, [one]))[0] for one in told]
        assert [bool(why) for why in wrong] == [False, True, False, False]
        assert "one_slot_at_a_time" in wrong[1]

    with_tables(empty.url, talk)
    assert everything(empty) == {ended, another}
    days = "SELECT slot_id FROM slots WHERE slot_date + slot_time > '2126-01-01 15:59'"
    assert len(empty.rows(days)) == 2


def test_a_rebuild_keeps_slots_that_no_worker_knows_any_more(empty: PostgresServer) -> None:
    begun, ended, gone, left = (slot_of(allocation_row(ANN), day) for day in (1, 2, 3, 4))
    begun, ended = begun._replace(starts_at_ms=5_000), ended._replace(is_cancelled=True)

    async def talk(tables: Tables) -> None:
        for at, one in enumerate((begun, ended, gone, left)):
            await taken(tables, [word(one, event_id=f"e{at}")])
        newer = left._replace(revision=2)
        await tables.replace(lambda _: Wanted([newer]))
        assert everything(empty) == {begun, ended, newer}

    with_tables(empty.url, talk)


def test_rows_are_counted_and_a_new_database_is_left_as_it_is(empty: PostgresServer) -> None:
    async def talk(tables: Tables) -> None:
        assert await tables.counts() == Counter()
        assert empty.rows("SELECT to_regnamespace('seatstream')") == [(None,)]
        await taken(tables, words_of([ANN]))
        assert (await tables.counts())["tickets"] == 3

    with_tables(empty.url, talk)


def test_tables_of_newer_code_are_left_alone_and_the_message_says_what_to_do(
    empty: PostgresServer,
) -> None:
    async def talk(tables: Tables) -> None:
        await taken(tables, words_of([ANN]))
        await tables.close()
        empty.do("INSERT INTO schema_migrations VALUES (999, 'later', '0')")
        with pytest.raises(TablesTrouble, match="Roll this worker out"):
            await tables.write(words_of([ANN]))

    with_tables(empty.url, talk)


@pytest.mark.parametrize("wrong", ["password", "database", "port"])
def test_no_message_has_the_password_whatever_is_wrong(wrong: str, empty: PostgresServer) -> None:
    url = {
        "password": empty.url.replace(PASSWORD, f"{PASSWORD}-of-another"),
        "database": empty.url.replace("/postgres", "/none"),
        "port": f"{empty.url.rpartition(':')[0]}:1/postgres",
    }[wrong]

    async def talk(tables: Tables) -> None:
        with pytest.raises(TablesTrouble) as first:
            await tables.write(words_of([ANN]))
        # So soon nobody is asked again.
        with pytest.raises(TablesTrouble) as second:
            await tables.write(words_of([ANN]))
        assert str(first.value) == str(second.value)
        assert PASSWORD not in str(first.value)

    with_tables(url, talk)


def test_words_are_written_in_transactions_of_a_bounded_size(empty: PostgresServer) -> None:
    words: Sequence[Word] = [
        word(PurchaseRow(f"p{at}", f"u{at}", EVENT, 1, is_active=True), event_id=f"{at}")
        for at in range(WORDS_MAX + 1)
    ]

    async def talk(tables: Tables) -> None:
        assert len(await taken(tables, words)) == len(words)

    with_tables(empty.url, talk)
    assert len(set(empty.rows("SELECT DISTINCT processed_at FROM processed_events"))) == 2
