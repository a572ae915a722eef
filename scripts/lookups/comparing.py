"""Compares what pods answer about an event with its statuses in the log."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from state.views.availability.answers import Availability

COMPARED: Final = ("free", "held", "largest_block")


class Difference(NamedTuple):
    """Why a pod's answer about a section is not what the log says.

    known: version of the newest status in the log; answered: the pod's, or None.
    """

    section: str
    known: int
    answered: int | None
    why: str

    def __str__(self) -> str:
        return f"{self.section}: {self.why} (version {self.answered}, the log has {self.known})"


def differences(
    known: Mapping[str, Availability], answered: Mapping[str, Mapping[str, Any]]
) -> Iterator[Difference]:
    """Yield what is behind the log, or contradicts it, by section.

    known: read before the pod was asked, so the pod may be ahead of it, but not behind.
    answered: `sections` of the pod's answer, by name.
    """
    for section, status in sorted(known.items()):
        told = answered.get(section)
        if told is None:
            yield Difference(section, status.version, None, "the pod does not know it")
        elif told["version"] < status.version:
            yield Difference(section, status.version, told["version"], "the pod is behind")
        elif told["version"] == status.version:
            other = [name for name in COMPARED if told[name] != getattr(status, name)]
            if other:
                why = ", ".join(
                    f"{name} is {told[name]}, not {getattr(status, name)}" for name in other
                )
                yield Difference(section, status.version, told["version"], why)
