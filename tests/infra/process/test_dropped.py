"""Whoever drops a connection is asked again for a time; every other error is one at once."""

import http.client
import urllib.error
from collections.abc import Iterator

import pytest

from infra.process.dropped import FIRST_PAUSE_S, unless_dropped

DROPPED = (
    http.client.RemoteDisconnected("Remote end closed connection without response"),
    ConnectionResetError(104, "Connection reset by peer"),
    urllib.error.URLError(BrokenPipeError(32, "Broken pipe")),
    http.client.IncompleteRead(b"", 99),
)
ANOTHER = (
    urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")),
    TimeoutError("timed out"),
    http.client.BadStatusLine("nonsense"),
    ValueError("no JSON"),
)


@pytest.mark.parametrize("error", DROPPED)
def test_a_dropped_connection_is_asked_again_until_there_is_an_answer(error: Exception) -> None:
    answers: Iterator[Exception | str] = iter((error, error, "the answer"))

    def ask(left_s: float) -> str:
        assert 0 < left_s <= 60
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert unless_dropped(ask, 60) == "the answer"


@pytest.mark.parametrize("error", ANOTHER)
def test_every_other_error_is_raised_at_once(error: Exception) -> None:
    assert asked_in_vain(error, 60) == 1


@pytest.mark.parametrize("error", DROPPED)
def test_whoever_drops_every_connection_is_given_up_in_time(error: Exception) -> None:
    # The pauses alone: one is as long as all before it.
    assert asked_in_vain(error, 3 * FIRST_PAUSE_S) <= 3


def asked_in_vain(error: Exception, timeout_s: float) -> int:
    """Return how often was asked before the error was raised."""
    times = 0

    def ask(left_s: float) -> None:
        nonlocal times
        times += 1
        raise error

    with pytest.raises(type(error)) as raised:
        unless_dropped(ask, timeout_s)
    assert raised.value is error
    return times
