"""F29, F88, F89: the log of each role that a release recorded is decided today as it was then."""

import pytest
from support.logs.role_logs import flow, names_met, recorded, replayed

from schemas.topics import TOPICS
from serdes.avro.schema_files import releases
from serdes.registry.ids import counted_ids

LOGS = recorded()
ROLES = sorted(route.role for route in flow(counted_ids())[0])


def test_f89_every_role_has_the_log_of_a_release() -> None:
    assert sorted({role for role, _ in LOGS}) == ROLES


@pytest.mark.parametrize(("role", "release"), LOGS)
def test_f89_f29_f88_the_log_of_a_role_gives_the_state_and_the_words_written_beside_it(
    role: str, release: str
) -> None:
    """Two versions of the code in one group are safe as long as this holds.

    Where it fails, a rule changed: raise the `last_logic_version` of the role's fold, decide by
    the older rules below it, and record the log of the new ones beside this.
    """
    log, again = replayed(role, release)
    for then, now in zip(log, again, strict=True):
        place = f"record {then.record.offset}"
        assert now.letters == then.letters, f"{place} is refused otherwise"
        assert now.told == then.told, f"{place} is answered otherwise"
        assert now.state == then.state, f"{place} leaves another state"


def test_f89_the_logs_of_roles_meet_every_record_that_the_last_release_had() -> None:
    """Those of sources and outputs; what ticks are called by workers has no schema."""
    last = releases()[-1]
    flows = {route.role: route for route in flow(counted_ids())[0]}
    spoken = {
        record
        for topic in TOPICS
        if any(topic.name in {route.source, *route.to} for route in flows.values())
        for record in topic.records
    }
    met = {name for role, release in LOGS for name in names_met(role, release)}
    assert met == spoken & last.by_name.keys()
