"""What a whole reading of the topic shows beside another one, or beside where its keys belong."""

from itertools import islice

from state.domain.keys import partition_of, section_key
from state.views.availability.contents import Change, Contents
from state.views.availability.snapshot import PARTITION, Known, status_in

_NO_SECTIONS: dict[str, Known] = {}

LOOKED_AT_MAX = 256
"""How many sections `misplaced` checks after a reading: a hash for each would take too long."""


def misplaced(contents: Contents) -> str:
    """Say what shows that partitions were added to the topic; empty where nothing does."""
    count = len(contents.partitions)
    places = (
        (section_key(event_id, name), known[PARTITION])
        for event_id, sections in contents.by_event.items()
        for name, known in sections.items()
        # A doubtful section, whose last record was unreadable, proves nothing.
        if known[PARTITION] >= 0
    )
    looked_at = list(islice(places, LOOKED_AT_MAX))
    elsewhere = sum(partition_of(key, count) != number for key, number in looked_at)
    # A stranger may have written a few sections to a wrong partition. Where partitions were added,
    # it is half of all sections and more.
    if 4 * elsewhere <= len(looked_at):
        return ""
    return (
        f"{elsewhere} of {len(looked_at)} sections lie on other partitions than {count} "
        "partitions give them: partitions were added"
    )


def differences(before: Contents, after: Contents) -> list[Change]:
    """Return what whoever knew the former contents has to hear of the later ones."""
    changes: list[Change] = []
    for event_id, sections in before.by_event.items():
        kept = after.by_event.get(event_id, _NO_SECTIONS)
        changes += [Change(event_id, name, None) for name in sections if name not in kept]
    for event_id, sections in after.by_event.items():
        former = before.by_event.get(event_id, _NO_SECTIONS)
        for name, known in sections.items():
            if name not in former or former[name][:5] != known[:5]:
                changes.append(Change(event_id, name, status_in(known)))
    return changes
