"""A command in; its committed outcome, or that it is pending, or why it was not taken, out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.conditions import until
from support.pods.reservation_pods import Feed, Seats, pod_over
from support.seats.section_commands import EVENT, A, confirm, extend, hold

from api.commands import desk as desks
from api.commands.desk import AFTER_SEND, FAILPOINTS, Command, wait_of
from api.pod import Pod
from api.web.problems import Problem
from api.web.waits import ClientGone
from infra.process.failpoints import FailpointReached, Failpoints
from state.domain.keys import section_key
from state.domain.outcome import Outcome, OutcomeKind
from state.domain.reasons import ApiReason, Reason
from state.kafka.command_log import AppendUnknown, NotAppended, TooLarge


@pytest.mark.parametrize(
    ("prefer", "seconds", "applied"),
    [
        ([], 2.0, ""),
        (["wait=3"], 3, "wait=3"),
        (["respond-async, wait=3"], 3, "wait=3"),
        (["respond-async", "Wait = 4 ; x=1"], 4, "wait=4"),
        (["wait=600"], 10, "wait=10"),
        (["wait=-1"], 2.0, ""),
        (["wait=1e3"], 2.0, ""),
        (["wait"], 2.0, ""),
        (["await=3"], 2.0, ""),
        (["wait=9999999999"], 2.0, ""),
        (["return=minimal, wait=1, wait=2"], 1, "wait=1"),
        (['wait="3"'], 3, "wait=3"),
        # What stands between quotes is text, whatever it looks like.
        (['x="a,wait=9", wait=1'], 1, "wait=1"),
        (['x="a\\",wait=9"; y=",wait=8,"', "wait=1"], 1, "wait=1"),
        (['x="a,wait=9"'], 2.0, ""),
        (['x="a, wait=9', "wait=1"], 2.0, ""),
        (['wait="3'], 2.0, ""),
        (['wait=3"'], 2.0, ""),
        # A head may be so long, and must not take a second.
        (['"\\' * 32_000], 2.0, ""),
        (['"' * 32_001], 2.0, ""),
        (['wait=1"",' * 8_000 + "wait=2"], 2, "wait=2"),
    ],
)
def test_f6_a_preference_is_bounded_and_a_bad_one_is_none(
    prefer: list[str], seconds: float, applied: str
) -> None:
    wait = wait_of(prefer, 2_000, 10_000)
    assert wait.seconds == seconds
    assert wait.headers == ((("Preference-Applied", applied),) if applied else ())


# --- what becomes of a command ---------------------------------------------------------------

Play = Callable[[Seats, Pod], Awaitable[None]]
SECTION_KEY = section_key(EVENT, A)


def scenario(play: Play) -> Callable[[], None]:
    """Run a test over an open section of six free seats and one pod; nothing may be left of it."""

    def run() -> None:
        async def go() -> None:
            seats = Seats().open("......")
            pod = pod_over(seats, wait_ms=200)
            async with asyncio.timeout(60):
                await play(seats, pod)
            assert waiting(pod) == len(pod.desk.in_flight) == 0
            # What was begun for a command has ended with it.
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(go())

    run.__name__ = play.__name__
    return run


def waiting(pod: Pod) -> int:
    feed = pod.outcomes
    assert isinstance(feed, Feed)
    return feed.waiting_now()


def command(
    pair: tuple[bytes | None, bytes | None],
    *kinds: OutcomeKind,
    reservation: str = "r1",
    correlation: str = "c1",
) -> Command:
    key, value = pair
    assert key is not None
    assert value is not None
    return Command(reservation.encode(), key, 0, value, frozenset(kinds), correlation.encode(), ())


def holding(count: int = 2, reservation: str = "r1", correlation: str = "c1") -> Command:
    pair = hold(reservation, count, correlation=correlation)
    kinds = (OutcomeKind.HELD, OutcomeKind.REJECTED)
    return command(pair, *kinds, reservation=reservation, correlation=correlation)


def extending(correlation: str, epoch: int = 1) -> Command:
    pair = extend("r1", epoch, correlation=correlation)
    return command(pair, OutcomeKind.EXTENDED, correlation=correlation)


async def reason_of(deciding: Awaitable[Outcome | None]) -> tuple[int, object]:
    with pytest.raises(Problem) as refused:
        await deciding
    return refused.value.status, refused.value.reason


@scenario
async def test_a_command_that_is_decided_is_answered_with_its_outcome(
    seats: Seats, pod: Pod
) -> None:
    outcome = await pod.desk.decided(holding(), 60)
    assert outcome is not None
    assert (outcome.kind, outcome.correlation_id) == (OutcomeKind.HELD, b"c1")
    # Whoever asks the memory next finds what was told, or nothing older.
    assert pod.outcomes.decided(0) == outcome.command_offset + 1


@pytest.mark.parametrize("appended", [True, False])
@pytest.mark.parametrize("decided", [True, False])
@given(wait_s=st.sampled_from([0.0, 0.01]))
def test_f02_what_is_said_of_a_command_is_true_whatever_the_brokers_said(
    appended: bool, decided: bool, wait_s: float
) -> None:
    """Nobody knows whether it was appended; an outcome, if one comes in time, tells."""

    @scenario
    async def play(seats: Seats, pod: Pod) -> None:
        seats.holds_back = not decided
        seats.failure, seats.is_appended = AppendUnknown(), appended
        outcome = await pod.desk.decided(holding(), wait_s)
        if not (appended and decided):
            assert outcome is None
        elif outcome is not None:
            assert outcome.kind is OutcomeKind.HELD

    play()


@scenario
async def test_f02_an_outcome_answers_though_the_brokers_said_nothing(
    seats: Seats, pod: Pod
) -> None:
    seats.failure, seats.is_appended = AppendUnknown(), True
    outcome = await pod.desk.decided(holding(), 60)
    assert outcome is not None
    assert outcome.kind is OutcomeKind.HELD


@pytest.mark.parametrize(
    ("failure", "status", "reason"),
    [
        (NotAppended(), 503, ApiReason.BROKER_UNAVAILABLE),
        (TooLarge(), 413, ApiReason.BODY_TOO_LARGE),
    ],
)
def test_f06_what_is_certainly_not_in_the_log_is_refused(
    failure: Exception, status: int, reason: ApiReason
) -> None:
    @scenario
    async def play(seats: Seats, pod: Pod) -> None:
        seats.failure = failure
        assert await reason_of(pod.desk.decided(holding(), 60)) == (status, reason)
        assert not seats.sent

    play()


@scenario
async def test_a_command_that_is_not_decided_in_time_is_pending_and_stays_on_its_way(
    seats: Seats, pod: Pod
) -> None:
    seats.holds_back = True
    assert await pod.desk.decided(holding(), 0.01) is None
    seats.decide()
    view = pod.outcomes.get(b"r1")
    assert view is not None


@scenario
async def test_a_command_that_is_refused_is_answered_with_its_reason(
    seats: Seats, pod: Pod
) -> None:
    await pod.desk.decided(holding(6), 60)
    rejected = await pod.desk.decided(holding(1, "r2", "c2"), 60)
    assert rejected is not None
    assert (rejected.kind, rejected.reason) == (OutcomeKind.REJECTED, Reason.SOLD_OUT)
    # Its epoch is another one: the reservation stands as it stood.
    refused = await pod.desk.decided(
        command(confirm("r1", 9, correlation="c3"), OutcomeKind.CONFIRMED, correlation="c3"), 60
    )
    assert refused is not None
    assert (refused.kind, refused.correlation_id) == (OutcomeKind.REFUSED, b"c3")


@pytest.mark.parametrize("is_known", [True, False], ids=["offset known", "offset unknown"])
def test_somebody_elses_refusal_for_the_same_reservation_is_not_ours(is_known: bool) -> None:
    @scenario
    async def play(seats: Seats, pod: Pod) -> None:
        await pod.desk.decided(holding(), 60)
        seats.holds_back = True
        # The other one, of a pod elsewhere, lies before ours in the log.
        seats.append(0, confirm("r1", 9, correlation="other"))
        if not is_known:
            seats.failure, seats.is_appended = AppendUnknown(), True
        asked = command(
            confirm("r1", 8, correlation="ours"), OutcomeKind.CONFIRMED, correlation="ours"
        )
        deciding = asyncio.create_task(pod.desk.decided(asked, 60))
        await until(lambda: len(seats.sent) == 2)
        seats.decide()
        outcome = await deciding
        assert outcome is not None
        assert outcome.correlation_id == b"ours"

    play()


@scenario
async def test_of_two_extensions_each_is_told_its_own(seats: Seats, pod: Pod) -> None:
    await pod.desk.decided(holding(), 60)
    seats.holds_back = True
    # An extension that gains no time is refused.
    seats.partitions[0].now_ms += 1_000
    seats.append(0, extend("r1", correlation="other"))
    seats.partitions[0].now_ms += 1_000
    deciding = asyncio.create_task(pod.desk.decided(extending("ours"), 60))
    await until(lambda: len(seats.sent) == 2)
    seats.decide()
    outcome = await deciding
    assert outcome is not None
    assert (outcome.kind, outcome.correlation_id) == (OutcomeKind.EXTENDED, b"ours")


@scenario
async def test_who_is_cancelled_leaves_nothing(seats: Seats, pod: Pod) -> None:
    seats.holds_back = True
    for turns in range(6):
        deciding = asyncio.create_task(pod.desk.decided(holding(), 60))
        for _ in range(turns):
            await asyncio.sleep(0)
        deciding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deciding
        assert waiting(pod) == len(pod.desk.in_flight) == 0


@scenario
async def test_a_pod_that_ends_answers_pending(seats: Seats, pod: Pod) -> None:
    seats.holds_back = True
    deciding = asyncio.create_task(pod.desk.decided(holding(), 60))
    await until(lambda: seats.sent)
    pod.end_waits()
    assert await deciding is None


def test_f6_a_client_that_went_is_waited_for_no_longer_than_the_brokers_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desks, "APPEND_WAIT_S", 0.01)

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    @scenario
    async def play(seats: Seats, pod: Pod) -> None:
        seats.holds_back = True
        with pytest.raises(ClientGone):
            await pod.desk.decided(holding(), 60, gone)
        # The command stays on its way.
        seats.decide()
        assert pod.outcomes.get(b"r1") is not None

    play()


@scenario
async def test_f09_a_command_without_room_is_appended_nowhere(seats: Seats, pod: Pod) -> None:
    seats.holds_back = True
    room = pod.desk.in_flight
    room._most = 1
    deciding = asyncio.create_task(pod.desk.decided(holding(), 60))
    await until(lambda: seats.sent)
    refused = await reason_of(pod.desk.decided(holding(1, "r2"), 60))
    assert refused == (429, ApiReason.OVERLOADED)
    assert len(seats.sent) == 1
    seats.decide()
    assert await deciding is not None


# --- where a section lies --------------------------------------------------------------------


@scenario
async def test_a_section_has_the_partition_that_the_log_gives_it(seats: Seats, pod: Pod) -> None:
    assert pod.desk.partition_of(SECTION_KEY) == 0


@scenario
async def test_c1_over_partitions_that_do_not_fit_no_command_finds_its_section(
    seats: Seats, pod: Pod
) -> None:
    pod.desk.partitions_fault = lambda: "partitions were added"
    with pytest.raises(Problem, match="until the operator has mended the topics") as refused:
        pod.desk.partition_of(SECTION_KEY)
    assert refused.value.reason is ApiReason.NOT_READY
    # What is wrong with the topics is no buyer's affair.
    assert "partitions were added" not in str(refused.value)


@scenario
async def test_f80_a_pod_that_has_not_read_the_outcomes_finds_no_section(
    seats: Seats, pod: Pod
) -> None:
    feed = pod.outcomes
    assert isinstance(feed, Feed)
    feed._contents = None
    with pytest.raises(Problem, match="This pod is starting") as refused:
        pod.desk.partition_of(SECTION_KEY)
    assert refused.value.status == 503


@scenario
async def test_where_the_brokers_do_not_tell_the_partitions_nothing_is_accepted(
    seats: Seats, pod: Pod
) -> None:
    def unknown(_: bytes) -> int:
        raise NotAppended

    commands: Any = pod.commands
    commands.partition_of = unknown
    with pytest.raises(Problem) as refused:
        pod.desk.partition_of(SECTION_KEY)
    assert refused.value.reason is ApiReason.BROKER_UNAVAILABLE


# --- further ---------------------------------------------------------------------------------


@scenario
async def test_f01_a_failpoint_stands_behind_the_append(seats: Seats, pod: Pod) -> None:
    seats.holds_back = True
    pod.desk._failpoints = Failpoints(f"{AFTER_SEND}:raise:1", FAILPOINTS)
    with pytest.raises(FailpointReached):
        await pod.desk.decided(holding(), 60)
    assert len(seats.sent) == 1


@scenario
async def test_what_commands_take_is_counted(seats: Seats, pod: Pod) -> None:
    await pod.desk.decided(holding(), 60)
    counted = {
        sample.name: sample.value
        for histogram in (pod.metrics.produce_seconds, pod.metrics.outcome_seconds)
        for metric in histogram.collect()
        for sample in metric.samples
        if sample.name.endswith("_count")
    }
    assert counted == {
        "seatstream_api_produce_seconds_count": 1,
        "seatstream_api_outcome_seconds_count": 1,
    }
