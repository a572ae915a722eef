"""What brokers answer with an error is not read as absence, by anybody."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.blocked_loop import blocked_loop
from faults.broker_answers import (
    FETCH,
    JOIN_GROUP,
    KAFKA_STORAGE_ERROR,
    LIST_OFFSETS,
    NOT_LEADER,
    OFFSET_COMMIT,
    UNKNOWN_SERVER_ERROR,
    UNKNOWN_TOPIC_OR_PARTITION,
    BrokerAnswers,
)
from faults.group_answers import (
    COORDINATOR_LOAD_IN_PROGRESS,
    COORDINATOR_NOT_AVAILABLE,
    GROUP_AUTHORIZATION_FAILED,
    NOT_COORDINATOR,
    TOPIC_AUTHORIZATION_FAILED,
    GroupAnswers,
)
from faults.proxy import Proxy, broker_behind_proxy
from integration.conftest import FAST_SESSIONS
from integration.workers import ENDED_ITSELF, SESSION_TIMEOUT_S, Fleet

from infra.stack import QUICK_RESTART
from infra.stack.processes import wait_until
from state.owners.directory import CommittedOwners
from state.owners.questions import OwnerUnreachable

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def link() -> Iterator[Proxy]:
    with broker_behind_proxy("tests-answers", {**QUICK_RESTART, **FAST_SESSIONS}) as (_, proxy):
        yield proxy


@pytest.fixture
def answers(link: Proxy) -> Iterator[GroupAnswers]:
    """Give what the coordinator's answers are made of."""
    answers = GroupAnswers()
    before, link.rewrite = link.rewrite, answers
    yield answers
    link.rewrite = before


@pytest.fixture
def codes(link: Proxy) -> Iterator[BrokerAnswers]:
    """Give the error codes that take the place of the brokers' answers."""
    codes = BrokerAnswers()
    before, link.rewrite = link.rewrite, codes
    yield codes
    link.rewrite = before


def fleet_behind(link: Proxy, prefix: str, directory: Path, **environment: str) -> Fleet:
    directory.mkdir()
    fleet = Fleet(f"127.0.0.1:{link.port}", prefix, directory, 4, environment)
    fleet.create_topics()
    return fleet


def test_s1_an_answer_about_the_whole_group_is_asked_again_until_it_is_none(
    link: Proxy, answers: GroupAnswers, topic_prefix: str, tmp_path: Path
) -> None:
    codes = (COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR)
    # Side by side, because starting takes longest.
    fleets = {
        code: fleet_behind(link, f"{topic_prefix}{code}-", tmp_path / str(code)) for code in codes
    }
    try:
        for fleet in fleets.values():
            fleet.produce(200)
            fleet.worker("first").start()
        for fleet in fleets.values():
            fleet.settle()
            assert fleet.workers[0].terminate() == 0
        for code, fleet in fleets.items():
            fleet.produce(200, seed=2)
            answers.say(fleet.app_id, code, times=4)
            fleet.worker("second").start()
        for code, fleet in fleets.items():
            worker = fleet.workers[1].wait_ready()
            fleet.settle()
            assert fleet.verify() == 400
            assert answers.left(fleet.app_id) == 0, code
            assert "set aside" not in worker.output(), code
            assert "first" in worker.output().partition("fenced ")[2].partition(",")[0], code
    finally:
        for fleet in fleets.values():
            fleet.stop()


