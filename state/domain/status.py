"""Slim counts of one section: which of two is newer, and what they prove about a request."""

from typing import NamedTuple

from state.domain.reasons import Reason


class SectionStatus(NamedTuple):
    """Counts of one section as of one version of its state.

    Fields stand in the order in which two statuses of a section compare. A tuple, and not a
    slotted class, because a pod keeps 100,000 of them and the larger tuple is the newer status.

    version:       of the section's state; 0 from a producer that knows no versions.
    as_of_ms:      log time of the last command in these counts, Unix ms.
    free, held:    seats.
    largest_block: most adjacent free seats in one row; 0 beside free seats: not known.
    """

    version: int
    as_of_ms: int
    free: int
    held: int
    largest_block: int


def newer_of(first: SectionStatus, second: SectionStatus) -> SectionStatus:
    """Return the status that stands when both were told, in whatever order and how often.

    The higher version; of one version (a command refused changes none) the later; and so on
    through all fields, so that even statuses that contradict each other end alike in every pod.
    """
    return max(first, second)


def fault_of(status: SectionStatus) -> str:
    """Return why no section can have these counts; an empty string where one can."""
    if min(status) < 0:
        return "a negative count, version or time"
    if status.largest_block > status.free:
        return f"a block of {status.largest_block} in {status.free} free seats"
    # Version 0 is a producer of the four original fields, which tell nothing about blocks.
    if status.version and status.free and not status.largest_block:
        return f"no block in {status.free} free seats"
    return ""


def is_other_history(version: int, as_of_ms: int, told: int, told_at_ms: int) -> bool:
    """Say whether a section at a version shows that a version told before is not in its log.

    as_of_ms:   log time at which the section was at `version`.
    told_at_ms: log time at which it was at version `told`, as somebody was told.

    The time of a log and the versions in it never go back: a lower version at a later time is
    another history, such as that of a log restored from a backup. Version 0 tells nothing.
    """
    return 0 < version < told and as_of_ms > told_at_ms


def can_refuse(status: SectionStatus, quantity: int, *, adjacent: bool) -> Reason | None:
    """Return why the section as of this status must refuse a new hold; None where it might not.

    quantity: seats wanted. What is wrong with the number itself is not ours to say.
    adjacent: the seats must be neighbours in one row; False where the buyer chose them.
    """
    if quantity < 1:
        return None
    if quantity > status.free:
        return Reason.SOLD_OUT
    if adjacent and quantity > status.largest_block > 0:
        return Reason.NO_ADJACENT_SEATS
    return None
