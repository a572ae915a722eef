"""Users in a thread of their own begin when they are let in, and end when they are asked to."""

import asyncio
import threading

import pytest

from scripts.traffic.own_loop import OwnLoop

PATIENCE_S = 60.0


class Patient(OwnLoop):
    """One user who is in until it is over, or makes a mistake."""

    def __init__(self, mistake: Exception | None = None) -> None:
        super().__init__("patient")
        self.is_in = threading.Event()
        self.has_left = False
        self._mistake = mistake

    async def everybody(self) -> None:
        if self._mistake is not None:
            raise self._mistake
        self.is_in.set()
        while not self.is_over:  # noqa: ASYNC110  (another thread says so)
            await asyncio.sleep(0.001)
        self.has_left = True


def test_users_are_in_from_the_start_until_it_is_closed() -> None:
    users = Patient()
    users.start()
    assert users.is_in.wait(PATIENCE_S)
    assert (users.is_open, users.has_left) == (True, False)
    users.close(PATIENCE_S)
    assert (users.is_open, users.has_left) == (False, True)
    assert users.failure is None


def test_who_was_never_let_in_can_be_closed() -> None:
    users = Patient()
    users.close(PATIENCE_S)
    assert users.is_over
    assert not users.is_open


@pytest.mark.parametrize("mistake", [ZeroDivisionError(), ExceptionGroup("two", [ValueError()])])
def test_a_mistake_is_kept_for_who_looks(mistake: Exception) -> None:
    users = Patient(mistake)
    users.start()
    users.close(PATIENCE_S)
    assert not users.is_open
    assert users.failure is mistake
