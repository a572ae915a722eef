"""Bounds how often a reader asks the registry about schema ids that are not known.

A stranger may write any number of unknown ids to a topic. Each question to the registry holds the
reader up, and each remembered id takes memory. So an id is asked about once in `ASK_AGAIN_NS`, and
`ASKED_MAX` ids at most in that time.
"""

from collections.abc import Callable
from typing import Final

from serdes.decoding import TopicDecoder
from serdes.schema_source import SchemaSource

ASK_AGAIN_NS: Final = 10_000_000_000
"""How long the registry is not asked again about an id that it did not know."""

ASKED_MAX: Final = 1_000
"""How many ids are asked about in that time. Any other id counts as unknown until then: to forget
an older id instead would mean to ask about that one again."""


class UnknownIds:
    """The unknown ids of one topic; only the thread that reads the topic may call this.

    clock_ns: any clock that only rises, in ns.
    """

    def __init__(
        self, schemas: SchemaSource, decoder: TopicDecoder, clock_ns: Callable[[], int]
    ) -> None:
        self._schemas = schemas
        self._decoder = decoder
        self._clock_ns = clock_ns
        # When the registry was asked about each id, the oldest question first.
        self._asked_ns: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._asked_ns)

    def learn(self, schema_id: int) -> bool:
        """Ask the registry about an id, unless asked lately; say whether the decoder knows it now.

        Raises as `SchemaSource.learn`.
        """
        now_ns, asked_ns = self._clock_ns(), self._asked_ns
        if asked_ns and now_ns - next(iter(asked_ns.values())) >= ASK_AGAIN_NS:
            asked_ns = {one: at for one, at in asked_ns.items() if now_ns - at < ASK_AGAIN_NS}
            self._asked_ns = asked_ns
        if schema_id in asked_ns or len(asked_ns) >= ASKED_MAX:
            return False
        asked_ns[schema_id] = now_ns
        return self._schemas.learn(self._decoder, schema_id)
