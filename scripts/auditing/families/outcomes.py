"""I4, I8, I19: each expected outcome as often as expected, byte for byte, in order, no other."""

from scripts.auditing.facts import Expected, Facts, Told
from scripts.auditing.report import Notes, differences


def check(facts: Facts, notes: Notes) -> None:
    """Compare every outcome in the topic with what its command must have led to."""
    last_trigger = -1
    for told in facts.told:
        expected = facts.expected.get(told.outcome_id)
        if expected is None:
            message = (
                f"outcome {told.outcome_id} at offset {told.record.offset} belongs to no command"
            )
            notes.bad("I8", "phantom outcome", told.at, message, **told.where)
            continue
        # A release that comes after the lapse is answered with it once more.
        notes.report.lapses += told.turn == 0 and not told.outcome_id.endswith(":0")
        compare(facts, told, expected[0], notes)
        if told.turn >= len(expected):
            count_repeat(facts, told, expected, notes)
            continue
        notes.report.reasons[told.fields.get("reason") or told.name] += 1
        trigger = expected[told.turn].trigger
        if trigger < last_trigger:
            message = f"{told.outcome_id} follows a later one"
            notes.bad("I19", "reordered", trigger, message, **told.where)
        last_trigger = max(last_trigger, trigger)
    find_missing(facts, notes)


def compare(facts: Facts, told: Told, expected: Expected, notes: Notes) -> None:
    """Note an outcome that is not what it must be."""
    value = told.record.value or b""
    # What a worker of an earlier release told is compared by what it says.
    is_same = told.name == expected.name and (
        expected.body == value[5:]
        or expected.body == facts.log.wire.present_form(told.name, value, told.fields)
    )
    if not is_same:
        difference = differences(expected.name, expected.fields, told.name, told.fields)
        invariant = "I4" if "seats" in difference else "I8"
        message = f"{told.outcome_id}: {difference}"
        notes.bad(invariant, "wrong outcome", told.at, message, **told.where)
    elif told.record.key != expected.key:
        message = f"{told.outcome_id}: {told.record.key!r}"
        notes.bad("I8", "wrong key", expected.trigger, message, **told.where)


def count_repeat(facts: Facts, told: Told, expected: list[Expected], notes: Notes) -> None:
    """Count an outcome that is there once more than its commands explain."""
    notes.report.repeated += 1
    if not facts.allow_repeats:
        message = (
            f"outcome {told.outcome_id} is there {told.turn + 1} times,"
            f" commands explain {len(expected)}"
        )
        notes.bad("I8", "duplicate effect", expected[0].trigger, message, **told.where)


def find_missing(facts: Facts, notes: Notes) -> None:
    """Note every outcome that is there less often than its commands explain."""
    report = notes.report
    for outcome_id, expected in facts.expected.items():
        report.distinct_outcomes += 1
        report.duplicate_commands += len(expected) - 1
        found = facts.times.get(outcome_id, 0)
        if found >= len(expected):
            continue
        report.lost += len(expected) - found
        one = expected[found]
        notes.bad(
            "I8",
            "lost write",
            one.trigger,
            f"{one.name} {outcome_id} is missing",
            reservation_id=one.key.decode(),
            section=one.fields["request"]["section"],
        )
