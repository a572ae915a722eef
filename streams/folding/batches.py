"""A batch through its fold, whatever is decided: rewinds, progress, poisonous records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from serdes.decoding import Decoded
from streams.batch import Effects, Record, State
from streams.folding.fold import Fold
from streams.folding.progress import read_progress
from streams.route import Progress

AnyFold = TypeVar("AnyFold", bound=Fold)


def fold_batch(
    fold: AnyFold,
    outcomes: str,
    *,
    tell_again: Callable[[AnyFold, Sequence[Record]], None],
    decide: Callable[[AnyFold, Sequence[Record]], None],
    settle: Callable[[AnyFold], None],
) -> Effects:
    """Fold a batch; return what is to be published.

    outcomes:   name of the topic that `fold.outcomes` go to.
    tell_again: emits what records led to that the state has already.
    decide:     decides records, in order.
    settle:     stores what they left behind; the progress is stored here.
    """
    rewound, new = fold.parted()
    effects = fold.effects
    if rewound:
        tell_again(fold, rewound)
        # Their dead letters were written when they were applied.
        effects.dead_letters.clear()
    if new:
        decide(fold, new)
        settle(fold)
        fold.keep_progress(new[-1].offset + 1)
    if fold.outcomes:
        effects.outgoing[outcomes] = fold.outcomes
    usual = len(fold.outcomes) - fold.counted
    if usual:
        effects.decisions[fold.usual] = usual
    return effects


def pass_over(fold: Fold, record: Record) -> Decoded | None:
    """Let time and progress, and nothing else, move over a record that no handler survived.

    Returns what it says, where it can be read.
    """
    fold.offset = record.offset
    fold.pass_to(record.timestamp)
    fold.keep_progress(record.offset + 1)
    verdict = fold.decoder.decode(record.value, record.headers)
    return verdict if isinstance(verdict, Decoded) else None


def progress_of(kind: type[Fold]) -> Callable[[State], Progress]:
    """Return what tells how far a partition's state has come that such folds have made."""

    def progress(state: State) -> Progress:
        stored = state.get(kind.progress_key)
        if stored is None:
            return Progress(0, 0)
        kept = read_progress(stored)
        return Progress(kept.next_offset, kept.log_time_ms)

    return progress
