"""Counts the records of each key, exactly once: the batch runtime without a seat in sight.

Create `words`, `counts`, `counts-changelog` (compact) and `words-dead` with as many partitions
each, then run `faust -A docs.examples.count_per_key worker --without-web`.
"""

import os

from streams.batch import Batch, Effects, State
from streams.route import Route
from streams.runtime.app import BatchApp
from streams.settings import Settings


def count(batch: Batch, state: State, log_time_ms: int) -> Effects:  # noqa: ARG001
    effects = Effects()
    for record in batch.records:
        key = record.key or b""
        total = int(state.get(key) or 0) + 1
        state.put(key, b"%d" % total)
        effects.to("counts").append((key, b"%d" % total))
    return effects


ROUTE = Route("count", "words", count, ("counts",), "counts-changelog", "words-dead")


def __getattr__(name: str) -> BatchApp:
    if name != "app":
        raise AttributeError(name)
    return BatchApp(Settings.from_env(os.environ), [ROUTE], log_append_time=False)
