"""Look-ups of committed records, asked over HTTP of a real health server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.conditions import until
from support.pods.owners import Owner, filled, partition_over, serving

from state.stores.memory import MemoryStore
from state.stores.rocksdb import CorruptStore, StoreFull
from streams.runtime.health import HealthServer
from streams.runtime.ownership.committed_records import (
    UNDER_WAY_MAX,
    CommittedRecords,
    Lookups,
    is_loopback,
)

pytestmark = pytest.mark.timeout(60)

OWNER = "seats-one@127.0.0.1:1;-4"
MINE = ("in", 3)


class SlowStore(MemoryStore):
    """Keeps readers waiting until it is told to let them go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.readers = 0
        self.is_closed = False

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        self.readers += 1
        assert self.go.wait(60)
        assert not self.is_closed, "read after it was closed"
        return super().get_many(keys)

    def close(self) -> None:
        self.is_closed = True


class Client:
    """Asks one worker, which owns MINE and ("in", 1)."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    @property
    def records(self) -> CommittedRecords:
        assert self.owner.records is not None
        return self.owner.records

    async def ask(
        self, path: str, authorization: str | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        headers = {} if authorization is None else {"Authorization": authorization}
        url = f"http://127.0.0.1:{self.owner.server.port}{path}"
        async with self.session.get(url, headers=headers) as answer:
            return answer.status, await answer.read(), answer.headers

    async def look_up(self, *keys: bytes, place: tuple[str, int] = MINE) -> tuple[int, bytes]:
        topic, partition = place
        path = f"/partitions/{topic}/{partition}/records/{','.join(k.hex() for k in keys)}"
        status, body, _ = await self.ask(path)
        return status, body


def run(
    directory: Path,
    talk: Callable[[Client], Awaitable[None]],
    store: MemoryStore,
    *,
    token: str = "",
    next_offset: int = 0,
) -> None:
    """Let a worker that owns MINE over a store answer a conversation."""

    async def conversation() -> None:
        async with serving(directory, token) as owner:
            owner.assigned([MINE, ("in", 1)], name=OWNER)
            owner.restored({MINE: store}, next_offset)
            client = Client(owner)
            try:
                await talk(client)
            finally:
                await client.session.close()

    asyncio.run(conversation())


keys = st.binary(min_size=1, max_size=20).filter(lambda key: key[0] != 0xFF)


@given(st.dictionaries(keys, st.binary(max_size=40), max_size=6), st.lists(keys, max_size=3))
def test_answers_are_what_the_store_has(
    tmp_path_factory: pytest.TempPathFactory,
    values: dict[bytes, bytes],
    others: list[bytes],
) -> None:
    async def talk(worker: Client) -> None:
        asked = [*values, *others][:8]
        for key in asked:
            want = (200, values[key]) if key in values else (404, b"absent")
            assert await worker.look_up(key) == want
        if len(asked) > 1:
            framed = b"".join(
                b"\xff\xff\xff\xff"
                if key not in values
                else len(values[key]).to_bytes(4, "big") + values[key]
                for key in asked
            )
            assert await worker.look_up(*asked) == (200, framed)

    run(tmp_path_factory.mktemp("lookups"), talk, filled(MemoryStore(), values))


@pytest.mark.parametrize(
    "path",
    [
        "/partitions/in/3/keys/63/64",
        "/partitions/in/3/keys/63/zz",
        "/partitions/in/3/keys/63,64/63",
        "/partitions/in/3/keys/6/6",
        "/partitions/in/3/keys/ff/ff",
        "/partitions/in/-3/keys/63/63",
    ],
)
def test_a_listing_that_no_pod_asks_for_is_malformed(tmp_path: Path, path: str) -> None:
    async def talk(worker: Client) -> None:
        assert (await worker.ask(path))[:2] == (400, b"malformed")
        status, body, headers = await worker.ask("/partitions/in/3/keys/63/63")
        assert (status, body) == (200, b"\0\0\0\2c1")
        assert headers["X-Owner"] == OWNER
        assert (await worker.ask("/partitions/in/4/keys/63/63"))[0] == 421
        assert (await worker.ask("/partitions/in/1/keys/63/63"))[0] == 503

    run(tmp_path, talk, filled(MemoryStore(), {b"c1": b"x", b"d": b"y"}))


def test_an_owner_says_what_it_leaves_alone_and_no_other_worker_does(tmp_path: Path) -> None:
    async def talk(worker: Client) -> None:
        worker.owner.left_alone = {"mock": 59_000, "toss": 1}
        path = "/partitions/in/3/left-alone"
        status, body, headers = await worker.ask(path)
        assert (status, body) == (200, b"\0\0\0\n59000 mock\0\0\0\x061 toss")
        assert (headers["X-Owner"], headers["X-Progress-Offset"]) == (OWNER, "117")
        worker.owner.left_alone = {}
        assert (await worker.ask(path))[:2] == (200, b"")
        assert (await worker.ask("/partitions/in/-3/left-alone"))[:2] == (400, b"malformed")
        assert (await worker.ask("/partitions/in/1/left-alone"))[:2] == (503, b"not ready")
        assert (await worker.ask("/partitions/in/4/left-alone"))[:2] == (421, b"not mine")
        worker.owner.records = None
        assert (await worker.ask(path))[:2] == (421, b"not mine")

    run(tmp_path, talk, MemoryStore(), next_offset=117)


def test_an_answer_names_the_owner_and_how_far_it_has_come(tmp_path: Path) -> None:
    async def talk(worker: Client) -> None:
        for key in (b"k", b"x"):
            _, _, headers = await worker.ask(f"/partitions/in/3/records/{key.hex()}")
            assert headers["X-Owner"] == OWNER
            assert headers["X-Progress-Offset"] == "117"

    run(tmp_path, talk, filled(MemoryStore(), {b"k": b"v"}), next_offset=117)


def test_changes_in_flight_are_not_told(tmp_path: Path) -> None:
    store = filled(MemoryStore(), {b"k": b"old"})
    partition = partition_over(store, MINE, tmp_path)
    partition.state.put(b"k", b"new")
    partition.state.put(b"other", b"new")
    changes = partition.state.seal()

    async def talk(worker: Client) -> None:
        worker.records.open({MINE: partition})
        assert await worker.look_up(b"k") == (200, b"old")
        assert await worker.look_up(b"other") == (404, b"absent")
        partition.state.write(changes, 7)
        assert await worker.look_up(b"k") == (200, b"new")

    run(tmp_path, talk, store)


def test_what_another_worker_owns_is_misdirected_and_what_is_not_restored_comes_later(
    tmp_path: Path,
) -> None:
    async def talk(worker: Client) -> None:
        assert await worker.look_up(b"k", place=("in", 1)) == (503, b"not ready")
        assert await worker.look_up(b"k", place=("in", 2)) == (421, b"not mine")
        assert await worker.look_up(b"k", place=("out", 3)) == (421, b"not mine")
        _, _, headers = await worker.ask("/partitions/in/1/records/6b")
        assert headers["Retry-After"] == "1"
        worker.owner.records = None
        assert await worker.look_up(b"k") == (421, b"not mine")

    run(tmp_path, talk, MemoryStore())


def test_a_store_is_closed_only_when_no_look_up_reads_it(tmp_path: Path) -> None:
    store = SlowStore()
    filled(store, {b"k": b"v"})

    async def talk(worker: Client) -> None:
        asked = asyncio.create_task(worker.look_up(b"k"))
        await until(lambda: store.readers == 1)
        closing = asyncio.create_task(worker.records.close())
        # The partition is being given up: who asks now is sent on, and waits for nobody.
        assert await worker.look_up(b"k") == (503, b"not ready")
        assert not closing.done()
        store.go.set()
        await closing
        store.close()
        assert await asked == (200, b"v")
        assert await worker.look_up(b"k") == (503, b"not ready")

    run(tmp_path, talk, store)


class FailingStore(MemoryStore):
    """Fails every read; not while its worker starts."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:  # noqa: ARG002
        raise self.error


