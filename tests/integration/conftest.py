"""Fixtures of the fault tests: a broker that lets sessions end after a second, and fleets.

What fails shows what the processes of its file wrote last: workers and pods run beside the test,
and whoever reads of the failure has nothing else of them.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from time import time

import pytest
from integration.workers import Fleet

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import tail, text_from

FAST_SESSIONS = {"group.min.session.timeout.ms": "1000"}
LOGS_MAX = 8
LINES_MAX = 30
FOLDER = pytest.StashKey[Path]()
BEGAN_S = pytest.StashKey[float]()


@pytest.fixture(scope="session", autouse=True)
def _folder_of_logs(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytestconfig.stash[FOLDER] = tmp_path_factory.getbasetemp()


@pytest.fixture(scope="module", autouse=True)
def _file_began(pytestconfig: pytest.Config) -> None:
    pytestconfig.stash[BEGAN_S] = time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the logs that were written since the first test of this file."""
    report = yield
    stash = item.config.stash
    if report.failed and FOLDER in stash and BEGAN_S in stash:
        report.sections += _ends_of_logs(stash[FOLDER], stash[BEGAN_S])
    return report


def _ends_of_logs(folder: Path, since_s: float) -> list[tuple[str, str]]:
    """Return name and last lines of the latest logs, the latest last."""
    written: dict[Path, float] = {}
    for log in folder.rglob("*.log"):
        # What is named by a number is a store's own, and may be gone at any moment.
        if not log.stem.isdigit():
            with suppress(FileNotFoundError):
                written[log] = log.stat().st_mtime
    young = [log for log in written if written[log] >= since_s]
    return [
        (f"End of {log.relative_to(folder)}", tail(text_from(log, 0), LINES_MAX))
        for log in sorted(young, key=lambda log: written[log])[-LOGS_MAX:]
    ]


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
