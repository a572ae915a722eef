"""What is told of a queue as a whole; what a queue does, its suite holds."""

from state.domain.booking_queue.queue import Standing


def test_who_waits_for_another_attempt_or_is_worked_on_counts_for_the_length() -> None:
    standing = Standing(*[0] * 14)._replace(waiting=5, later=3, taken=2, dead=7, completed=9)
    assert standing.length == 10
