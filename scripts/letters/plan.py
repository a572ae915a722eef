"""What a re-drive would do with each dead letter, decided before anything is sent."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from scripts.letters.letter import Letter
from scripts.letters.wanted import Wanted


class Standing(StrEnum):
    """What becomes of a letter.

    SEND:       it is sent.
    SENT:       it was sent before, or its record is sent by another letter of the same record.
    UNSENDABLE: it is not the whole record, or nobody reads its topic.
    BEHIND:     an earlier letter of its key is not sent, and must not be overtaken.
    """

    SEND = "send"
    SENT = "sent"
    UNSENDABLE = "unsendable"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class Step:
    """One letter that is asked for, and what becomes of it; why: empty where it is sent."""

    letter: Letter
    standing: Standing
    why: str = ""


def plan(
    letters: Iterable[Letter],
    sent: AbstractSet[str],
    wanted: Wanted,
    *,
    leave_earlier: bool = False,
) -> list[Step]:
    """Return a step for each letter that is asked for, in the order of the originals.

    One that was sent back and failed again stands where it was first.

    letters:       all there are: those not asked for may lie before those that are.
    sent:          ids of originals that were sent back before.
    leave_earlier: send a letter though an earlier one of its key stays behind.
    """
    steps: list[Step] = []
    gone = set(sent)
    left: dict[tuple[str, bytes], Letter] = {}
    for letter in sorted(letters, key=lambda one: one.order):
        standing, why = _standing(letter, gone, left, leave_earlier=leave_earlier)
        is_wanted = wanted.has(letter)
        if is_wanted:
            steps.append(Step(letter, standing, why))
        if standing is Standing.SEND and is_wanted:
            gone.add(letter.origin.id)
        elif standing is not Standing.SENT and letter.key:
            left.setdefault((letter.origin.topic, letter.key), letter)
    return steps


def _standing(
    letter: Letter,
    gone: AbstractSet[str],
    left: dict[tuple[str, bytes], Letter],
    *,
    leave_earlier: bool,
) -> tuple[Standing, str]:
    if letter.origin.id in gone:
        return Standing.SENT, "its record was sent back"
    if letter.unsendable:
        return Standing.UNSENDABLE, letter.unsendable
    before = left.get((letter.origin.topic, letter.key or b""))
    if before is not None and not leave_earlier:
        return Standing.BEHIND, f"{before.place} of the same key is not sent; see --leave-earlier"
    return Standing.SEND, ""


def batches(steps: Sequence[Step], size: int) -> list[Sequence[Step]]:
    """Return the steps that send, in their order, in parts of at most `size` (>= 1)."""
    to_send = [step for step in steps if step.standing is Standing.SEND]
    return [to_send[at : at + size] for at in range(0, len(to_send), size)]


def pause_s(sent: int, rate: float, elapsed_s: float) -> float:
    """Return how long to wait until so many records are no more than `rate` a second; 0 none."""
    return max(0.0, sent / rate - elapsed_s) if rate > 0 else 0.0
