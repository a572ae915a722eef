"""Whether the topics of the seats have the partitions that they were made with."""

from collections.abc import Mapping

from api.parts.part import Part
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS
from state.kafka.command_log import CommandLog
from state.views.availability.statuses import SectionStatuses
from state.views.outcomes.feed import OutcomeFeed


class Partitions(Part):
    """Compares the partitions of what a pod reads and appends to; a pod may lack any of them.

    status_topic: name of the topic that the view reads.
    """

    name = "partitions"

    def __init__(
        self,
        commands: CommandLog | None,
        outcomes: OutcomeFeed | None,
        view: SectionStatuses | None,
        status_topic: str,
    ) -> None:
        self._commands = commands
        self._outcomes = outcomes
        self._view = view
        self._status_topic = status_topic

    def fault(self) -> str:
        """Say why sections may have two writers: topics with other partitions than at first.

        Operator action, named in the text: workers refuse it too, and nothing is sold meanwhile.
        """
        commands, outcomes = self._commands, self._outcomes
        told, view = "", self._view
        if commands is not None and outcomes is not None and commands.is_ready():
            counts = commands.partitions, outcomes.partitions
            if outcomes.is_ready() and counts[0] != counts[1]:
                told = (
                    f"{SECTION_COMMANDS.name} had {counts[0]} partitions when this pod started, "
                    f"{RESERVATION_OUTCOMES.name} has {counts[1]}"
                )
        if not told and view is not None:
            told = view.misplaced() and f"{self._status_topic}: {view.misplaced()}"
        if not told:
            return ""
        return (
            f'{told}. Partitions are never added to a topic of the seats. See "Partitions were '
            'added" in docs/operations.md'
        )

    def readiness(self) -> Mapping[str, bool]:
        return {self.name: not self.fault()}
