"""S4: a transaction that nobody ends is told, keeps one partition back, and can be ended."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from faults.hanging_transaction import UNVERIFIED, abandoned, unknown_to_its_coordinator
from integration.conftest import FAST_SESSIONS
from integration.workers import Fleet, read_committed, run
from support.pods.api_client import client_of

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from state.views.events.catalogue import EventCatalogue
from state.views.outcomes.feed import OutcomeFeed

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]

TRANSACTION_TIMEOUT_MS = 4_000


@pytest.fixture(scope="module")
def unverified_broker() -> Iterator[str]:
    """Give a broker that takes records of a transaction which its coordinator has not heard of."""
    properties = {**QUICK_RESTART, **FAST_SESSIONS, **UNVERIFIED}
    with ephemeral_stack(
        "tests-hanging", parts={"kafka"}, kafka_properties=properties, fast_jit=True
    ) as stack:
        yield stack.kafka_brokers


@pytest.fixture
def fleet(unverified_broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Fleet]:
    environment = {"SEATSTREAM_TRANSACTION_TIMEOUT_MS": str(TRANSACTION_TIMEOUT_MS)}
    fleet = Fleet(unverified_broker, topic_prefix, tmp_path / "fleet", 4, environment)
    fleet.directory.mkdir()
    fleet.create_topics()
    yield fleet
    fleet.stop()


def hanging_transactions(fleet: Fleet, *words: str) -> tuple[int, str]:
    """Run the script over the topics of a fleet; return its exit code and what it said."""
    topics = fleet.topics
    names = (topics.words, topics.counts, topics.changelog, topics.dead)
    environment = {**os.environ, "KAFKA_BROKERS": fleet.brokers}
    done = run(environment, "scripts.hanging_transactions", *words, "--topics", *names)
    return done.returncode, done.stdout + done.stderr


def listed(fleet: Fleet) -> list[str]:
    """Return where the open transactions of a fleet begin, as the script names them."""
    code, said = hanging_transactions(fleet)
    lines = said.splitlines()
    assert code == (3 if lines else 0), said
    return [line.split()[0] for line in lines]


def test_s4_outcomes_that_a_transaction_hides_are_told_and_shown_once_it_is_ended(
    fleet: Fleet,
) -> None:
    worker = fleet.worker("one").start().wait_ready()
    fleet.produce(200)
    fleet.settle()
    counts = fleet.topics.counts
    unknown_to_its_coordinator(fleet.brokers, fleet.prefix + "gone", counts, 1, b"0 0")
    shown = len(read_committed(fleet.brokers, counts, fleet.partitions))
    fleet.append([b"w"] * 100, 1)
    fleet.settle()
    # The worker goes on, and says that nobody sees what it does.
    assert len(read_committed(fleet.brokers, counts, fleet.partitions)) == shown
    said = (f"{counts}-1: a transaction that began at", "docs/runbooks/hanging-transaction.md")
    limit_s = 2 * TRANSACTION_TIMEOUT_MS / 1000

    def is_told() -> bool:
        status, why = worker.page("/ready")
        return status == 503 and all(text in why for text in said)

    assert wait_until(is_told, 60), worker.tail()
    assert wait_until(lambda: worker.metric("seatstream_open_transaction_seconds") > limit_s, 60)
    assert wait_until(lambda: worker.metric("seatstream_hidden_records") >= 100, 60)
    assert wait_until(lambda: worker.page("/live")[0] == 200, 60)
    (at,) = listed(fleet)
    assert at.startswith(f"{counts}-1:")
    assert hanging_transactions(fleet, "--end", "abort", "--at", at, "--yes")[0] == 0
    worker.wait_ready()
    assert listed(fleet) == []
    assert fleet.verify() == 300
    assert worker.exit_codes == []


def test_s4_a_changelog_that_a_transaction_hides_keeps_one_partition_back_and_ends_no_worker(
    fleet: Fleet,
) -> None:
    worker = fleet.worker("one").start().wait_ready()
    fleet.produce(200)
    fleet.settle()
    assert worker.terminate() == 0
    changelog = fleet.topics.changelog
    hanging = abandoned(fleet.brokers, fleet.prefix + "asleep", changelog, 1, b"0")
    worker.wipe()
    workers = [worker.start(), fleet.worker("two").start()]
    fleet.produce(400, seed=2)
    others = {part: end for part, end in fleet.ends().items() if part != 1}
    assert wait_until(lambda: others.items() <= fleet.committed().items(), 60), worker.tail()
    assert wait_until(
        lambda: any("is still open" in why for one in workers for why in one.set_aside().values()),
        60,
    )
    (at,) = listed(fleet)
    assert at.startswith(f"{changelog}-1:")
    # Its producer may still commit it: nobody else may.
    # A dry run says so as well; and nobody ends one whom nobody can ask.
    assert hanging_transactions(fleet, "--end", "commit", "--at", at, "--dry-run")[0] == 2
    code, said = hanging_transactions(fleet, "--end", "abort", "--at", at)
    assert (code, "give --yes" in said) == (2, True), said
    assert listed(fleet) == [at]
    assert hanging_transactions(fleet, "--end", "abort", "--at", at, "--yes")[0] == 0
    fleet.settle(90)
    for one in workers:
        one.wait_ready()
    assert fleet.verify() == 600
    assert worker.exit_codes == [0]
    assert workers[1].exit_codes == []
    del hanging


def test_s4_a_pod_tells_which_of_its_topics_a_transaction_hides_until_it_is_ended(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.views.following.heartbeat.HIDDEN_S_MAX", 3.0)
    counts = fleet.topics.counts

    async def play() -> None:
        outcomes = OutcomeFeed(fleet.brokers, topic=counts)
        catalogue = EventCatalogue(fleet.brokers, topic=fleet.topics.words)
        outcomes.start()
        catalogue.start()
        try:
            async with client_of(outcomes=outcomes, catalogue=catalogue) as client:

                async def becomes(told: Callable[[httpx.Response], bool]) -> httpx.Response:
                    async with asyncio.timeout(60):
                        while not told(page := await client.get("/health/ready")):  # noqa: ASYNC110
                            await asyncio.sleep(0.05)
                    return page

                def has_read(page: httpx.Response) -> bool:
                    parts = page.json()["parts"]
                    return bool(parts["outcomes"] and parts["catalogue"])

                await becomes(has_read)
                leave = (fleet.brokers, fleet.prefix + "gone", counts, 1, b"hidden")
                await asyncio.to_thread(unknown_to_its_coordinator, *leave)
                page = await becomes(lambda page: "troubles" in page.json())
                # Another pod would not know better.
                assert has_read(page)
                (trouble,) = page.json()["troubles"].values()
                assert f"{counts}-1: a transaction that began at" in trouble
                assert "docs/runbooks/hanging-transaction.md" in trouble
                assert list(page.json()["troubles"]) == ["outcomes"]
                assert "seatstream_api_troubles 1.0" in (await client.get("/metrics")).text
                # What is visible is known, and told so.
                assert outcomes.statistics().records == 0
                assert await outcomes.knows_since(1, outcomes.now_ns(), 10)
                (at,) = await asyncio.to_thread(listed, fleet)
                ended = ("--end", "commit", "--at", at, "--yes")
                assert (await asyncio.to_thread(hanging_transactions, fleet, *ended))[0] == 0
                await becomes(lambda page: "troubles" not in page.json())
                await becomes(lambda _: outcomes.statistics().records == 1)
        finally:
            await outcomes.close()
            await asyncio.to_thread(catalogue.close)

    asyncio.run(play())


def test_s4_a_transaction_whose_coordinator_has_forgotten_it_can_be_committed(
    fleet: Fleet,
) -> None:
    counts = fleet.topics.counts
    unknown_to_its_coordinator(fleet.brokers, fleet.prefix + "gone", counts, 2, b"whole")
    (at,) = listed(fleet)
    code, said = hanging_transactions(fleet, "--end", "abort", "--at", at + "9")
    assert code == 2, said
    assert hanging_transactions(fleet, "--end", "commit", "--at", at, "--yes")[0] == 0
    assert wait_until(
        lambda: (
            [record.value for record in read_committed(fleet.brokers, counts, fleet.partitions)]
            == [b"whole"]
        ),
        30,
    )
