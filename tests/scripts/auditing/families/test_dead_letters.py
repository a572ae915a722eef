"""What nobody can read or survive is a dead letter, once and byte for byte."""

from dataclasses import replace

from support.logs.audit_logs import letter_headers
from support.logs.facts_by_hand import facts_by_hand, findings, judged

from scripts.auditing.facts import Facts
from scripts.auditing.families.dead_letters import check
from scripts.auditing.topics import LogRecord

ORIGINAL = LogRecord(4, 1, b"key", b"value")
LETTER = LogRecord(0, 1, b"key", b"value", letter_headers(0, 4, b"NOT_A_RECORD"))


def facts(*letters: LogRecord) -> Facts:
    """Return facts with one unreadable command, at offset 4, and these dead letters."""
    made = facts_by_hand()
    made.unreadable[4] = ORIGINAL
    made.log.dead_letters[0] = list(letters)
    return made


def test_one_letter_with_the_bytes_of_the_original_is_right() -> None:
    report = judged(check, facts(LETTER))
    assert (report.violations, report.dead_letters) == ([], 1)


def test_none_is_a_loss_and_two_are_one_too_many() -> None:
    assert findings(check, facts()) == [("I23", "lost write", 4)]
    assert findings(check, facts(LETTER, LETTER)) == [("I23", "duplicate effect", 4)]


def test_other_bytes_are_a_torn_letter() -> None:
    for torn in (replace(LETTER, value=b"valu"), replace(LETTER, key=None)):
        assert findings(check, facts(torn)) == [("I23", "torn dead letter", 4)]


def test_a_command_that_was_set_aside_has_one_too() -> None:
    made = facts(LETTER)
    made.set_aside[6] = LogRecord(6, 1, b"key", b"readable")
    assert findings(check, made) == [("I23", "lost write", 6)]


def test_a_letter_of_a_readable_command_is_a_phantom() -> None:
    phantom = replace(LETTER, headers=letter_headers(0, 5, b"NOT_A_RECORD"))
    assert findings(check, facts(LETTER, phantom)) == [("I23", "phantom dead letter", 5)]


def test_a_letter_of_nobody_is_foreign_and_one_behind_the_state_is_ahead() -> None:
    nobody = replace(LETTER, headers=letter_headers(1, 4, b"NOT_A_RECORD"))
    later = replace(LETTER, headers=letter_headers(0, 9, b"NOT_A_RECORD"))
    made = facts(LETTER, nobody, later)
    made.read_to = 9
    report = judged(check, made)
    assert (report.violations, report.dead_letters, report.ahead) == ([], 1, 1)
    assert report.foreign["dead-letter-queue"].count == 1


def of_payments(*letters: LogRecord) -> Facts:
    """Return facts with one unreadable record of payments, at offset 4, and these dead letters."""
    made = facts_by_hand()
    made.log.payments[0] = [ORIGINAL, replace(ORIGINAL, offset=5)]
    made.purchases.unreadable.add(4)
    made.log.dead_letters[0] = list(letters)
    return made


def letter_of_payments(offset: int) -> LogRecord:
    headers = dict(letter_headers(0, offset, b"NOT_A_RECORD"))
    return replace(
        LETTER, headers=(*(headers | {"dead-letter-topic": b"payment-commands"}).items(),)
    )


def test_what_nobody_can_read_of_payments_has_one_letter_and_others_one_at_most() -> None:
    letter, other = letter_of_payments(4), letter_of_payments(5)
    for letters in ((letter,), (letter, other)):
        report = judged(check, of_payments(*letters))
        assert (report.violations, report.foreign) == ([], {})
        assert report.dead_letters == len(letters)
    assert findings(check, of_payments()) == [("I23", "lost write", 4)]
    assert findings(check, of_payments(letter, other, other)) == [("I23", "duplicate effect", 5)]
    torn = replace(letter, value=b"valu")
    assert findings(check, of_payments(torn)) == [("I23", "torn dead letter", 4)]
    nobody = letter_of_payments(9)
    assert findings(check, of_payments(letter, nobody)) == [("I23", "phantom dead letter", 9)]


def test_what_says_what_an_operator_did_is_neither_a_letter_nor_foreign() -> None:
    for name in ("redrive-of", "operator-action"):
        mark = replace(LETTER, headers=((name, b"x"),))
        report = judged(check, facts(LETTER, mark))
        assert (report.violations, report.dead_letters, report.foreign) == ([], 1, {})
    # A letter is one whatever its original's headers are called.
    both = replace(LETTER, headers=(("redrive-of", b"x"), *LETTER.headers))
    assert judged(check, facts(both)).dead_letters == 1
