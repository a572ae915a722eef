"""How parts of a pod begin and end: on the loop, or in a thread of their own."""

import asyncio
import threading

import pytest

from api.parts.part import closed, started


class Threaded:
    """Ends like a part with a thread: whoever closes it is held up."""

    def __init__(self) -> None:
        self.started_in = self.closed_in = 0
        self.may_end = threading.Event()

    def start(self) -> None:
        self.started_in = threading.get_ident()

    def close(self) -> None:
        assert self.may_end.wait(60)
        self.closed_in = threading.get_ident()


class OnLoop:
    """Begins and ends like a part on the loop."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.happened.append("started")

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.happened.append("closed")


def test_a_part_that_blocks_while_it_closes_does_not_hold_up_the_loop() -> None:
    part = Threaded()

    async def scenario() -> None:
        await started(part)
        closing = asyncio.create_task(closed(part))
        # The loop has turns although nobody lets the part end yet.
        for _ in range(10):
            await asyncio.sleep(0)
        assert not closing.done()
        part.may_end.set()
        await closing

    asyncio.run(scenario())
    assert part.started_in == threading.get_ident()
    assert part.closed_in not in {0, threading.get_ident()}


def test_a_part_on_the_loop_has_ended_when_it_is_called_closed() -> None:
    part = OnLoop()

    async def scenario() -> None:
        await started(part)
        assert part.happened == ["started"]
        await closed(part)

    asyncio.run(scenario())
    assert part.happened == ["started", "closed"]


def test_what_fails_at_the_end_is_told_to_who_closes_it() -> None:
    class Broken(OnLoop):
        async def close(self) -> None:
            raise ZeroDivisionError

    class BrokenThread(Threaded):
        def close(self) -> None:
            raise ZeroDivisionError

    for part in (Broken(), BrokenThread()):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(closed(part))
