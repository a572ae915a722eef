"""A registry that is asked again while it does not answer."""

import time
from collections.abc import Mapping
from typing import Any

from scripts.program.progress import note
from serdes.registry.client import Registry, RegistryRefusedError, RegistryUnavailableError

TIMEOUT_S = 10.0
PATIENCE_S = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0


class PatientRegistry(Registry):
    """A registry that is asked again while it does not answer; nothing asked here harms twice.

    patience_s: how long without any answer, from the first question that got none. A registry on
                a busy machine that answers now and then is slow, not gone.
    """

    def __init__(self, url: str, patience_s: float) -> None:
        super().__init__(url, TIMEOUT_S)
        self._patience_s = patience_s
        self._until_s: float | None = None

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                answer = super().call(method, path, body)
            except RegistryUnavailableError as error:
                if self._until_s is None:
                    self._until_s = time.monotonic() + self._patience_s
                    if self._patience_s > LONGEST_PAUSE_S:
                        note(f"{error}; asking again for {self._patience_s:g} s (--wait)")
                if time.monotonic() + pause_s > self._until_s:
                    raise RegistryUnavailableError(
                        f"{error}; asked again for {self._patience_s:g} s. Start it, or give it "
                        "longer with --wait, or see who gave that address: an option, or else "
                        "SCHEMA_REGISTRY_URL. What is registered already stays so"
                    ) from error
            except RegistryRefusedError:
                self._until_s = None
                raise
            else:
                self._until_s = None
                return answer
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
