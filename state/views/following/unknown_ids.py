"""Schema ids that nobody knew a moment ago: each is asked again after a while, and only so many.

Whoever reads a topic meets ids that strangers wrote. A question holds the reader up, and an id
that is remembered takes memory: both are bounded here, however many ids turn up.
"""

from collections.abc import Callable
from typing import Final

from serdes.decoding import TopicDecoder
from serdes.schema_source import SchemaSource

ASK_AGAIN_NS: Final = 10_000_000_000
"""So long a registry that does not know an id is not asked about it again."""

ASKED_MAX: Final = 1_000
"""Ids asked about in that time; one more is not known meanwhile, or ids would be asked anew."""


class UnknownIds:
    """What the reader of one topic asks about ids; all calls belong to its thread.

    clock_ns: any clock that only rises, in ns.
    """

    def __init__(
        self, schemas: SchemaSource, decoder: TopicDecoder, clock_ns: Callable[[], int]
    ) -> None:
        self._schemas = schemas
        self._decoder = decoder
        self._clock_ns = clock_ns
        # When each was asked about, the oldest first.
        self._asked_ns: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._asked_ns)

    def learn(self, schema_id: int) -> bool:
        """Ask about an id that the decoder does not know; say whether it knows it now.

        Raises what `SchemaSource.learn` does.
        """
        now_ns, asked_ns = self._clock_ns(), self._asked_ns
        if asked_ns and now_ns - next(iter(asked_ns.values())) >= ASK_AGAIN_NS:
            asked_ns = {one: at for one, at in asked_ns.items() if now_ns - at < ASK_AGAIN_NS}
            self._asked_ns = asked_ns
        if schema_id in asked_ns or len(asked_ns) >= ASKED_MAX:
            return False
        asked_ns[schema_id] = now_ns
        return self._schemas.learn(self._decoder, schema_id)
