"""Commands that lie in the log and were passed over: read anew, they would be decided after all.

Whoever came behind them got what they had asked for. Decided at their old places they take it
back: a seat that was sold is another's, and a payment that was refused is begun. What was passed
over stands in the dead letters alone, so it is asked there, as far as they reach back.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from schemas.topics import DEAD_LETTER_QUEUE, Topic
from scripts.auditing.topics import reading
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import Span, read_spans, spans_of
from scripts.letters.letter import Letter
from scripts.letters.sending import read_letters
from scripts.offsets.plan import Impossible
from serdes.decoding import TopicDecoder, Undecodable
from serdes.registry.ids import SchemaIds
from state.domain.reasons import Reason

SKEW_MS: Final = 3_600_000
"""How far clocks of brokers and workers may lie apart: in doubt a letter is of this log."""

DECIDED: Final = frozenset(
    (
        *(Reason.KEY_MISMATCH.name, Reason.WRONG_PARTITION.name, Reason.BAD_COUNT.name),
        *("BAD_CART_ID", "BAD_ORDER", "BAD_PURCHASE"),
        *("OTHER_EPOCH", "OTHER_ORDER", "OTHER_PAYMENT", "PURCHASE_FULL"),
    )
)
"""Causes of letters by a rule, which says the same of the same log."""

INSTEAD: Final = 'Restore a backup; where there is none, see "Begin anew" in docs/operations.md'


def check_decided(where: Servers, source: Topic, spans: Mapping[int, Span]) -> None:
    """Raise Impossible where commands in these spans were passed over, or nobody can tell.

    Call it while no worker lives: one might pass over more meanwhile. Raises CannotRead.
    """
    begun = begun_ms(where, source, spans)
    letters = read_letters(where, lambda one: one.origin.topic == source.name).letters
    # Behind the letters: what was removed while they were read counts as not read.
    firsts = {part: first for part, (first, _) in spans_of(where, DEAD_LETTER_QUEUE).items()}
    if why := why_not(source, begun, firsts, letters):
        raise Impossible(f"{why}. {INSTEAD}")


def begun_ms(where: Servers, source: Topic, spans: Mapping[int, Span]) -> dict[int, int]:
    """Return by partition the log time of its first command, Unix ms; empty ones are left out."""
    found = {}
    with reading(where) as consumer:
        for part, span in spans.items():
            first = next(read_spans(consumer, source, {part: span}), None)
            if first is not None:
                found[part] = first[1].timestamp
    return found


def why_not(
    source: Topic, begun: Mapping[int, int], firsts: Mapping[int, int], letters: Iterable[Letter]
) -> str:
    """Say why the commands of a topic may not be decided anew; empty where they may.

    begun:   by partition of the topic, log time of its first command, Unix ms.
    firsts:  by partition of the dead letters, the first offset that is still there.
    letters: all that are there, with the values of this topic's; those that were sent back too,
             for the original lies where it lay.
    """
    every = sorted(letters, key=lambda one: (one.partition, one.offset))
    for part, began in begun.items():
        # A letter lies on the partition of its original.
        written = next((one.at_ms for one in every if one.partition == part), None)
        is_whole = firsts.get(part) == 0
        if not is_whole and (written is None or written > began - SKEW_MS):
            return (
                f"{DEAD_LETTER_QUEUE.name}-{part} does not reach back as far as"
                f" {source.name}-{part}: nobody can tell which commands were passed over, and"
                " those would be decided now"
            )
    # It knows no schema: what it refuses is refused whatever a registry may know by now.
    decoder = TopicDecoder(source, SchemaIds({}))
    passed_over = [
        one
        for one in every
        # An older one is of a topic of that name that was deleted since.
        if one.origin.topic == source.name
        and one.partition in begun
        and one.origin.timestamp > begun[one.partition] - SKEW_MS
        and one.cause not in DECIDED
        and not is_refused(decoder, one)
    ]
    if not passed_over:
        return ""
    first = passed_over[0]
    return (
        f"{len(passed_over)} commands of {source.name} were passed over and would be decided now,"
        " at their old places: a seat that was sold since might be another's. The first is the"
        f" dead letter {first.place} ({first.cause[:40]}); seatstream dead-letters list --topic"
        f" {source.name} --sent shows all"
    )


def is_refused(decoder: TopicDecoder, letter: Letter) -> bool:
    """Say whether a decoder refuses the original of a letter, so that it is passed over again."""
    # Headers that were cut, or spelled out, are not the original's; a value that was is too large.
    headers = () if letter.cut else letter.headers
    return isinstance(decoder.decode(letter.value, headers), Undecodable)
