"""How many examples an expensive property gets."""

from hypothesis import settings

WHOLE = 100
"""Examples of other properties in the whole command, which has profile `ci`."""


def of_whole(count: int, at_least: int = 3) -> int:
    """Return `count` in the whole command; in --fast and --long its share of theirs."""
    return max(at_least, count * settings().max_examples // WHOLE)


OF_EACH_RECORD = settings(max_examples=of_whole(20))
"""There are many records; together they get more examples than any other property."""
