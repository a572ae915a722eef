"""What is read and folded of a partition, before anybody judges it."""

import gc
from collections import Counter
from dataclasses import replace
from types import FunctionType, ModuleType

import pytest
from support.carts.cart_logs import log_with_payments, paid
from support.logs.audit_logs import START_MS, letter_headers, sound_log
from support.payments.shop import whole_sale

from scripts.auditing.checks import judge
from scripts.auditing.facts import (
    HEADERS_BYTES_MAX,
    HEADERS_MAX,
    Done,
    Expected,
    Facts,
    Told,
    Traces,
    facts_of,
    judge_headers,
    origin_of,
)
from scripts.auditing.log import Log
from scripts.auditing.oracle.model import Oracle
from scripts.auditing.oracle.seats import Section
from scripts.auditing.oracle.words import Reservation
from scripts.auditing.purchases import Payment
from scripts.auditing.report import Notes, Report
from scripts.auditing.schemas import Unreadable
from scripts.auditing.topics import LogRecord


@pytest.fixture
def log() -> Log:
    return sound_log(7, 120, partitions=1)


def read(log: Log, traces: Traces | None = None) -> tuple[Facts, Report]:
    report = Report()
    return facts_of(log, Notes(0, report), traces=traces), report


def test_every_command_is_counted_as_what_it_is(log: Log) -> None:
    facts, report = read(log)
    counted = report.commands + report.ticks + report.ignored + len(facts.unreadable)
    assert counted == len(log.commands[0])
    assert facts.unreadable
    assert facts.undecided == []


def test_a_sound_log_tells_what_is_expected_in_its_order(log: Log) -> None:
    facts, _ = read(log)
    assert [one.outcome_id for one in facts.told] == [
        one.fields["outcomeId"] for one in facts.sequence
    ]
    assert [(one.record.value or b"")[5:] for one in facts.told] == [
        one.body for one in facts.sequence
    ]


def test_outcomes_are_read_the_same_when_one_before_them_is_missing(log: Log) -> None:
    whole = [one.fields for one in read(log)[0].told]
    del log.outcomes[0][5]
    assert [one.fields for one in read(log)[0].told] == [*whole[:5], *whole[6:]]


def test_a_second_time_is_told_as_such_and_followed_no_more(log: Log) -> None:
    last = log.outcomes[0][-1]
    before = read(log)[0]
    log.outcomes[0] += [replace(last, offset=last.offset + more) for more in (1, 2)]
    facts = read(log)[0]
    assert [one.turn for one in facts.told[-2:]] == [
        before.told[-1].turn + 1,
        before.told[-1].turn + 2,
    ]
    assert len(facts.followed) == len(before.followed)


def test_what_the_state_does_not_have_is_undecided(log: Log) -> None:
    end = log.commands[0][-1].offset + 1
    log.commands[0].append(LogRecord(end, START_MS, None, None))
    assert [record.offset for record in read(log)[0].undecided] == [end]


def test_traces_hold_what_became_of_the_wanted_alone(log: Log) -> None:
    held = next(one for one in read(log)[0].told if one.name == "SeatsHeld")
    wanted = held.fields["request"]["reservationId"]
    traces = Traces(frozenset({wanted}))
    told = [one for one in read(log, traces)[0].told if one.where["reservation_id"] == wanted]
    assert traces.outcomes.keys() == traces.commands.keys() == {wanted}
    assert traces.outcomes[wanted].keys() == {one.outcome_id for one in told}


def test_headers_up_to_the_bounds_are_taken() -> None:
    def record(*headers: tuple[str, bytes | None]) -> LogRecord:
        return LogRecord(0, 0, None, None, headers)

    judge_headers(record(*[("h", None)] * HEADERS_MAX))
    judge_headers(record(("é", bytes(HEADERS_BYTES_MAX - 2))))
    for too_many in (
        record(*[("h", None)] * (HEADERS_MAX + 1)),
        record(("é", bytes(HEADERS_BYTES_MAX - 1))),
    ):
        with pytest.raises(Unreadable, match="headers of"):
            judge_headers(too_many)


def test_the_origin_of_a_dead_letter_is_what_its_last_headers_say() -> None:
    ours = letter_headers(2, 41, b"NOT_A_RECORD")
    assert origin_of(LogRecord(0, 0, None, None, ours), 2) == 41
    assert origin_of(LogRecord(0, 0, None, None, ours), 1) == -1
    # The original may have had headers of the same names.
    assert origin_of(LogRecord(0, 0, None, None, (*letter_headers(1, 7, b""), *ours)), 2) == 41
    for headers in ((), ours[1:], (*ours, ("dead-letter-offset", "²".encode()))):
        assert origin_of(LogRecord(0, 0, None, None, headers), 2) == -1


def kinds_in(*values: object) -> Counter[type]:
    """Count all that these hold, whatever lies in whatever, by its kind."""
    seen: dict[int, object] = {}
    waiting = list(values)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen[id(one)] = one
        waiting += gc.get_referents(one)
    return Counter(map(type, seen.values()))


@pytest.mark.parametrize("log", [whole_sale().log(), log_with_payments(paid())])
def test_of_a_partition_that_was_judged_nothing_is_kept_but_what_others_are_compared_with(
    log: Log,
) -> None:
    parts = [judge(log, partition) for partition in range(log.partitions)]
    told = [(part.kept, part.carts, part.claims) for part in parts]
    kinds = kinds_in(*told)
    assert kinds[Done] == sum(len(part.kept.done) for part in parts) > 0
    assert not kinds.keys() & {LogRecord, Expected, Told, Facts, Oracle, Reservation, Section}
    # Of a payment what it costs, and whose it is; of a cart's, how it stands.
    of_carts = sum(len(part.carts.payments) for part in parts)
    assert kinds[Payment] == of_carts
    assert not any(paid.payment.told for part in parts for paid in part.carts.payments.values())
