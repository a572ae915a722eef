"""A batch in, its effects out: the steps that are the same for every handler."""

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
    tell_again: emits the outcomes of records that the state has already applied.
    decide:     decides new records, in order.
    settle:     stores what `decide` changed; `fold_batch` itself stores the progress.
    """
    rewound, new = fold.parted()
    effects = fold.effects
    if rewound:
        tell_again(fold, rewound)
        # The dead letters of rewound records were written when those records were applied.
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
    """Move time and progress, and nothing else, past a record that no handler survived.

    Returns what the record says, or None where it cannot be read.
    """
    pass_by(fold, record)
    assert fold.decoder is not None, "this fold reads its records itself"
    verdict = fold.decoder.decode(record.value, record.headers)
    return verdict if isinstance(verdict, Decoded) else None


def pass_by(fold: Fold, record: Record) -> None:
    """Let time and progress move over a record, without a look at what it says."""
    fold.offset = record.offset
    fold.pass_to(record.timestamp)
    fold.keep_progress(record.offset + 1)


def progress_of(kind: type[Fold]) -> Callable[[State], Progress]:
    """Return a function that reads the progress which folds of this kind keep in their state."""

    def progress(state: State) -> Progress:
        stored = state.get(kind.progress_key)
        if stored is None:
            return Progress(0, 0)
        kept = read_progress(stored)
        return Progress(kept.next_offset, kept.log_time_ms)

    return progress
