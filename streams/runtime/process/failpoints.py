"""The places of a worker where a test can make it die; how, see `infra.process.failpoints`."""

from collections.abc import Collection, Mapping
from typing import Self

from infra.process import failpoints
from infra.process.failpoints import FailpointReached

__all__ = ["NAMES", "OF_INTENTS", "OF_RECORDS", "FailpointReached", "Failpoints"]

OF_INTENTS = (
    "intents_committed",
    "call_begun",
    "call_answered",
    "answer_appended",
    "intents_settled",
)
"""Reached by routes with performers only, in this order: the steps of one call."""

OF_RECORDS = (
    "fetched",
    "decided",
    "transaction_begun",
    "records_produced",
    "offsets_added",
    "commit_requested",
    "commit_acknowledged",
    "store_written",
    "fenced",
    "claimed",
    "restored",
)
"""Reached by every worker."""

NAMES = OF_RECORDS + OF_INTENTS


class Failpoints(failpoints.Failpoints):
    """The armed failpoints of this worker."""

    def __init__(self, text: str, names: Collection[str] = NAMES) -> None:
        super().__init__(text, names)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], names: Collection[str] = NAMES) -> Self:
        return cls(environ.get("FAILPOINTS", ""), names)
