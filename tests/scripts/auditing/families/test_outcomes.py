"""Each expected outcome is there as often as expected, byte for byte, in order, and no other."""

from dataclasses import replace

from support.logs.audit_logs import value_of
from support.logs.facts_by_hand import expected_as, facts_by_hand, findings, judged, outcome_of

from scripts.auditing.facts import Facts, Told
from scripts.auditing.families.outcomes import check

ONE = outcome_of("SeatsHeld", 1, "r1")
TWO = outcome_of("SeatsHeld", 2, "r2")


def facts(expected: list[Told], told: list[Told]) -> Facts:
    """Return facts with what must be told and what was, the turns counted."""
    made = facts_by_hand()
    for turn, one in enumerate(expected):
        made.sequence.append(expected_as(one, turn))
        made.expected[one.outcome_id].append(made.sequence[-1])
    for one in told:
        made.told.append(replace(one, turn=made.times[one.outcome_id]))
        made.times[one.outcome_id] += 1
    return made


def test_what_was_told_as_expected_is_counted_by_reason() -> None:
    refused = outcome_of("CommandRefused", 3, "r1")
    report = judged(check, facts([ONE, TWO, refused], [ONE, TWO, refused]))
    assert report.violations == []
    assert report.reasons == {"SeatsHeld": 2, "NOT_HELD": 1}
    assert (report.distinct_outcomes, report.lost, report.repeated) == (3, 0, 0)


def test_one_that_is_missing_is_lost() -> None:
    report = judged(check, facts([ONE, TWO], [TWO]))
    assert report.lost == 1
    assert [(each.anomaly, each.reservation_id) for each in report.violations] == [
        ("lost write", "r1")
    ]


def test_one_that_no_command_explains_is_a_phantom() -> None:
    assert findings(check, facts([ONE], [ONE, TWO])) == [("I8", "phantom outcome", 2)]


def test_one_that_is_there_too_often_is_noted_unless_the_group_was_rewound() -> None:
    twice = facts([ONE], [ONE, ONE])
    assert findings(check, twice) == [("I8", "duplicate effect", 1)]
    twice.allow_repeats = True
    report = judged(check, twice)
    assert (report.violations, report.repeated) == ([], 1)


def test_the_same_outcome_for_two_commands_is_there_twice() -> None:
    report = judged(check, facts([ONE, ONE], [ONE, ONE]))
    assert (report.violations, report.duplicate_commands) == ([], 1)
    assert findings(check, facts([ONE, ONE], [ONE])) == [("I8", "lost write", 1)]


def test_other_seats_are_a_torn_hold_and_other_words_a_wrong_outcome() -> None:
    for changes, invariant in (({"seats": []}, "I4"), ({"deadlineMs": 1}, "I8")):
        value = value_of(ONE.name, ONE.fields | changes)
        other = replace(ONE, fields=ONE.fields | changes, record=replace(ONE.record, value=value))
        assert findings(check, facts([ONE], [other])) == [(invariant, "wrong outcome", 1)]


def test_the_key_is_that_of_the_reservation() -> None:
    other = replace(ONE, record=replace(ONE.record, key=b"r9"))
    assert findings(check, facts([ONE], [other])) == [("I8", "wrong key", 1)]


def test_outcomes_come_in_the_order_of_their_commands() -> None:
    assert findings(check, facts([ONE, TWO], [TWO, ONE])) == [("I19", "reordered", 1)]


def test_outcomes_that_nobody_asked_for_are_lapses() -> None:
    lapse = outcome_of("ReservationReleased", 5, outcomeId="section-commands:0:5:1")
    assert judged(check, facts([lapse], [lapse])).lapses == 1
