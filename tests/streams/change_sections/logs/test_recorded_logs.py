"""F29, F88, F89: every released log is decided today as it was decided then."""

import pytest
from support.seats.golden_log import FOLDER, RECORDS, replayed, steps
from support.seats.section_commands import told

from schemas.topics import RESERVATION_OUTCOMES
from serdes.avro.schema_files import releases

RELEASES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def test_f89_a_log_of_every_release_is_kept() -> None:
    assert RELEASES
    assert all(len(steps(name)) == RECORDS for name in RELEASES)


@pytest.mark.parametrize("release", RELEASES)
def test_f89_f29_f88_a_recorded_log_is_decided_as_it_was_when_it_was_recorded(
    release: str,
) -> None:
    """Two versions of the code in one group are safe as long as this holds.

    Where it fails, a rule changed: raise LOGIC_VERSION and record the log of the new one beside
    this, so that what was decided before is still told apart.
    """
    log = steps(release)
    for offset, (step, (outcomes, state)) in enumerate(
        zip(log, replayed(log, release), strict=True)
    ):
        assert [told(value) for value in outcomes] == [told(value) for value in step.outcomes], (
            f"record {offset} is answered otherwise"
        )
        assert outcomes == step.outcomes, f"record {offset}: same answer, other bytes"
        assert state == step.state, f"record {offset} leaves another state"


def test_f89_the_recorded_logs_meet_every_released_outcome_and_most_reasons() -> None:
    answered = {
        told(value).name for name in RELEASES for step in steps(name) for value in step.outcomes
    }
    reasons = {
        told(value).fields["reason"].name
        for step in steps(RELEASES[0])
        for value in step.outcomes
        if "reason" in told(value).fields
    }
    released = releases()[-1].by_name
    assert answered == {
        name.rpartition(".")[2] for name in RESERVATION_OUTCOMES.records if name in released
    }
    assert len(reasons) >= 10
