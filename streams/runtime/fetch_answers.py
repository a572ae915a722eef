"""Which partitions the brokers let a consumer read, and for how long they have not let it.

aiokafka raises two of the errors that a fetch can be answered with. Of every other one it logs a
line and asks again at once, and of a partition without a leader, or whose leader answers nothing,
it says nothing at all. So the answers are looked at as they come in, and a partition that cannot
be read for a while is told of by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from faust.types import TP

FAILING_S: Final = 5.0
"""How long fetches may be answered with errors: more than a new leader takes to be known."""

SILENT_S: Final = 25.0
"""How long a fetch may go without any answer: more than one that a frozen broker does not give."""

_ROUND_S_MAX: Final = 1.0
# So that an error that is answered at once is not asked for thousands of times a second.
_RETRY_S: Final = 0.1


_NONE: Final = (0, 0)


class Readable(NamedTuple):
    """What a round of fetching showed.

    unread: why a partition cannot be read.
    read:   partitions that a fetch was answered of without an error.
    """

    unread: dict[TP, str]
    read: list[TP]


class FetchAnswers:
    """The answers to one consumer's fetches; the consumer's thread writes, another one judges.

    failing_s: how long fetches may be answered with errors.
    silent_s:  how long they may go without an answer.
    """

    def __init__(self, failing_s: float = FAILING_S, silent_s: float = SILENT_S) -> None:
        self._failing_s_max = failing_s
        self._silent_s_max = silent_s
        # By topic and partition: number of the response that told of it last, and error code.
        self._newest: dict[tuple[str, int], tuple[int, int]] = {}
        self._responses = self._heard = 0
        self._nobody_s = 0.0
        self._seen: dict[TP, int] = {}
        # By partition whose last answer was an error, and by one that is asked for and not told.
        self._failing_s: dict[TP, float] = {}
        self._silent_s: dict[TP, float] = {}

    def is_nobody_heard(self) -> bool:
        """Say whether no broker answered any fetch for as long as a partition may be silent."""
        return self._nobody_s > self._silent_s_max

    def listen_to(self, client: Any) -> None:
        """Look at every answer to a fetch that a client of aiokafka gets."""
        send = client.send

        async def listening(node_id: int, request: Any, **options: Any) -> Any:
            response = await send(node_id, request, **options)
            if isinstance(request, FetchRequest) and self._take(request, response):
                await asyncio.sleep(_RETRY_S)
            return response

        client.send = listening

    def judge(self, partitions: AbstractSet[TP], round_s: float) -> Readable:
        """Say what can be read of the partitions that were just asked for so long.

        Errors of a partition add up over pauses in which nobody asks, until it is read: whoever
        tries it again learns with the first answer that nothing has changed.
        """
        # A process that stood still has not waited for anybody.
        round_s = min(round_s, _ROUND_S_MAX)
        found = Readable({}, [])
        # Where nobody answers at all it is the trouble of no partition.
        is_heard = self._heard != self._responses
        silence_s = round_s if is_heard else 0.0
        self._nobody_s = 0.0 if is_heard else self._nobody_s + round_s
        self._heard = self._responses
        for tp in self._seen.keys() - partitions:
            del self._seen[tp]
            self._silent_s.pop(tp, None)
        for tp in partitions:
            number, code = self._newest.get(tp, _NONE)
            # What was answered before it was asked for again says nothing.
            if self._seen.setdefault(tp, number) == number:
                if tp in self._failing_s:
                    self._failing_s[tp] += round_s
                self._wait_on(tp, silence_s, found)
                continue
            self._seen[tp] = number
            self._silent_s.pop(tp, None)
            if not code:
                self._failing_s.pop(tp, None)
                found.read.append(tp)
                continue
            failing_s = self._failing_s[tp] = self._failing_s.get(tp, 0.0) + round_s
            if failing_s > self._failing_s_max:
                found.unread[tp] = _failing(code)
        return found

    def _wait_on(self, tp: TP, round_s: float, found: Readable) -> None:
        silent_s = self._silent_s[tp] = self._silent_s.get(tp, 0.0) + round_s
        if silent_s > self._silent_s_max:
            # Again only after as long: whether its leader is back is asked for otherwise.
            del self._silent_s[tp]
            found.unread[tp] = (
                f"no fetch was answered for {silent_s:.0f} s; its leader is away, or it has none"
            )

    def _take(self, request: FetchRequest, response: Any) -> bool:
        """Note an answer; say whether it holds an error."""
        self._responses = number = self._responses + 1
        whole = getattr(response, "error_code", 0)
        if whole:
            for topic, asked in request.topics:
                for partition, *_ in asked:
                    self._newest[topic, partition] = number, whole
            return True
        failed = False
        for topic, answered in response.topics:
            for part in answered:
                code = part[1]
                self._newest[topic, part[0]] = number, code
                failed = failed or code != 0
        return failed


def _failing(code: int) -> str:
    name = for_code(code).__name__
    return f"fetches are answered with {name} (error code {code}); its leader's log says more"