def test_s1_a_group_that_lets_nobody_ask_ends_the_worker_with_what_to_grant(
    link: Proxy, answers: GroupAnswers, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(link, topic_prefix, tmp_path / "fleet")
    answers.say(fleet.app_id, GROUP_AUTHORIZATION_FAILED, times=100)
    worker = fleet.worker("one").start()
    try:
        assert worker.ended() == ENDED_ITSELF
        assert "Grant this worker the rights" in worker.output()
    finally:
        fleet.stop()


def test_s1_what_the_coordinator_cannot_say_of_one_partition_concerns_no_other(
    link: Proxy, answers: GroupAnswers, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(link, topic_prefix, tmp_path / "fleet")
    answers.say(fleet.app_id, TOPIC_AUTHORIZATION_FAILED, times=10_000, partitions=[2])
    worker = fleet.worker("one").start()
    try:
        worker.wait_set_aside(1, "is not to be had")
        fleet.produce(400)
        others = {part: end for part, end in fleet.ends().items() if part != 2}
        assert wait_until(lambda: others.items() <= fleet.committed().items(), 60), worker.tail()
        assert fleet.committed()[2] == -1
        answers.say(fleet.app_id, 0, times=0)
        worker.wait_ready()
        fleet.settle()
        assert fleet.verify() == 400
    finally:
        fleet.stop()


def test_s1_a_claim_that_is_not_taken_for_one_partition_holds_up_no_other(
    link: Proxy, codes: BrokerAnswers, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(link, topic_prefix, tmp_path / "fleet")
    wrong = UNKNOWN_TOPIC_OR_PARTITION
    codes.say(OFFSET_COMMIT, wrong, times=10_000, named=fleet.app_id, partitions=[2])
    worker = fleet.worker("one").start()
    try:
        worker.wait_set_aside(1, "could not be read or claimed")
        fleet.produce(400)
        others = {part: end for part, end in fleet.ends().items() if part != 2}
        assert wait_until(lambda: others.items() <= fleet.committed().items(), 60), worker.tail()
        codes.be_silent()
        worker.wait_ready()
        fleet.settle()
        assert fleet.verify() == 400
    finally:
        fleet.stop()


def test_s1_a_worker_that_the_group_does_not_let_in_says_so_and_ends(
    link: Proxy, codes: BrokerAnswers, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(link, topic_prefix, tmp_path / "fleet")
    fleet.produce(200)
    codes.say(JOIN_GROUP, UNKNOWN_SERVER_ERROR, times=1, named=fleet.app_id)
    worker = fleet.worker("one").start()
    try:
        assert worker.ended() == ENDED_ITSELF
        assert "does not have this worker" in worker.output()
        worker.start().wait_ready()
        fleet.settle()
        assert fleet.verify() == 200
    finally:
        fleet.stop()


def test_s4_a_partition_that_does_not_tell_its_end_hides_the_lag_of_no_other(
    link: Proxy, codes: BrokerAnswers, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(link, topic_prefix, tmp_path / "fleet")
    worker = fleet.worker("one").start().wait_ready()
    try:
        words = fleet.topics.words
        wrong = TOPIC_AUTHORIZATION_FAILED
        codes.say(LIST_OFFSETS, wrong, times=10_000, named=words, topic=words, partitions=[1])
        assert wait_until(lambda: codes.left() < 10_000, 60), worker.tail()
        # Waits for newer code, so it lags.
        fleet.append([b"newer"])
        assert wait_until(lambda: worker.metric("seatstream_lag_records") == 1, 60), worker.tail()
    finally:
        fleet.stop()


def test_s4_a_partition_whose_fetches_fail_is_set_aside_until_it_can_be_read_again(
    link: Proxy, codes: BrokerAnswers, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(link, topic_prefix, tmp_path / "fleet")
    worker = fleet.worker("one").start().wait_ready()
    try:
        words = fleet.topics.words
        wrong = {1: UNKNOWN_SERVER_ERROR, 2: KAFKA_STORAGE_ERROR, 3: NOT_LEADER}
        # One answer is no trouble.
        for number, code in wrong.items():
            codes.say(FETCH, code, times=1, named=words, topic=words, partitions=[number])
        assert wait_until(lambda: not codes.left(), 60), worker.tail()
        fleet.produce(100)
        fleet.settle()
        assert "set aside" not in worker.output()

        for number, code in wrong.items():
            codes.say(FETCH, code, times=10**9, named=words, topic=words, partitions=[number])
        worker.wait_set_aside(3, "its records cannot be read")
        told = worker.set_aside()
        for number, name in {1: "UnknownError", 2: "KafkaStorageError", 3: "NotLeader"}.items():
            assert name in told[f"{words}-{number}"]
        fleet.produce(100, seed=2)
        ends = fleet.ends()
        assert wait_until(lambda: fleet.committed()[0] == ends[0], 60), worker.tail()
        # While it is tried again nothing is said to be well that is not.
        tries = worker.output().count("is set aside, try")
        assert wait_until(
            lambda: (
                worker.page("/ready")[0] != 200
                and worker.output().count("is set aside, try") >= tries + 6
            ),
            60,
        ), worker.tail()
        assert "runs again" not in worker.output()
        assert worker.page("/live")[0] == 200
        assert fleet.committed() != ends

        codes.be_silent()
        worker.wait_ready()
        fleet.settle()
        assert fleet.verify() == 200
        assert worker.exit_codes == []
    finally:
        fleet.stop()


def test_s1_whoever_takes_over_from_a_loading_coordinator_fences_the_former_owner(
    link: Proxy, answers: GroupAnswers, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(
        link,
        topic_prefix,
        tmp_path / "fleet",
        SEATSTREAM_TRANSACTION_RECORDS="100",
        SEATSTREAM_WATCHDOG="0",
    )
    zombie, heir = fleet.worker("zombie"), fleet.worker("heir")
    try:
        zombie.start(**blocked_loop(6, nth=5)).wait_ready()
        fleet.produce(3_000)
        # Its loop stands still with a transaction begun, and then all of it.
        assert wait_until(lambda: "stands still" in zombie.output(), 60), zombie.tail()
        zombie.pause()
        answers.say(fleet.app_id, COORDINATOR_LOAD_IN_PROGRESS, times=4)
        heir.start()
        assert wait_until(
            lambda: heir.metric("seatstream_partitions_owned") == 4, 2 * SESSION_TIMEOUT_S + 60
        ), heir.tail()
        fleet.produce(1_000, seed=2)
        fleet.settle()
        zombie.resume()
        assert zombie.ended() == ENDED_ITSELF
        fleet.produce(1_000, seed=3)
        fleet.settle()
        assert fleet.verify() == 5_000
        assert answers.left(fleet.app_id) == 0
    finally:
        fleet.stop()


def test_s1_an_api_pod_takes_an_error_for_no_word_on_who_owns_what(
    link: Proxy, answers: GroupAnswers, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = fleet_behind(link, topic_prefix, tmp_path / "fleet")

    async def ask() -> int:
        owners = CommittedOwners(fleet.brokers, fleet.app_id)
        try:
            for code in (COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR):
                answers.say(fleet.app_id, code, times=1)
                with pytest.raises(OwnerUnreachable):
                    await owners.owners()
            return len(await owners.owners())
        finally:
            await owners.close()

    try:
        fleet.worker("one").start().wait_ready()
        assert asyncio.run(ask()) == 4
    finally:
        fleet.stop()
