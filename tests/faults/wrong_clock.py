"""A worker whose clock is wrong, from its start on or all at once."""

from pathlib import Path


class WrongClock:
    """The clock of the processes that are started with its environment; right until shifted."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.shift(0)

    @property
    def environment(self) -> dict[str, str]:
        """Return what makes a worker look at this clock."""
        return {"FAILPOINT_CLOCK": str(self._file)}

    def shift(self, error_ms: int) -> None:
        """Let the clock be so many ms ahead of what is right, also of workers that run."""
        # Whoever reads meanwhile finds the one number or the other.
        new = self._file.with_suffix(".new")
        new.write_text(str(error_ms), encoding="utf-8")
        new.replace(self._file)
