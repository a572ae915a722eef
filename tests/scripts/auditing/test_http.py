"""The judge of HTTP answers passes what a sound pod says and flags every lie."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole
from support.logs.http_histories import EVENT_ID, PARTITIONS, Judged, sound_history

from scripts.auditing.facts import Traces
from scripts.auditing.http import (
    OUTCOME_OF,
    Before,
    HttpReport,
    as_text,
    audit_http,
    reservation_id,
    reservation_ids,
)
from scripts.auditing.http_history import Act, Exchange, History, Kind, Sighting

Answer = dict[str, Any]
Mutation = Callable[[Judged], None]
Picked = Callable[[Exchange, Answer], bool]

SEED = 11


@pytest.fixture(scope="module")
def sound() -> Judged:
    return sound_history(SEED, 400)


def judge(judged: Judged) -> HttpReport:
    return audit_http(judged.history, judged.traces, PARTITIONS)


@settings(max_examples=of_whole(20))
@given(st.integers(0, 10_000))
def test_what_a_sound_pod_says_passes(seed: int) -> None:
    report = judge(sound_history(seed))
    assert report.is_exact, as_text(report)
    assert report.requests == report.ok + report.refused + report.pending


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20), st.integers(0, 21)
)
def test_before_is_the_highest_value_that_was_told_earlier(
    told: list[tuple[int, int]], moment: int
) -> None:
    earlier = [value for at, value in told if at < moment]
    assert Before(told).at(moment) == max(earlier, default=-1)


def test_the_history_that_is_mutated_holds_every_kind_of_answer(sound: Judged) -> None:
    report = judge(sound)
    assert report.is_exact, as_text(report)
    assert report.refused_from_memory
    seen = {(one.act, one.kind(one.document())) for one in sound.history.exchanges}
    assert seen >= {(act, Kind.OK) for act in (Act.LOOK, *OUTCOME_OF)}
    assert (Act.RESERVE, Kind.PENDING) in seen
    reasons = {one.document().get("reason") for one in sound.history.exchanges}
    assert reasons >= {"SOLD_OUT", "NO_ADJACENT_SEATS", "IDEMPOTENCY_KEY_REUSED"}


def find(judged: Judged, wanted: Picked, skip: int = 0) -> tuple[int, Exchange, Answer]:
    for index, one in enumerate(judged.history.exchanges):
        answer = one.document()
        if wanted(one, answer):
            if not skip:
                return index, one, answer
            skip -= 1
    raise AssertionError("the history has no such answer")


def ok(act: Act) -> Picked:
    return lambda one, answer: one.act is act and one.kind(answer) is Kind.OK


def told(wanted: Picked, **changes: Any) -> Mutation:
    """Change members of one answer; a function gets the old value."""

    def mutate(judged: Judged) -> None:
        index, one, answer = find(judged, wanted)
        for name, change in changes.items():
            answer[name] = change(answer[name]) if callable(change) else change
        body = json.dumps(answer).encode()
        judged.history.exchanges[index] = replace(one, body=body)

    return mutate


def asked(wanted: Picked, **changes: Any) -> Mutation:
    """Change what was asked, or how it was answered."""

    def mutate(judged: Judged) -> None:
        index, one, _ = find(judged, wanted)
        judged.history.exchanges[index] = replace(one, **changes)

    return mutate


def in_first_section(**changes: Any) -> Callable[[list[Answer]], list[Answer]]:
    def change(sections: list[Answer]) -> list[Answer]:
        first = {name: sections[0][name] + more for name, more in changes.items()}
        return [{**sections[0], **first}, *sections[1:]]

    return change


def refused_from_memory(_: Exchange, answer: Answer) -> bool:
    return answer.get("source") == "view"


def refused_by_the_log(_: Exchange, answer: Answer) -> bool:
    return bool(answer.get("decided"))


def problem(reason: str) -> bytes:
    return json.dumps({"reason": reason}).encode()


def look_before_its_time(judged: Judged) -> None:
    """Have a look show an older version than one before it."""
    looks = [
        (index, one, one.document()["sections"])
        for index, one in enumerate(judged.history.exchanges)
        if one.act is Act.LOOK
    ]
    last, one, sections = looks[-1]
    for _, _, others in looks:
        for other in others:
            if other["section"] == sections[0]["section"] and other != sections[0]:
                told(lambda each, _: each is one, sections=[other, *sections[1:]])(judged)
                return
    raise AssertionError(f"look {last} is alone")


def see_more_before_a_look(judged: Judged) -> None:
    _, one, answer = find(judged, ok(Act.LOOK), skip=5)
    seen_ns = one.invoked_ns - answer["staleness_ms"] * 1_000_000 - 1
    entry = answer["sections"][0]
    judged.history.sightings.append(
        Sighting(seen_ns, EVENT_ID, entry["section"], entry["version"] + 1)
    )


def demand_more_of_a_look(judged: Judged) -> None:
    _, one, answer = find(judged, ok(Act.LOOK))
    version = max(entry["version"] for entry in answer["sections"])
    asked(lambda each, _: each is one, least_version=version + 1)(judged)


def refuse_what_fits(judged: Judged) -> None:
    """Refuse one seat at a version that had free ones."""
    index, one, answer = find(judged, refused_from_memory)
    section = judged.traces.sections[EVENT_ID, one.section]
    version = next(counts[1] for counts in section.history if counts[2] > 0)
    body = json.dumps({**answer, "version": version}).encode()
    judged.history.exchanges[index] = replace(one, body=body, quantity=1)


def see_seats_come_back_before_a_refusal(judged: Judged) -> None:
    """Have it known long before that the version of a refusal was not the last."""
    _, one, answer = find(judged, refused_from_memory)
    seen_ns = one.invoked_ns - answer["staleness_ms"] * 1_000_000 - 1
    judged.history.sightings.append(
        Sighting(seen_ns, EVENT_ID, one.section, answer["version"] + 1)
    )


def append_again(judged: Judged) -> None:
    _, one, _ = find(judged, ok(Act.RESERVE))
    commands = judged.traces.commands[reservation_id(one, PARTITIONS)]
    commands.append(commands[0])


def lose_an_event(judged: Judged) -> None:
    _, one, _ = find(judged, ok(Act.RESERVE))
    judged.traces.outcomes[reservation_id(one, PARTITIONS)].clear()


def decide_in_another_order(judged: Judged) -> None:
    """Have a request begin after another was answered whose command lies behind its own."""
    exchanges = judged.history.exchanges
    _, first, _ = find(judged, ok(Act.RESERVE))
    later_ns = max(
        one.returned_ns
        for one in exchanges
        if one.section == first.section and ok(Act.RESERVE)(one, one.document())
    )
    at = exchanges.index(first)
    moved = replace(first, invoked_ns=later_ns + 1, returned_ns=later_ns + 2)
    exchanges[at] = moved


def show_what_was(judged: Judged) -> None:
    """Have somebody shown the hold after its end was told of."""
    index, one, answer = find(
        judged, lambda one, answer: one.act is Act.SHOW and answer["status"] != "HELD"
    )
    held = next(
        other
        for other in judged.history.exchanges
        if reservation_id(other, PARTITIONS) == one.reservation_id
        and other.document().get("status") == "HELD"
    )
    late = replace(one, invoked_ns=one.returned_ns + 1, returned_ns=one.returned_ns + 2)
    judged.history.exchanges.append(replace(late, body=held.body))
    assert answer["outcome_id"] != held.document()["outcome_id"]
    assert index >= 0


def forget(judged: Judged) -> None:
    _, one, _ = find(judged, ok(Act.SHOW))
    late = replace(one, invoked_ns=one.returned_ns + 1, returned_ns=one.returned_ns + 2)
    judged.history.exchanges.append(replace(late, status=404, body=problem("UNKNOWN_RESERVATION")))


def one_more(number: int) -> int:
    return number + 1


MUTANTS: dict[str, tuple[Mutation, str]] = {
    "a look counts a seat too many": (
        told(ok(Act.LOOK), sections=in_first_section(free=1)),
        "I18 phantom counts",
    ),
    "a look shows a version that is not there yet": (
        told(ok(Act.LOOK), sections=in_first_section(version=999)),
        "I18 phantom counts",
    ),
    "a look goes back": (look_before_its_time, "I18 non-monotonic read"),
    "a look is older than it says": (see_more_before_a_look, "I18 older than told"),
    "a look lacks the own write": (demand_more_of_a_look, "I19 write not in read"),
    "a hold is of another outcome": (
        told(ok(Act.RESERVE), outcome_id="section-commands:0:99999:0"),
        "I20 no such event",
    ),
    "a hold's event is not in the log": (lose_an_event, "I20 no such event"),
    "a hold was asked for with another key": (
        asked(ok(Act.RESERVE), key="never"),
        "I20 no such event",
    ),
    "a hold has another deadline": (
        told(ok(Act.RESERVE), deadline_ms=one_more),
        "I20 other than its event",
    ),
    "a hold costs another amount": (
        told(ok(Act.RESERVE), amount=one_more),
        "I20 other than its event",
    ),
    "a hold is in another currency": (
        told(ok(Act.RESERVE), currency="USD"),
        "I20 other than its event",
    ),
    "a hold has another version": (
        told(ok(Act.RESERVE), version=one_more),
        "I20 other than its event",
    ),
    "a hold has other seats": (
        told(ok(Act.RESERVE), seats=[{"row": 9, "seat": 9}]),
        "I20 other seats",
    ),
    "a hold has a seat more than asked for": (
        asked(ok(Act.RESERVE), quantity=9),
        "I20 not what was asked",
    ),
    "a hold is not of the seats asked for": (
        asked(ok(Act.RESERVE), seats=((5, 5),)),
        "I20 not what was asked",
    ),
    "an extension ends later": (
        told(ok(Act.EXTEND), deadline_ms=one_more),
        "I20 other than its event",
    ),
    "a release is called a lapse": (
        told(ok(Act.RELEASE), cause="EXPIRED"),
        "I20 other than its event",
    ),
    "a release is answered with the hold": (told(ok(Act.RELEASE), status="HELD"), "I20 other"),
    "somebody else is shown a reservation": (
        asked(ok(Act.SHOW), user="thief"),
        "I20 somebody else's",
    ),
    "what was sold is shown as held": (show_what_was, "I19 non-monotonic read"),
    "what was shown is not known any more": (forget, "I19 forgotten"),
    "a refusal of the log has another reason": (
        told(refused_by_the_log, reason="NOT_OPEN"),
        "I20 no such refusal",
    ),
    "a refusal of the log is of another command": (
        told(refused_by_the_log, outcome_id="section-commands:0:99999:0"),
        "I20 no such refusal",
    ),
    "a hold is answered as not taken": (
        asked(ok(Act.RESERVE), status=503, body=problem("BROKER_UNAVAILABLE")),
        "I20 refused and appended",
    ),
    "a hold is answered as refused from memory": (
        asked(ok(Act.RESERVE), status=409, body=problem("SOLD_OUT")),
        "I20 refused and appended",
    ),
    "a hold is answered as another's key": (
        asked(ok(Act.RESERVE), status=422, body=problem("IDEMPOTENCY_KEY_REUSED")),
        "I20 refused and appended",
    ),
    "a request is appended twice": (append_again, "I20 appended twice"),
    "the log has another order than people": (decide_in_another_order, "I19 reordered"),
    "an answer is no JSON": (asked(ok(Act.SHOW), body=b"<html>"), "I20 unreadable answer"),
    "an answer is an error of ours": (asked(ok(Act.SHOW), status=500), "I20 unreadable answer"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_every_lie_is_flagged(sound: Judged, name: str) -> None:
    mutate, wanted = MUTANTS[name]
    judged = copy.deepcopy(sound)
    mutate(judged)
    report = judge(judged)
    flagged = {f"{one.invariant} {one.anomaly}" for one in report.disagreements}
    assert any(each.startswith(wanted) for each in flagged), flagged
    assert not report.is_exact


WRONG_REFUSALS: dict[str, Mutation] = {
    "of what was free": refuse_what_fits,
    "of what had come back": see_seats_come_back_before_a_refusal,
    "by a view that was too old": told(refused_from_memory, staleness_ms=5_001),
    "at a version that never was": told(refused_from_memory, version=99_999),
    "of chosen seats for want of neighbours": asked(
        lambda _, answer: (
            answer.get("source") == "view" and answer["reason"] == "NO_ADJACENT_SEATS"
        ),
        seats=((0, 0), (1, 0)),
    ),
}


@pytest.mark.parametrize("name", WRONG_REFUSALS)
def test_every_wrong_refusal_is_counted(sound: Judged, name: str) -> None:
    judged = copy.deepcopy(sound)
    WRONG_REFUSALS[name](judged)
    assert judge(judged).wrong_refusals >= 1


@pytest.mark.parametrize("change", ["count", "lost", "phantom", "time"])
def test_the_last_view_must_be_the_state(sound: Judged, change: str) -> None:
    judged = copy.deepcopy(sound)
    view = json.loads(judged.history.final_view)
    if change == "count":
        view["sections"][0]["held"] += 1
    elif change == "time":
        view["sections"][0]["as_of_ms"] -= 1
    elif change == "lost":
        view["sections"].pop()
    else:
        view["sections"].append({**view["sections"][0], "section": "NOWHERE"})
    judged.history.final_view = json.dumps(view).encode()
    assert judge(judged).view_mismatches == 1


# --- carts -----------------------------------------------------------------------------------

CART = f"{'a' * 26}-1"


def part(status: str, *seats: int) -> Answer:
    return {"status": status, "seats": [{"row": 0, "seat": seat} for seat in seats]}


def told_of_cart(status: str, *parts: Answer, on_failure: str = "release") -> HttpReport:
    """Judge one answer about a cart; its parts 0 and 1 are held, 0 was sold, 2 is refused."""
    body = {"cart_id": CART, "status": status, "on_failure": on_failure, "parts": parts}
    one = Exchange(Act.CART, 1, 2, "u", EVENT_ID, status=200, body=json.dumps(body).encode())
    history = History(EVENT_ID, 5_000, [one])
    wanted = reservation_ids(history, PARTITIONS)
    assert wanted == {f"{CART}_{number}" for number in range(len(parts))}
    traces = Traces(wanted)
    held = {"seats": [{"row": 0, "first": 0, "count": 2}]}
    traces.outcomes[f"{CART}_0"] = {
        "1": ("SeatsHeld", held),
        "2": ("ReservationConfirmed", held),
    }
    traces.outcomes[f"{CART}_1"] = {"3": ("SeatsHeld", held)}
    traces.outcomes[f"{CART}_2"] = {"4": ("ReservationRejected", {})}
    return audit_http(history, traces, PARTITIONS)


@pytest.mark.parametrize(
    ("status", "parts", "on_failure"),
    [
        ("HELD", [part("HELD", 0, 1), part("HELD", 0, 1)], "release"),
        ("HELD", [part("SOLD", 0, 1), part("HELD", 0, 1)], "release"),
        ("ASKING", [part("HELD", 0, 1), part("PENDING"), part("REJECTED")], "release"),
        ("HELD", [part("HELD", 0, 1), part("HELD", 0, 1), part("REJECTED")], "keep"),
    ],
)
def test_a_cart_whose_parts_were_so_passes(
    status: str, parts: list[Answer], on_failure: str
) -> None:
    report = told_of_cart(status, *parts, on_failure=on_failure)
    assert (report.disagreements, report.ok) == ([], 1)


@pytest.mark.parametrize(
    ("anomaly", "status", "parts"),
    [
        ("no such event", "SOLD", [part("SOLD", 0, 1), part("SOLD", 0, 1)]),
        ("other seats", "HELD", [part("HELD", 0, 2), part("HELD", 0, 1)]),
        ("half held", "HELD", [part("HELD", 0, 1), part("HELD", 0, 1), part("REJECTED")]),
    ],
)
def test_a_cart_that_was_told_otherwise_is_flagged(
    anomaly: str, status: str, parts: list[Answer]
) -> None:
    assert {one.anomaly for one in told_of_cart(status, *parts).disagreements} == {anomaly}


def test_the_refusal_of_a_cart_names_no_outcome_and_is_none_of_the_judge_s() -> None:
    body = {"status": 409, "reason": "SOLD_OUT", "cart_id": CART, "decided": True}
    one = Exchange(Act.CART, 1, 2, "u", EVENT_ID, status=409, body=json.dumps(body).encode())
    history = History(EVENT_ID, 5_000, [one])
    report = audit_http(history, Traces(reservation_ids(history, PARTITIONS)), PARTITIONS)
    assert (report.disagreements, report.refused) == ([], 1)