def test_a_full_disk_is_no_reason_to_end(tmp_path: Path) -> None:
    async def talk(worker: Client) -> None:
        assert await worker.look_up(b"k") == (503, b"not ready")

    run(tmp_path, talk, FailingStore(StoreFull("no room")))


def test_a_look_up_that_meets_a_damaged_store_sets_the_partition_aside(tmp_path: Path) -> None:
    async def talk(worker: Client) -> None:
        assert await worker.look_up(b"k") == (503, b"not ready")
        assert worker.owner.damaged == [MINE]

    run(tmp_path, talk, FailingStore(CorruptStore("block 7")))


def test_a_partition_is_let_go_of_when_no_look_up_reads_it_and_others_are_read_on(
    tmp_path: Path,
) -> None:
    store = SlowStore()
    filled(store, {b"k": b"v"})
    other = filled(MemoryStore(), {b"k": b"other"})

    async def talk(worker: Client) -> None:
        beside = partition_over(other, ("in", 1), tmp_path)
        worker.records.open({MINE: partition_over(store, MINE, tmp_path), ("in", 1): beside})
        asked = asyncio.create_task(worker.look_up(b"k"))
        await until(lambda: store.readers == 1)
        worker.records.open({("in", 1): beside})
        leaving = asyncio.create_task(worker.records.let_go_of(MINE))
        assert await worker.look_up(b"k") == (503, b"not ready")
        assert await worker.look_up(b"k", place=("in", 1)) == (200, b"other")
        assert not leaving.done()
        store.go.set()
        await leaving
        store.close()
        assert await asked == (200, b"v")

    run(tmp_path, talk, store)


