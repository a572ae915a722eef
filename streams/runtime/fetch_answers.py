"""Which partitions a consumer can read, and for how long it could not read the others.

aiokafka raises only two of the errors that a fetch can be answered with. It logs every other error
and retries at once, and it does not report at all that a partition has no leader or a silent one.
So this module looks at each answer to a fetch, and names the partitions that could not be read for
some time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from faust.types import TP

FAILING_S: Final = 5.0
"""Seconds for which a partition's fetches may be answered with errors: longer than it takes until
a new leader is known."""

SILENT_S: Final = 25.0
"""Seconds for which a partition's fetches may stay unanswered: longer than the time-out of a fetch
to a frozen broker."""

_ROUND_S_MAX: Final = 1.0
# A broker that answers with an error at once would be asked thousands of times a second.
_RETRY_S: Final = 0.1


_NONE: Final = (0, 0)


class Readable(NamedTuple):
    """What one round of fetching showed.

    unread: by partition, why it cannot be read.
    read:   partitions for which a fetch was answered without an error.
    """

    unread: dict[TP, str]
    read: list[TP]


class FetchAnswers:
    """The answers to one consumer's fetches; the consumer's thread writes, another one judges.

    failing_s: seconds for which the fetches of a partition may be answered with errors.
    silent_s:  seconds for which they may stay without an answer.
    """

    def __init__(self, failing_s: float = FAILING_S, silent_s: float = SILENT_S) -> None:
        self._failing_s_max = failing_s
        self._silent_s_max = silent_s
        # By topic and partition: the number of the last response that tells of it, and its error
        # code there.
        self._newest: dict[tuple[str, int], tuple[int, int]] = {}
        self._responses = self._heard = 0
        self._nobody_s = 0.0
        self._seen: dict[TP, int] = {}
        # By partition whose last answer was an error, for how long; by partition, for how long no
        # answer came.
        self._failing_s: dict[TP, float] = {}
        self._silent_s: dict[TP, float] = {}

    def is_nobody_heard(self) -> bool:
        """Say whether no broker has answered any fetch for more than `silent_s` seconds."""
        return self._nobody_s > self._silent_s_max

    def listen_to(self, client: Any) -> None:
        """Take note of every answer to a fetch that this client of aiokafka gets."""
        send = client.send

        async def listening(node_id: int, request: Any, **options: Any) -> Any:
            response = await send(node_id, request, **options)
            if isinstance(request, FetchRequest) and self._take(request, response):
                await asyncio.sleep(_RETRY_S)
            return response

        client.send = listening

    def judge(self, partitions: AbstractSet[TP], round_s: float) -> Readable:
        """Say which of these partitions can be read; they were asked for during `round_s` seconds.

        The seconds of errors of a partition are kept over pauses in which nobody fetches from it,
        until it is read again. So a partition that is tried again and still answers with an error
        counts as unreadable with the first answer.
        """
        # During a longer round this process stood still: not the brokers' fault.
        round_s = min(round_s, _ROUND_S_MAX)
        found = Readable({}, [])
        # While no broker answers at all, no single partition is to blame.
        is_heard = self._heard != self._responses
        silence_s = round_s if is_heard else 0.0
        self._nobody_s = 0.0 if is_heard else self._nobody_s + round_s
        self._heard = self._responses
        for tp in self._seen.keys() - partitions:
            del self._seen[tp]
            self._silent_s.pop(tp, None)
        for tp in partitions:
            number, code = self._newest.get(tp, _NONE)
            # An answer from before the partition was asked for again says nothing about now.
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
            # Counting begins anew: a partition that stays silent is named again after as long a
            # time; whether its leader is back is asked elsewhere.
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
