"""Fixtures of the fault tests: a broker that lets sessions end after a second, and fleets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.workers import Fleet

from infra.stack import QUICK_RESTART, ephemeral_stack

FAST_SESSIONS = {"group.min.session.timeout.ms": "1000"}


@pytest.fixture(scope="session")
def patient_brokers() -> Iterator[str]:
    """Give the address of a broker that allows short sessions; shared by the fault tests."""
    properties = {**QUICK_RESTART, **FAST_SESSIONS}
    with ephemeral_stack(
        "tests-faults", parts={"kafka"}, kafka_properties=properties, fast_jit=True
    ) as stack:
        yield stack.kafka_brokers


@pytest.fixture
def new_fleet(
    patient_brokers: str, topic_prefix: str, tmp_path: Path
) -> Iterator[Callable[..., Fleet]]:
    """Give a function that makes a fleet over topics of its own; its processes end with us."""
    fleets: list[Fleet] = []

    def make(partitions: int = 4, **environment: str) -> Fleet:
        number = len(fleets)
        fleet = Fleet(
            patient_brokers,
            f"{topic_prefix}{number}-",
            tmp_path / f"fleet-{number}",
            partitions,
            environment,
        )
        fleet.directory.mkdir()
        fleet.create_topics()
        fleets.append(fleet)
        return fleet

    yield make
    for fleet in fleets:
        fleet.stop()