def test_an_asker_who_goes_away_does_not_open_the_way_for_closing(tmp_path: Path) -> None:
    store = SlowStore()

    async def talk(worker: Client) -> None:
        asked = asyncio.create_task(worker.look_up(b"k"))
        await until(lambda: store.readers == 1)
        asked.cancel()
        closing = asyncio.create_task(worker.records.close())
        assert (await worker.ask("/ready"))[0] == 503
        assert not closing.done()
        store.go.set()
        await closing
        store.close()

    run(tmp_path, talk, store)


def test_the_loop_goes_on_while_stores_are_slow_and_look_ups_are_bounded(tmp_path: Path) -> None:
    store = SlowStore()
    filled(store, {b"k": b"v"})

    async def talk(worker: Client) -> None:
        asked = [asyncio.create_task(worker.look_up(b"k")) for _ in range(UNDER_WAY_MAX + 5)]
        busy = [task async for task in done_first(asked, 5)]
        assert {task.result() for task in busy} == {(503, b"busy")}
        assert (await worker.ask("/live"))[0] == 200
        store.go.set()
        answered = [await task for task in asked if task not in busy]
        assert answered == [(200, b"v")] * UNDER_WAY_MAX

    async def done_first(
        tasks: list[asyncio.Task[tuple[int, bytes]]], count: int
    ) -> AsyncIterator[asyncio.Task[tuple[int, bytes]]]:
        waiting = set(tasks)
        while count > 0:
            done, waiting = await asyncio.wait(
                waiting, timeout=60, return_when=asyncio.FIRST_COMPLETED
            )
            assert done
            count -= len(done)
            for task in done:
                yield task

    run(tmp_path, talk, store)


@pytest.mark.parametrize(
    "path",
    [
        "in/3/records/k",
        "in/3/records/6",
        "in/3/records/6B",
        "in/3/records/6b,",
        "in/3/records/6b,,6b",
        "in/3/records/ff6d6f6666736574",
        "in/3/records/" + ",".join(["6b"] * 9),
        "in/3/records/" + "6b" * 300,
        "in/-3/records/6b",
        "in/٣/records/6b",
        "in/9999999999/records/6b",
    ],
)
def test_a_malformed_look_up_is_refused(tmp_path: Path, path: str) -> None:
    async def talk(worker: Client) -> None:
        status, body, _ = await worker.ask("/partitions/" + path)
        assert (status, body) == (400, b"malformed")

    run(tmp_path, talk, MemoryStore())


@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", "Bearer wrong", "bearer secret", "secret", "Bearer secret2", "é"]
)
def test_whoever_lacks_the_token_learns_nothing(tmp_path: Path, shown: str | None) -> None:
    async def talk(worker: Client) -> None:
        for path in ("in/3/records/6b", "in/2/records/6b", "in/3/records/malformed"):
            status, body, headers = await worker.ask("/partitions/" + path, shown)
            assert (status, body) == (401, b"wrong token")
            assert "X-Owner" not in headers

    run(tmp_path, talk, filled(MemoryStore(), {b"k": b"v"}), token="secret")


def test_the_token_opens_and_each_answer_is_counted(tmp_path: Path) -> None:
    async def talk(worker: Client) -> None:
        for path in ("6b", "6c", "6c"):
            await worker.ask(f"/partitions/in/3/records/{path}", "Bearer secret")
        counted = worker.owner.observer.exposition().decode()
        assert 'seatstream_lookups_total{answer="found"} 1.0' in counted
        assert 'seatstream_lookups_total{answer="absent"} 2.0' in counted

    run(tmp_path, talk, filled(MemoryStore(), {b"k": b"v"}), token="secret")


def test_without_a_token_only_a_loopback_address_answers(tmp_path: Path) -> None:
    async def conversation() -> None:
        owner = Owner(tmp_path)
        lookups = Lookups(
            lambda: owner.records, token="", host="0.0.0.0", count=owner.observer.looked_up
        )
        # Bound to loopback all the same: the test opens no port to the network.
        owner.server = HealthServer(owner.observer, lookups, "127.0.0.1", 0, tmp_path)
        await owner.server.start()
        client = Client(owner)
        assert await client.look_up(b"k") == (403, b"no token is set")
        await client.session.close()
        await owner.server.stop()

    asyncio.run(conversation())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.1.2.3", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback_is_what_no_other_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected
