"""A pod's look-ups at owners: real pages of workers, and servers that are none."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support.pods.conditions import until
from support.pods.owners import Owner, Place, filled, serving
from support.seats.section_commands import EVENT, A, B, block, confirm, hold, open_section, opened

from schemas.topics import SECTION_COMMANDS
from state.domain.keys import section_key
from state.domain.reservation import Status
from state.owners.directory import Directory
from state.owners.lookup import DIRECTORY_AGE_S, SHOWN_S, OwnerLookup
from state.owners.name import owner_name
from state.owners.protocol import LISTED_MAX
from state.owners.questions import OwnerNotReady, OwnersBusy, OwnerUnreachable
from state.stores.memory import MemoryStore

pytestmark = pytest.mark.timeout(60)

IN = ("in", 3)
SEATS = (SECTION_COMMANDS.name, 0)


class FakeGroup:
    """Committed owners, as a test sets them; counts how often they are read."""

    def __init__(self, owners: Mapping[Place, str]) -> None:
        self.named = dict(owners)
        self.readings = 0
        self.is_up = True

    async def owners(self) -> Mapping[Place, str]:
        self.readings += 1
        # Takes its time, as a broker does: meanwhile others come to want the same.
        await asyncio.sleep(0)
        if not self.is_up:
            raise OwnerUnreachable("the brokers are away")
        return dict(self.named)

    async def close(self) -> None:
        pass


def lookup(group: FakeGroup, patience_s: float = 0.0, token: str = "") -> OwnerLookup:
    return OwnerLookup("nowhere:1", "seats", token, patience_s=patience_s, directory=group)


@asynccontextmanager
async def answering(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """Give the address of a server that is no worker of ours."""
    pages = web.Application()
    pages.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(pages, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def with_owner(
    directory: Path,
    stores: Mapping[Place, MemoryStore],
    talk: Callable[[Owner, FakeGroup], Awaitable[None]],
    token: str = "",
) -> None:
    """Let a worker own places over stores, and the group name it."""

    async def conversation() -> None:
        async with serving(directory, token) as owner:
            owner.assigned(list(stores))
            owner.restored(stores)
            await talk(owner, FakeGroup(dict.fromkeys(stores, owner.name)))

    asyncio.run(conversation())


keys = st.binary(min_size=1, max_size=20).filter(lambda key: key[0] != 0xFF)


@given(
    st.dictionaries(keys, st.binary(max_size=40), max_size=6),
    st.lists(keys, max_size=8),
)
def test_a_look_up_gives_what_the_owner_has_stored(
    tmp_path_factory: pytest.TempPathFactory, values: dict[bytes, bytes], asked: list[bytes]
) -> None:
    async def talk(_: Owner, group: FakeGroup) -> None:
        async with lookup(group) as pod:
            for key in [*values, *asked]:
                assert await pod.get(*IN, key) == values.get(key)
            some = [*values, *asked][:8]
            if some:
                assert await pod.get_many(*IN, some) == [values.get(key) for key in some]

    store = filled(MemoryStore(), values)
    with_owner(tmp_path_factory.mktemp("owner"), {IN: store}, talk)


@given(
    st.sets(st.binary(min_size=1, max_size=3).map(b"c".__add__), max_size=8),
    st.binary(max_size=2),
    st.sets(st.sampled_from([b"b", b"bz", b"d", b"da"])),
)
def test_keys_with_a_prefix_are_listed_in_order_from_where_one_left_off(
    tmp_path_factory: pytest.TempPathFactory, named: set[bytes], begin: bytes, others: set[bytes]
) -> None:
    async def talk(_: Owner, group: FakeGroup) -> None:
        async with lookup(group) as pod:
            found = await pod.keys(*IN, b"c", b"c" + begin)
            assert found == sorted(key for key in named if key >= b"c" + begin)

    store = filled(MemoryStore(), dict.fromkeys(named | others, b""))
    with_owner(tmp_path_factory.mktemp("owner"), {IN: store}, talk)


def test_a_long_list_is_read_in_portions(tmp_path: Path) -> None:
    named = [b"c%03d" % number for number in range(2 * LISTED_MAX + 50)]

    async def talk(_: Owner, group: FakeGroup) -> None:
        async with lookup(group) as pod:
            found: list[bytes] = []
            while more := await pod.keys(*IN, b"c", found[-1] + b"\0" if found else b"c"):
                assert len(more) <= LISTED_MAX
                found += more
            assert found == named

    with_owner(tmp_path, {IN: filled(MemoryStore(), dict.fromkeys(named, b""))}, talk)


def test_reservations_and_sections_are_read_as_the_handler_stored_them(tmp_path: Path) -> None:
    partition = opened("....\n..|..", blocked=[(1, 0, 1)])
    held, kept = partition.send(hold("r1", 2), hold("r2", 1))
    partition.send(confirm("r1"), block([(1, 3, 1)]))
    partition.send(open_section("...", section=B))

    async def talk(_: Owner, group: FakeGroup) -> None:
        async with lookup(group) as pod:
            sold = await pod.reservation(0, b"r1")
            assert sold is not None
            assert (sold.status, sold.seats) == (Status.SOLD, held.seats)
            assert [later.kind for later in sold.later] == [2]
            other = await pod.reservation(0, b"r2")
            assert other is not None
            assert (other.status, other.deadline_ms) == (Status.HELD, kept.deadlineMs)
            assert await pod.reservation(0, b"r3") is None

            section = await pod.section(0, section_key(EVENT, A))
            assert section is not None
            # First row: 0 and 1 are sold, 2 is held; second row: 0 and 3 are blocked.
            assert section.free == (0b1000, 0b0110)
            assert section.version == partition.status().version
            assert section.plan.rows[1].aisles == (2,)
            assert section.layout.seat_counts == (4, 4)
            fresh = await pod.section(0, section_key(EVENT, B))
            assert fresh is not None
            assert fresh.free == (0b111,)
            assert await pod.section(0, section_key(EVENT, "NONE")) is None

    with_owner(tmp_path, {SEATS: partition.store}, talk)


def test_while_the_owner_restores_it_is_not_ready_and_then_it_answers(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with serving(tmp_path) as owner:
            owner.assigned([IN])
            group = FakeGroup({IN: owner.name})
            async with lookup(group) as pod:
                with pytest.raises(OwnerNotReady):
                    await pod.get(*IN, b"k")
            async with lookup(group, patience_s=10) as pod:
                asked = asyncio.create_task(pod.get(*IN, b"k"))
                await until(lambda: pod.statistics().get("attempts", 0) > 0)
                owner.restored({IN: filled(MemoryStore(), {b"k": b"v"})})
                assert await asked == b"v"

    asyncio.run(conversation())


@pytest.mark.parametrize("key", [b"k", b"absent"])
def test_s8_an_owner_that_has_not_stored_what_the_pod_knows_is_not_believed(
    tmp_path: Path, key: bytes
) -> None:
    async def talk(owner: Owner, group: FakeGroup) -> None:
        known = [0]
        store = filled(MemoryStore(), {b"k": b"v"})
        owner.restored({SEATS: store, IN: store}, next_offset=7)
        async with OwnerLookup(
            "nowhere:1", "seats", patience_s=0, directory=group, decided=lambda _: known[0]
        ) as pod:
            for known[0] in (6, 7, 8):
                if known[0] <= 7:
                    assert await pod.get(*SEATS, key) == (b"v" if key == b"k" else None)
                else:
                    with pytest.raises(OwnerNotReady, match="8 is decided"):
                        await pod.get(*SEATS, key)
            # The commands of another topic are numbered otherwise.
            assert await pod.get(*IN, b"k") == b"v"

    with_owner(tmp_path, {SEATS: MemoryStore(), IN: MemoryStore()}, talk)


def test_a_partition_that_moved_is_followed_to_its_new_owner(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with serving(tmp_path / "a") as former, serving(tmp_path / "b") as heir:
            former.assigned([IN], 4)
            former.restored({IN: filled(MemoryStore(), {b"k": b"old"})})
            group = FakeGroup({IN: former.name})
            async with lookup(group, patience_s=10) as pod:
                assert await pod.get(*IN, b"k") == b"old"
                heir.assigned([IN], 5)
                heir.restored({IN: filled(MemoryStore(), {b"k": b"new"})})
                group.named[IN] = heir.name
                former.records = None
                assert await pod.get(*IN, b"k") == b"new"
                assert group.readings == 2
                await former.server.stop()
                assert await pod.get(*IN, b"k") == b"new"
                assert group.readings == 2

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    asyncio.run(conversation())


def test_a_dead_owner_is_unreachable_until_there_is_a_next_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"

    async def talk(owner: Owner, group: FakeGroup) -> None:
        group.named[IN] = owner_name("seats", "dead", 3, nobody)
        async with lookup(group) as pod:
            with pytest.raises(OwnerUnreachable, match="does not answer"):
                await pod.get(*IN, b"k")
        async with lookup(group, patience_s=10) as pod:
            asked = asyncio.create_task(pod.get(*IN, b"k"))
            await until(lambda: pod.statistics().get("attempts", 0) > 1)
            group.named[IN] = owner.name
            assert await asked == b"v"

    with_owner(tmp_path, {IN: filled(MemoryStore(), {b"k": b"v"})}, talk)


def test_a_former_owner_that_still_answers_is_not_believed_once_another_has_claimed(
    tmp_path: Path,
) -> None:
    async def talk(owner: Owner, group: FakeGroup) -> None:
        # Same process, same address; the group has gone on to its next generation.
        group.named[IN] = owner.name.rpartition("-")[0] + "-5"
        async with lookup(group) as pod:
            with pytest.raises(OwnerNotReady, match="in the place of"):
                await pod.get(*IN, b"k")

    with_owner(tmp_path, {IN: filled(MemoryStore(), {b"k": b"stale"})}, talk)


def test_a_takeover_is_noticed_within_the_directorys_age_though_the_former_owner_answers(
    tmp_path: Path,
) -> None:
    async def conversation() -> None:
        async with serving(tmp_path / "a") as zombie, serving(tmp_path / "b") as heir:
            zombie.assigned([IN], 4)
            zombie.restored({IN: filled(MemoryStore(), {b"k": b"old"})})
            group = FakeGroup({IN: zombie.name})
            async with lookup(group) as pod:
                assert await pod.get(*IN, b"k") == b"old"
                heir.assigned([IN], 5)
                heir.restored({IN: filled(MemoryStore(), {b"k": b"new"})})
                group.named[IN] = heir.name
                assert await pod.get(*IN, b"k") == b"old"
                # As if that time had passed.
                directory = pod._directory
                pod._directory = type(directory)(
                    directory.owner_by_place, directory.read_at_s - DIRECTORY_AGE_S
                )
                assert await pod.get(*IN, b"k") == b"new"

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    asyncio.run(conversation())


@pytest.mark.parametrize(
    "owner", ["", "seats-one-4", "somebody else's words", "seats-one@nowhere:;-4"]
)
def test_an_owner_without_an_address_cannot_be_asked(tmp_path: Path, owner: str) -> None:
    async def talk(_: Owner, group: FakeGroup) -> None:
        group.named[IN] = owner
        async with lookup(group) as pod:
            with pytest.raises(OwnerUnreachable, match="no owner with an address"):
                await pod.get(*IN, b"k")
            with pytest.raises(OwnerUnreachable, match="no owner with an address"):
                await pod.get("in", 17, b"k")

    with_owner(tmp_path, {IN: MemoryStore()}, talk)


def test_many_who_ask_at_once_share_one_reading_of_the_directory(tmp_path: Path) -> None:
    async def talk(_: Owner, group: FakeGroup) -> None:
        async with lookup(group, patience_s=5) as pod:
            found = await asyncio.gather(*(pod.get(*IN, b"k") for _ in range(200)))
            assert found == [b"v"] * 200
        assert group.readings == 1

    with_owner(tmp_path, {IN: filled(MemoryStore(), {b"k": b"v"})}, talk)


def test_while_the_brokers_are_away_known_owners_are_asked_and_others_are_unreachable(
    tmp_path: Path,
) -> None:
    async def talk(owner: Owner, group: FakeGroup) -> None:
        group.is_up = False
        async with lookup(group) as pod:
            with pytest.raises(OwnerUnreachable, match="away"):
                await pod.get(*IN, b"k")
            group.is_up = True
            assert await pod.get(*IN, b"k") == b"v"
            group.is_up = False
            assert await pod.get(*IN, b"k") == b"v"
            assert pod.statistics() == {
                "directory": 2,
                "attempts": 2,
                "answered": 2,
                "OwnerUnreachable": 1,
            }

    with_owner(tmp_path, {IN: filled(MemoryStore(), {b"k": b"v"})}, talk)


@pytest.mark.parametrize(("token", "opens"), [("secret", True), ("wrong", False), ("", False)])
def test_the_owner_wants_the_token(tmp_path: Path, token: str, opens: bool) -> None:
    async def talk(_: Owner, group: FakeGroup) -> None:
        async with lookup(group, token=token) as pod:
            if opens:
                assert await pod.get(*IN, b"k") == b"v"
                return
            with pytest.raises(OwnerUnreachable, match="refuses look-ups: 401"):
                await pod.get(*IN, b"k")

    with_owner(tmp_path, {IN: filled(MemoryStore(), {b"k": b"v"})}, talk, token="secret")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: web.Response(status=200, body=b"v"), OwnerUnreachable),
        (lambda: web.Response(status=404), OwnerUnreachable),
        (lambda: web.Response(status=500), OwnerUnreachable),
        (lambda: web.HTTPFound("http://127.0.0.1:9/elsewhere"), OwnerUnreachable),
        (lambda: web.Response(status=421), OwnerNotReady),
        (lambda: web.Response(status=503), OwnerNotReady),
        (lambda: web.Response(status=200, headers={"X-Owner": "x"}), OwnerNotReady),
    ],
)
def test_a_server_that_is_no_owner_is_never_believed(
    answer: Callable[[], web.StreamResponse], error: type[Exception]
) -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        return answer()

    async def conversation() -> None:
        async with answering(handle) as address:
            group = FakeGroup({IN: owner_name("seats", "one", 4, address)})
            async with lookup(group) as pod:
                with pytest.raises(error):
                    await pod.get(*IN, b"k")

    asyncio.run(conversation())


@given(st.binary(max_size=30), st.integers(1, 8))
def test_a_broken_answer_is_an_owner_that_cannot_be_reached(body: bytes, count: int) -> None:
    async def conversation() -> None:
        name = ""

        async def handle(_: web.Request) -> web.StreamResponse:
            return web.Response(body=body, headers={"X-Owner": name})

        async with answering(handle) as address:
            name = owner_name("seats", "one", 4, address)
            async with lookup(FakeGroup({IN: name})) as pod:
                try:
                    payloads = await pod.get_many(*IN, [b"k"] * count)
                except OwnerUnreachable:
                    return
                assert len(payloads) == count
                if count > 1:
                    assert (
                        b"".join(
                            b"\xff" * 4 if one is None else len(one).to_bytes(4, "big") + one
                            for one in payloads
                        )
                        == body
                    )

    asyncio.run(conversation())


def test_an_owner_that_hangs_is_given_up() -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def conversation() -> None:
        async with answering(hang) as address:
            group = FakeGroup({IN: owner_name("seats", "one", 4, address)})
            async with lookup(group) as pod:
                async with asyncio.timeout(60):
                    with pytest.raises(OwnerUnreachable, match="does not answer"):
                        await pod.get(*IN, b"k")

    asyncio.run(conversation())


def test_s11_an_owner_that_is_asked_for_too_much_is_not_one_that_is_gone() -> None:
    """The wait for a turn is none of the owner's time, and nobody is told that nobody answers."""

    async def handle(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return web.Response(body=b"v", headers={"X-Owner": owner, "X-Progress-Offset": "1"})

    owner = ""

    async def conversation() -> None:
        nonlocal owner
        async with answering(handle) as address:
            owner = owner_name("seats", "one", 4, address)
            async with lookup(FakeGroup({IN: owner})) as pod:
                asked = (pod.get(*IN, b"k") for _ in range(1_000))
                answers = await asyncio.gather(*asked, return_exceptions=True)
                kinds = {type(answer) for answer in answers}
                # 16 at a time and 20 a second each: a thousand is more than a second's.
                assert kinds == {bytes, OwnersBusy}
                assert await pod.get(*IN, b"k") == b"v"

    asyncio.run(conversation())


def test_s11_an_owner_that_answers_nobody_is_unreachable_to_who_waits_for_a_turn_too() -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def conversation() -> None:
        async with (
            answering(hang) as address,
            lookup(FakeGroup({IN: owner_name("seats", "one", 4, address)})) as pod,
        ):
            asked = (pod.get(*IN, b"k") for _ in range(100))
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(answer) for answer in answers} == {OwnerUnreachable}

    asyncio.run(conversation())


@pytest.mark.parametrize("place", [IN, SEATS])
def test_s8_what_was_shown_is_followed_by_nothing_older_after_a_take_over(
    tmp_path: Path, place: Place
) -> None:
    """Of payments a pod knows no decisions beside: they went back in time at a former owner."""

    async def conversation() -> None:
        async with serving(tmp_path / "a") as former, serving(tmp_path / "b") as heir:
            former.assigned([place], 4)
            former.restored({place: filled(MemoryStore(), {b"k": b"PENDING"})}, next_offset=7)
            heir.assigned([place], 5)
            heir.restored({place: filled(MemoryStore(), {b"k": b"DONE"})}, next_offset=9)
            group = FakeGroup({place: heir.name})
            arguments: dict[str, Any] = {"patience_s": 0, "directory": group}
            for shown_s in (SHOWN_S, 0.0):
                async with OwnerLookup("nowhere:1", "s", shown_s=shown_s, **arguments) as pod:
                    group.named[place] = heir.name
                    assert await pod.get(*place, b"k") == b"DONE"
                    # A coordinator that has lost the newest commit names it, say.
                    group.named[place] = former.name
                    pod._directory = Directory(group.named, float("inf"))
                    if shown_s:
                        with pytest.raises(OwnerNotReady, match="below 7"):
                            await pod.get(*place, b"k")
                    else:
                        # A log that was restored to before is believed in the end.
                        assert await pod.get(*place, b"k") == b"PENDING"

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    asyncio.run(conversation())


def test_an_owner_is_asked_what_it_leaves_alone(tmp_path: Path) -> None:
    async def talk(owner: Owner, group: FakeGroup) -> None:
        async with lookup(group) as pod:
            assert await pod.left_alone(*IN) == {}
            owner.left_alone = {"mock": 59_000, "toss": 1}
            assert await pod.left_alone(*IN) == owner.left_alone
            with pytest.raises(OwnerUnreachable):
                await pod.left_alone("in", 4)

    with_owner(tmp_path, {IN: MemoryStore()}, talk)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"mock"),
        (200, b"\xff\xff\xff\xff"),
        (200, b"\0\0\0\4mock"),
        (200, b"\0\0\0\7-1 mock"),
        (404, b""),
        (500, b""),
    ],
)
def test_what_is_no_list_of_what_is_left_alone_says_nothing(status: int, body: bytes) -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        headers = {"X-Owner": owner, "X-Progress-Offset": "1"}
        return web.Response(status=status, body=body, headers=headers)

    owner = ""

    async def conversation() -> None:
        nonlocal owner
        async with answering(handle) as address:
            owner = owner_name("seats", "one", 4, address)
            async with lookup(FakeGroup({IN: owner})) as pod:
                with pytest.raises(OwnerUnreachable):
                    await pod.left_alone(*IN)

    asyncio.run(conversation())


def test_what_is_left_alone_is_asked_for_once_however_patient_a_pod_is(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with serving(tmp_path) as owner:
            owner.assigned([IN])
            async with lookup(FakeGroup({IN: owner.name}), patience_s=60) as pod:
                with pytest.raises(OwnerNotReady):
                    await pod.left_alone(*IN)
                assert pod.statistics()["attempts"] == 1

    asyncio.run(conversation())


def test_a_worker_from_before_the_question_says_nothing() -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    async def conversation() -> None:
        async with answering(handle) as address:
            owner = owner_name("seats", "one", 4, address)
            async with lookup(FakeGroup({IN: owner})) as pod:
                with pytest.raises(OwnerUnreachable):
                    await pod.left_alone(*IN)

    asyncio.run(conversation())
