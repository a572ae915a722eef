"""I5: the version of a section rises by one with each change, and only then.

Followed through the outcomes alone, without the oracle's decisions.
"""

from scripts.auditing.facts import Facts, Told
from scripts.auditing.report import Notes

ALWAYS_CHANGES = {
    "SeatsHeld",
    "ReservationConfirmed",
    "ReservationRefunded",
    "SeatsBlocked",
    "SeatsUnblocked",
}


def check(facts: Facts, notes: Notes) -> None:
    """Follow the version of every section; note each that does not follow the one before."""
    versions = Versions()
    for told in facts.followed:
        if not versions.changes(told):
            continue
        known, version = versions.known.get(told.section_key), told.fields["version"]
        if known is not None and version != known + 1:
            message = f"version {version} follows {known}"
            notes.bad("I5", "version gap", told.at, message, **told.where)
        versions.known[told.section_key] = version


class Versions:
    """The version of each section as last told, by key, and its sale window if one was told."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self._windows: dict[str, tuple[int, int]] = {}

    def changes(self, told: Told) -> bool:
        """Say whether an outcome tells of a change of its section."""
        if told.name in ALWAYS_CHANGES:
            return True
        if told.name == "ReservationReleased":
            return bool(told.fields["epoch"] > 0)
        if told.name == "SectionOpened":
            return told.section_key not in self.known
        return told.name == "SaleWindowChanged" and self._window_changes(told)

    def _window_changes(self, told: Told) -> bool:
        key, fields = told.section_key, told.fields
        window = fields["saleStartsMs"], fields["saleEndsMs"]
        before = self._windows.get(key)
        self._windows[key] = window
        # No outcome tells with which window a section was opened.
        return fields["version"] != self.known.get(key) if before is None else window != before
