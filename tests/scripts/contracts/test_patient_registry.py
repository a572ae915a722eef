"""A registry that does not answer is asked again for a time, and then given up."""

from collections.abc import Iterator

import pytest
from support.records.registry_fake import FakeRegistry, fake_registry

from scripts.contracts.patient_registry import FIRST_PAUSE_S, PatientRegistry
from serdes.registry.client import RegistryUnavailableError


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with fake_registry(first_id=40) as registry:
        yield registry


def test_f7_patience_begins_anew_with_each_answer(fake: FakeRegistry) -> None:
    """A busy registry that fails now and then is slow; one that answers nothing is gone."""
    # More pauses in all than the patience has room for, one after the other.
    fake.stumbles = frozenset(range(1, 12, 2))
    patient = PatientRegistry(fake.url, 1.5 * FIRST_PAUSE_S)
    for number in range(6):
        assert patient.id_of(f"unknown-{number}", '"string"') is None
    assert len(fake.requests) == 18
    fake.answers = (503, b"busy")
    with pytest.raises(RegistryUnavailableError, match="asked again for"):
        patient.id_of("unknown", '"string"')
