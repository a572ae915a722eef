"""The log's time, as the records of a partition prove it."""

CLOCK_SKEW_MS = 5_000
JUMP_MS = 60_000
SILENCE_MS_MAX = 86_400_000


class LogTime:
    """The time at one record.

    ms:            the log's time. timer_ms: the clock that ticks have told.
    follows_jumps: no tick of the present rules has come yet.
    """

    def __init__(self) -> None:
        self.ms = 0
        self.timer_ms = 0
        self.follows_jumps = True

    def follow(self, appended: int, key: bytes | None, clock: int | None) -> None:
        """Move over a record; appended: its append time; clock: what a tick's sender read."""
        if clock is not None and key == b"tick-2":
            self.follows_jumps = False
        if self.follows_jumps or not clock:
            leaps = 0 < self.ms < appended - JUMP_MS
            if self.follows_jumps or not leaps:
                self.ms = max(self.ms, appended)
            self.timer_ms = max(self.timer_ms, clock or 0)
            return
        if self.ms == 0 or appended <= self.ms + JUMP_MS:
            self.ms = max(self.ms, appended)
            is_slow = clock < appended - JUMP_MS
            self.timer_ms = max(self.timer_ms, appended if is_slow else min(appended, clock))
        else:
            agreed = min(appended, clock)
            self.ms = max(self.ms, agreed)
            self.timer_ms = max(self.timer_ms, agreed)

    @property
    def lapses_to_ms(self) -> int:
        """Return the time up to which deadlines are over: both clocks must be past them."""
        return min(self.ms, self.timer_ms + CLOCK_SKEW_MS)
