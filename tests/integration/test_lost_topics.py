"""Topics that are deleted under running workers, or come back empty, on a real broker."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.lost_records import deletable, lose_records
from faults.lost_topic import delete_topic
from integration.conftest import FAST_SESSIONS
from integration.pods import PodProcess, Servers
from integration.seat_workers import Seats
from integration.workers import (
    ENDED_ITSELF,
    Worker,
    committed_offsets,
    end_offsets,
    producing,
    read_committed,
)
from support.seats.section_commands import EVENT, PARTITIONS, hold, open_section

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import (
    DEAD_LETTER_QUEUE,
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from state.domain.keys import partition_of, section_key
from state.views.availability.view import AvailabilityView
from streams.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]

SECTIONS = [f"ST-{number}" for number in range(40)]


@contextmanager
def open_sections(directory: Path) -> Iterator[Seats]:
    """Give forty open sections, two seats of the first one held."""
    with ephemeral_stack(
        "tests-topics",
        parts={"kafka"},
        kafka_properties={**QUICK_RESTART, **FAST_SESSIONS},
        fast_jit=True,
    ) as stack:
        seats = Seats(stack.kafka_brokers, directory)
        seats.create_topics()
        seats.send(
            *[open_section("......", section=name) for name in SECTIONS],
            hold("t-r1", 2, section=SECTIONS[0]),
        )
        try:
            yield seats
        finally:
            seats.stop()


@pytest.fixture(scope="module")
def seats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seats]:
    with open_sections(tmp_path_factory.mktemp("topics")) as seats:
        yield seats


@pytest.fixture
def worker(seats: Seats) -> Iterator[Worker]:
    with selling(seats) as worker:
        yield worker


@contextmanager
def selling(seats: Seats) -> Iterator[Worker]:
    """Give a worker that has decided a hold of its own."""
    number = len(seats.workers)
    worker = seats.worker(f"w{number}").start("topology").wait_ready()
    seats.send(hold(f"t-w{number}", 1, section=SECTIONS[20 + number]))
    assert wait_until(lambda: seats.names(f"t-w{number}") == ["SeatsHeld"], 60), worker.tail()
    try:
        yield worker
    finally:
        if worker.child is not None:
            worker.kill()


@contextmanager
def running_pod(seats: Seats) -> Iterator[PodProcess]:
    pod = PodProcess(Servers(seats.brokers, "", "", seats.directory), "pod")
    try:
        yield pod.wait_ready()
    finally:
        pod.end()


def shown(view: AvailabilityView) -> dict[str, tuple[int, int]]:
    """Return version and free seats of every section that a pod would show."""
    found = {name: view.get(EVENT, name) for name in SECTIONS}
    return {name: (known.version, known.free) for name, known in found.items() if known}


def is_whole(view: AvailabilityView) -> bool:
    """Say whether it shows every section, and that two seats of the first one are held."""
    seen = shown(view)
    return len(seen) == len(SECTIONS) and seen[SECTIONS[0]] == (2, 4)


def is_missed(worker: Worker, topic: str) -> bool:
    status, why = worker.page("/ready")
    return status == 503 and topic in why


def test_s6_a_status_topic_that_is_lost_is_written_anew_by_the_running_worker(
    seats: Seats, worker: Worker
) -> None:
    with AvailabilityView(seats.brokers) as view, running_pod(seats) as pod:
        view.wait_ready(60)
        assert wait_until(lambda: is_whole(view), 60), shown(view)
        before = shown(view)
        delete_topic(seats.brokers, SECTION_STATUS.name)
        assert wait_until(lambda: is_missed(worker, SECTION_STATUS.name), 60), worker.tail()
        assert wait_until(lambda: SECTION_STATUS.name in pod.client.get("/health/ready").text, 60)
        # What is asked meanwhile waits, and is decided when the topic is there again.
        seats.send(hold("t-r2", 1, section=SECTIONS[1]))
        seats.create_topics()
        assert wait_until(worker.is_ready, 60), worker.tail()
        assert wait_until(lambda: seats.names("t-r2") == ["SeatsHeld"], 60), worker.tail()
        expected = {**before, SECTIONS[1]: (2, 5)}
        assert wait_until(lambda: shown(view) == expected, 60), shown(view)
        # The pod follows the new topic too, and sells from every section.
        assert wait_until(lambda: "troubles" not in pod.client.get("/health/ready").json(), 60)
        sold = [pod.create(EVENT, f"key-{name}", name, wait_s=20) for name in SECTIONS[-8:]]
        assert [answer.status_code for answer in sold] == [201] * 8, sold[0].text
    assert worker.terminate() == 0


def test_s6_after_a_takeover_a_status_topic_that_is_empty_has_every_section_again(
    seats: Seats,
) -> None:
    delete_topic(seats.brokers, SECTION_STATUS.name)
    seats.create_topics()
    worker = seats.worker("next").start("topology").wait_ready()
    with AvailabilityView(seats.brokers) as view:
        view.wait_ready(60)
        assert wait_until(lambda: is_whole(view), 60), worker.tail()
    assert worker.terminate() == 0


def test_s6_statuses_whose_records_were_removed_are_told_again_by_the_running_worker(
    seats: Seats, worker: Worker
) -> None:
    topic = SECTION_STATUS.name
    with AvailabilityView(seats.brokers) as view:
        view.wait_ready(60)
        assert wait_until(lambda: len(shown(view)) == len(SECTIONS), 60)
        before = shown(view)
    with deletable(seats.brokers, topic):
        for partition, end in end_offsets(seats.brokers, topic, PARTITIONS).items():
            lose_records(seats.brokers, topic, partition, end)
    with AvailabilityView(seats.brokers) as view:
        view.wait_ready(60)
        assert wait_until(lambda: shown(view) == before, 60), worker.tail()
    assert worker.terminate() == 0


def test_s6_a_status_that_somebody_wrote_over_comes_back_in_time(seats: Seats) -> None:
    worker = seats.worker("retelling", SEATSTREAM_RETELL_S="1").start("topology").wait_ready()
    key = section_key(EVENT, SECTIONS[5])

    def last() -> bytes | None:
        of_key = [
            one
            for one in read_committed(seats.brokers, SECTION_STATUS.name, PARTITIONS)
            if one.key == key
        ]
        return of_key[-1].value if of_key else None

    assert wait_until(lambda: last() is not None, 60), worker.tail()
    good = last()
    # The first may be healed by the takeover, which tells every section once.
    for _ in range(2):
        with producing(seats.brokers) as producer:
            producer.produce(SECTION_STATUS.name, b"garbage", key, partition_of(key, PARTITIONS))
        assert wait_until(lambda: last() == good, 60), worker.tail()
    assert worker.terminate() == 0


def test_s6_outcomes_and_dead_letters_that_are_lost_hold_the_worker_until_they_are_there(
    seats: Seats, worker: Worker
) -> None:
    # One after the other: it says which one it lacks.
    for topic in (RESERVATION_OUTCOMES.name, DEAD_LETTER_QUEUE.name):
        delete_topic(seats.brokers, topic)
        assert wait_until(lambda: is_missed(worker, topic), 60), worker.tail()  # noqa: B023
        reservation = f"t-{topic[:4]}"
        seats.send(hold(reservation, 1, section=SECTIONS[2]))
        seats.create_topics()
        assert wait_until(worker.is_ready, 60), worker.tail()
        held = wait_until(lambda: seats.names(reservation) == ["SeatsHeld"], 60)  # noqa: B023
        assert held, worker.tail()
    assert worker.terminate() == 0


@pytest.fixture
def lost_for_good(tmp_path: Path) -> Iterator[Seats]:
    """Give seats that nobody needs after the test."""
    with open_sections(tmp_path) as seats:
        yield seats


def test_s6_over_a_changelog_that_was_created_anew_nothing_is_committed(
    lost_for_good: Seats,
) -> None:
    seats = lost_for_good

    def committed() -> dict[int, int]:
        return committed_offsets(
            seats.brokers, Settings().app_id, SECTION_COMMANDS.name, PARTITIONS
        )

    with selling(seats) as worker:
        seats.send(hold("t-r3", 1, section=SECTIONS[3]))
        assert wait_until(lambda: seats.names("t-r3") == ["SeatsHeld"], 60)
        delete_topic(seats.brokers, SEATS_CHANGELOG.name)
        seats.create_topics()
        before = committed()
        seats.send(*[hold(f"t-{name}", 1, section=name) for name in SECTIONS])
        assert worker.ended() == ENDED_ITSELF
        assert "the changelog was created anew or lost records" in worker.output()
        assert committed() == before
