"""Over which topics a worker refuses to run, as their settings tell; brokers answer elsewhere."""

from concurrent.futures import Future
from dataclasses import replace

import pytest
from confluent_kafka import KafkaError, KafkaException
from support.workers.echo import CHANGELOG, DEAD, OUT, SOURCE, Echo

from streams.route import Retold, Route
from streams.runtime.ownership.checks import _answer, _check_route
from streams.runtime.process.fatal import WorkerMustEnd

ROUTE = Echo().route()


def check(
    partitions: dict[str, int] | None = None,
    *,
    policy: str = "compact",
    stamp: str = "LogAppendTime",
    log_append_time: bool = True,
    route: Route = ROUTE,
) -> None:
    configs = {CHANGELOG: {"cleanup.policy": policy}, SOURCE: {"message.timestamp.type": stamp}}
    counts = {**dict.fromkeys((SOURCE, OUT, CHANGELOG, DEAD), 4), **(partitions or {})}
    _check_route(route, counts, configs, log_append_time=log_append_time)


def test_topics_that_hold_the_promise_pass() -> None:
    check()
    check(stamp="CreateTime", log_append_time=False)


@pytest.mark.parametrize("topic", [OUT, CHANGELOG, DEAD])
@pytest.mark.parametrize("count", [3, 5])
def test_a_topic_with_other_partitions_than_its_source_is_refused(topic: str, count: int) -> None:
    with pytest.raises(WorkerMustEnd, match=f"{topic} has {count} partitions, in has 4"):
        check({topic: count})


def test_u2_what_is_told_again_from_the_state_may_have_another_number() -> None:
    retold = Retold((OUT,), b"s", lambda *_: [])
    check({OUT: 7}, route=replace(ROUTE, retold=retold))
    with pytest.raises(WorkerMustEnd, match=f"{DEAD} has 7"):
        check({DEAD: 7}, route=replace(ROUTE, retold=retold))


@pytest.mark.parametrize("policy", ["delete", "compact,delete", ""])
def test_a_changelog_that_may_lose_state_is_refused(policy: str) -> None:
    with pytest.raises(WorkerMustEnd, match="must be compact, and nothing else"):
        check(policy=policy)


def test_a_source_with_the_producers_time_is_refused_where_decisions_go_by_it() -> None:
    with pytest.raises(WorkerMustEnd, match="must be LogAppendTime"):
        check(stamp="CreateTime")


def failed(code: int) -> "Future[object]":
    answer: Future[object] = Future()
    answer.set_exception(KafkaException(KafkaError(code)))
    return answer


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "Grant this worker the rights"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "Create the topics first"),
    ],
)
def test_what_an_operator_must_do_about_a_topic_is_said(code: int, action: str) -> None:
    with pytest.raises(WorkerMustEnd, match=action):
        _answer("in", failed(code))


def test_any_other_error_is_no_word_about_the_topic() -> None:
    with pytest.raises(KafkaException):
        _answer("in", failed(KafkaError.REQUEST_TIMED_OUT))
