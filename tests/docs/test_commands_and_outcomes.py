"""The page names every command, outcome, reason and cause that there is, and no other."""

from support.pages.document_pages import DOCS, code_in, section_of, table_rows

from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS, Topic
from serdes import decoding
from serdes.wire import VALUE_BYTES_MAX
from state.domain.reasons import Reason
from streams.change_sections.fold import STATE_BYTES_MAX
from streams.folding.log_time import CLOCK_SKEW_MS
from streams.issue_purchases import PURCHASE_FULL
from streams.runtime.transactions.crash_journal import DEATHS_LIMIT
from streams.runtime.transactions.dead_letters import LOST
from streams.runtime.transactions.input_partition import QUARANTINED
from streams.runtime.transactions.schema_questions import WAIT_S
from streams.working.answers import BAD_ANSWER
from streams.working.events import BAD_EVENT_ID
from streams.working.kept import (
    ATTEMPTS_EXHAUSTED,
    KEPT_BYTES_MAX,
    LINE_FULL,
    LINE_MAX,
    TOO_LARGE_TO_WAIT,
)

PAGE = DOCS / "commands-and-outcomes.md"
CAUSES = {
    decoding.EMPTY,
    decoding.TOO_LARGE,
    decoding.BAD_HEADER,
    decoding.FOREIGN_SUBJECT,
    decoding.BAD_SCHEMA,
    decoding.BAD_BODY,
    decoding.BAD_RECORD_HEADERS,
    decoding.UNKNOWN_SCHEMA,
    LOST,
    QUARANTINED,
    ATTEMPTS_EXHAUSTED,
    TOO_LARGE_TO_WAIT,
    LINE_FULL,
    PURCHASE_FULL,
    BAD_ANSWER,
    BAD_EVENT_ID,
}


def first_words(heading: str) -> list[str]:
    """Return what the first column of a heading's tables has in backticks."""
    return [word for row in table_rows(PAGE, heading) for word in code_in(row[0])]


def short_names(topic: Topic) -> list[str]:
    return [name.rpartition(".")[2] for name in topic.records]


def test_every_reason_is_explained_in_the_order_of_the_schema() -> None:
    assert first_words("Reasons") == [reason.name for reason in Reason]


def test_every_command_and_every_outcome_is_explained() -> None:
    expected = sorted(short_names(SECTION_COMMANDS) + short_names(RESERVATION_OUTCOMES))
    assert sorted(first_words("Sending")) == expected


def test_every_cause_of_a_dead_letter_is_explained() -> None:
    listed = first_words("Dead letters")
    assert len(listed) == len(CAUSES)
    assert set(listed) == CAUSES


def test_every_rung_of_the_ladder_is_a_reason() -> None:
    words = set(code_in(section_of(PAGE, "In which order a command is decided")))
    reasons = {word for word in words if word.isupper()}
    # HOLD_LIMIT and UNSPECIFIED are never sent; INTERNAL is no rule.
    apart = {Reason.HOLD_LIMIT, Reason.UNSPECIFIED, Reason.INTERNAL}
    assert reasons == {reason.name for reason in set(Reason) - apart}


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"plus {CLOCK_SKEW_MS // 1000} s" in text
    assert f"exceed {STATE_BYTES_MAX // 1024} KiB" in text
    assert f"more than {VALUE_BYTES_MAX // 1024} kB" in text
    assert f"at most {WAIT_S:.0f} s an hour" in text
    assert DEATHS_LIMIT == 3
    assert f"the {KEPT_BYTES_MAX // 1024} KiB that are kept" in text
    assert f"{LINE_MAX:,} records of its key" in text
    assert f"more than {decoding.HEADERS_MAX} headers" in text
