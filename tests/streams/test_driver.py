"""The topology driver behaves as a worker does, without a broker."""

import pytest
from support.workers.calling import calling

from state.domain.keys import partition_of
from streams.batch import Batch, DeadLetter, Effects, Outgoing, State
from streams.driver import TopologyDriver
from streams.intents import Answer, Intent, Result
from streams.route import Route, Tick


def count(batch: Batch, state: State, log_time_ms: int) -> Effects:
    """Count per key; a key that is idle for a second is forgotten."""
    effects = Effects()
    for record in batch.records:
        log_time_ms = max(log_time_ms, record.timestamp)
        for _, key in state.due(log_time_ms):
            state.delete(key)
            effects.to("counts").append(Outgoing(key, b"0", (("why", b"idle"),)))
        if record.key == b"tick":
            continue
        if record.value == b"bad":
            effects.dead_letters.append(DeadLetter(record, "BAD", "asked for"))
            continue
        key = record.key or b""
        total = b"%d" % (int(state.get(key) or 0) + 1)
        state.put(key, total, log_time_ms + 1_000)
        effects.to("counts").append((key, total))
    return effects


TICK = Tick(lambda clock_ms: (b"tick", b"%d" % clock_ms))
ROUTE = Route("count", "words", count, ("counts",), "changelog", "dead", tick=TICK)


def test_outputs_land_in_the_partition_of_their_input() -> None:
    driver = TopologyDriver([ROUTE], partitions=4)
    for number in range(20):
        key = b"k%d" % number
        driver.pipe("words", key, b"w")
        (record,) = driver.read("counts")
        assert record.partition == partition_of(key, 4)
        assert (record.key, record.value) == (key, b"1")
        assert driver.get("words", key, key) == b"1"


def test_what_goes_by_key_is_decided_where_its_key_lives() -> None:
    def forward(batch: Batch, state: State, log_time_ms: int) -> Effects:
        effects = Effects()
        effects.to("words").extend((record.value, b"w") for record in batch.records)
        return effects

    sends = Route("send", "letters", forward, ("words",), "log", "dead", by_key=("words",))
    driver = TopologyDriver([sends, ROUTE], partitions=4)
    keys = [b"k%d" % number for number in range(20)]
    driver.pipe_batch("letters", [(None, key) for key in keys], partition=3)
    assert {(record.key, record.partition) for record in driver.read("counts")} == {
        (key, partition_of(key, 4)) for key in keys
    }


def test_what_was_read_is_not_read_again() -> None:
    driver = TopologyDriver([ROUTE])
    driver.pipe_batch("words", [(b"a", b"w"), (b"b", b"w"), (b"a", b"w")])
    assert [record.value for record in driver.read("counts")] == [b"1", b"1", b"2"]
    assert driver.read("counts") == []
    assert len(driver.log("counts", 0)) == 3
    assert driver.stored("words", 0) == {b"a": b"2", b"b": b"1"}


def test_time_passes_by_ticks_in_steps() -> None:
    driver = TopologyDriver([ROUTE], partitions=2, start_ms=10_000)
    driver.pipe("words", b"a", b"w")
    driver.read("counts")
    driver.advance(900, step_ms=300)
    assert driver.read("counts") == []
    driver.advance(100)
    (forgotten,) = driver.read("counts")
    assert (forgotten.key, forgotten.value, forgotten.timestamp) == (b"a", b"0", 11_000)
    assert forgotten.headers == (("why", b"idle"),)
    assert driver.stored("words", forgotten.partition) == {}


def test_dead_letters_are_collected_with_their_cause() -> None:
    driver = TopologyDriver([ROUTE])
    driver.pipe("words", b"a", b"bad")
    (letter,) = driver.dead_letters
    assert (letter.reason, letter.record.value) == ("BAD", b"bad")
    assert driver.read("counts") == []


def test_a_topic_outside_the_route_is_refused() -> None:
    driver = TopologyDriver([Route("count", "words", count, (), "changelog", "dead")])
    with pytest.raises(ValueError, match="may not publish to counts"):
        driver.pipe("words", b"a", b"w")


def test_a_topic_without_a_handler_only_keeps_its_records() -> None:
    driver = TopologyDriver([ROUTE])
    driver.pipe("elsewhere", None, None, headers=[("h", b"v")])
    (record,) = driver.read("elsewhere")
    assert (record.key, record.value, record.headers) == (None, None, (("h", b"v"),))


def test_a_route_with_progress_must_move_it_over_refused_records() -> None:
    with pytest.raises(ValueError, match="refuse"):
        Route("count", "words", count, (), "changelog", "dead", progress=lambda _: (0, 0))  # type: ignore[arg-type,return-value]


async def nobody(_: Intent) -> bytes:
    raise NotImplementedError


def test_a_test_plays_the_destinations_in_due_order() -> None:
    driver = TopologyDriver([calling({"bank": nobody})], partitions=2, start_ms=1_000)
    driver.pipe("asked", None, b"call late bank 500", partition=0)
    driver.pipe("asked", None, b"call soon bank", partition=1)
    soon, late = driver.intents("asked")
    assert (soon.intent.id, soon.partition, late.intent.id) == ("soon", 1, "late")
    assert driver.intents("asked", due=True) == [soon]
    assert driver.intents("asked", 0) == [late]
    driver.answer(soon, Answer(result=Result.FAILED, detail="refused"))
    driver.answer(soon, Answer(result=Result.ANSWERED, payload=b"late"))
    (_, retried) = driver.intents("asked")
    assert (retried.intent.attempt, retried.intent.due_ms) == (2, 2_000)
    driver.answer(retried, Answer(result=Result.ANSWERED, payload=b"done"))
    assert [record.value for record in driver.read("applied")] == [b"done"]
    assert driver.intents("asked") == [late]


def test_an_intent_that_nobody_performs_is_refused() -> None:
    driver = TopologyDriver([calling({"bank": nobody})])
    with pytest.raises(ValueError, match="'post', which is none of its performers: bank"):
        driver.pipe("asked", None, b"call one post")


def echo(batch: Batch, _state: State, _log_time_ms: int) -> Effects:
    effects = Effects()
    for record in batch.records:
        effects.to("heard").append((record.key, b"%d" % len(batch.records)))
    return effects


ECHO = Route("echo", "counts", echo, ("heard",), "echo-changelog", "dead")


def test_what_one_route_publishes_for_another_is_decided_at_once() -> None:
    driver = TopologyDriver([ROUTE, ECHO])
    driver.pipe("words", b"a", b"w")
    driver.pipe("words", b"a", b"w")
    assert [record.value for record in driver.read("heard")] == [b"1", b"1"]


def test_what_waits_for_another_route_is_decided_together_or_lost() -> None:
    driver = TopologyDriver([ROUTE, ECHO], relays=False)
    driver.pipe("words", b"a", b"w")
    driver.pipe("words", b"b", b"w")
    assert driver.read("heard") == []
    assert driver.relay("counts", 0) == 2
    assert driver.relay("counts", 0) == 0
    assert [record.value for record in driver.read("heard")] == [b"2", b"2"]
    driver.pipe("words", b"c", b"w")
    assert driver.pass_over("counts", 0) == 1
    assert driver.relay("counts", 0) == 0
    # Whoever pipes there brings along what waits.
    driver.pipe("words", b"d", b"w")
    driver.pipe("counts", b"e", b"0")
    assert [record.key for record in driver.read("heard")] == [b"d", b"e"]
