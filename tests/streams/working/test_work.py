"""What a worker says of itself is checked where it is said."""

import pytest

from streams.working.work import Work, no_answer, nothing_due


@pytest.mark.parametrize("role", ["", "two words", "colon:ed", "hash#"])
def test_a_role_whose_name_could_be_read_in_two_ways_is_refused(role: str) -> None:
    with pytest.raises(ValueError, match="is no role"):
        Work(role, "purchase-created", lambda _: None)


def test_who_only_begins_takes_no_answers_in_and_sets_no_timers() -> None:
    work = Work("post", "purchase-created", lambda _: None)
    assert (work.answered, work.woken) == (no_answer, nothing_due)
    assert work.is_critical
