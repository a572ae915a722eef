"""How often a worker tries what failed, and how long it pauses in between. Plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ATTEMPTS_MAX: Final = 100
PAUSE_S_MAX: Final = 86_400.0

WAKE_AGAIN_MS: Final = 6 * 3_600_000
"""How long a timer pauses whose attempts have all failed; its dead letter was written then."""

TELL_AGAIN_MS: Final = 60_000
"""How long an answer of a section is waited for before the section is told again; at first.

The pause doubles with the time since it was told first, up to `TELL_AGAIN_MS_MAX`. A slow section
has the command in its log. But brokers lose records, and operators pass over commands that kill
workers: then nobody else would bring the two sides together. A section that is told twice answers
twice.
"""

TELL_AGAIN_MS_MAX: Final = 3_600_000

UNDECIDED_MS: Final = 900_000
"""How long a section is told again whose answer is that each try kills its workers.

Then a payment needs a person, and a cart waits no longer.
"""


@dataclass(frozen=True, slots=True, order=True)
class Patience:
    """Attempts at one record, with pauses that double.

    attempts: how often it is tried in all, from 1.
    first_ms: pause after the first failure. cap_ms: no pause is longer.
    """

    attempts: int = 3
    first_ms: int = 1_000
    cap_ms: int = 30_000

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= ATTEMPTS_MAX or not 1 <= self.first_ms <= self.cap_ms:
            message = f"1 to {ATTEMPTS_MAX} attempts, pauses from 1 ms up to a cap, not {self}"
            raise ValueError(message)

    def pause_ms(self, failed: int) -> int:
        """Return the pause after so many failed attempts, from 1."""
        # Shifts beyond the cap would only make large numbers.
        return min(self.cap_ms, self.first_ms << min(failed - 1, 40))


@dataclass(frozen=True, slots=True)
class Retries:
    """The patience of each role: pairs of both, sorted; roles not named have the usual one."""

    by_role: tuple[tuple[str, Patience], ...]

    def of(self, role: str) -> Patience:
        return dict(self.by_role).get(role, Patience())


RETRIES: Final = Retries(
    (
        ("allocate_purchases", Patience(5, 2_000, 60_000)),
        ("invalidate_caches", Patience(3, 500, 5_000)),
        ("issue_purchases", Patience(3, 1_000, 30_000)),
        ("schedule_slots", Patience(3, 1_000, 30_000)),
    )
)


def retries(text: str) -> Retries:
    """Parse `role=attempts:first_s:cap_s`, separated by commas; other roles keep what they have.

    Raises ValueError for what is no such list.
    """
    told = dict(RETRIES.by_role)
    for part in text.split(","):
        role, _, figures = part.strip().partition("=")
        try:
            attempts, first_s, cap_s = figures.split(":")
            told[role] = Patience(int(attempts), _milliseconds(first_s), _milliseconds(cap_s))
        except ValueError as error:
            message = f"{part.strip()!r} is not role=attempts:first_s:cap_s: {error}"
            raise ValueError(message) from None
        if not role:
            message = f"{part.strip()!r} names no role"
            raise ValueError(message)
    return Retries(tuple(sorted(told.items())))


def _milliseconds(text: str) -> int:
    seconds = float(text)
    # NaN lies nowhere.
    if not 0 < seconds <= PAUSE_S_MAX:
        message = f"a pause has more than 0 and at most {PAUSE_S_MAX:.0f} s"
        raise ValueError(message)
    return round(1000 * seconds)
