"""Many users on an event loop in a thread of their own, beside what the main thread does."""

import asyncio
import threading
from abc import ABC, abstractmethod


class OwnLoop(ABC):
    """The thread of such users; a subclass says what they do.

    failure: what ended the thread before its time, a mistake of ours.
    """

    def __init__(self, name: str) -> None:
        self.failure: BaseException | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    async def everybody(self) -> None:
        """Do all that the users do; return soon after `is_over`."""

    def start(self) -> None:
        """Let the users in."""
        self._thread.start()

    def close(self, within_s: float = 0.0) -> None:
        """Let nobody begin anything more; wait so long for those who are about to end."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(within_s)

    @property
    def is_open(self) -> bool:
        """Say whether somebody is still in."""
        return self._thread.is_alive()

    @property
    def is_over(self) -> bool:
        """Say whether it was closed."""
        return self._is_over.is_set()

    def _run(self) -> None:
        try:
            asyncio.run(self.everybody())
        except BaseException as error:  # noqa: BLE001  (the main thread tells of it)
            self.failure = error
