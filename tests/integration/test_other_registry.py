"""Schemas are carried to a registry that keeps and finds texts otherwise than the stack's does.

Apicurio 2.6 has another implementation of the interface: it finds a text by its bytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from infra.jars import Artifact, Source, fetch_with_jgo, shared_repository, unpack
from infra.paths import FETCH
from infra.stack import ephemeral_stack
from infra.stack.java import java
from infra.stack.loopback import answers_well
from infra.stack.ports import free_ports
from infra.stack.processes import Child, wait_until_ready
from schemas.topics import subjects
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.contracts.registering import register
from scripts.program.main import run
from serdes.avro.schema_files import releases
from serdes.registry.client import fetch_ids, quoted

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

OTHER: Final = Artifact(
    *("io.apicurio", "apicurio-registry-app", "2.6.13.Final", "all", "tar.gz"),
    "3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba",
)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[str]:
    """Give the address of an empty registry, which keeps all in memory."""
    archive, home = FETCH / OTHER.file_name, tmp_path / "registry"
    Source(shared_repository(), FETCH / "m2", fetch_with_jgo).obtain(OTHER, archive)
    unpack(archive, home)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    command = java(tmp_path, 384, fast_jit=True)
    command += ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"]
    command += ["-jar", str(next(home.glob("*-runner.jar")))]
    child = Child(command, home, tmp_path / "registry.log")
    try:
        wait_until_ready(
            *(child, lambda: answers_well(f"{url}/subjects"), 240.0),
            name="The other registry",
            port=port,
            advice="See its log.",
        )
        yield url
    finally:
        child.kill()


def test_all_released_versions_are_carried_to_another_implementation_and_found_there(
    other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ephemeral_stack("tests-registries", parts={"registry"}, fast_jit=True) as stack:
        ours = PatientRegistry(stack.registry_url, PATIENCE_S)
        for subject, record in subjects().items():
            texts = [files.text(record) for files in releases() if record in files.path_by_name]
            for text in dict.fromkeys(texts):
                path = f"subjects/{quoted(subject)}/versions"
                ours.call("POST", path, {"schema": text})
        register(ours)
        words = ["schemas", "promote", "--from", stack.registry_url, "--to", other]
        assert run([*words, "--dry-run"]) == 1
        assert run([*words, "--yes"]) == 0
        capsys.readouterr()
        assert run([*words, "--yes"]) == 0
        assert capsys.readouterr().out == "the target has all of them\n"
        there = PatientRegistry(other, PATIENCE_S)
        for subject in subjects():
            numbers = [[one.number for one in each.versions_of(subject)] for each in (ours, there)]
            assert numbers[0] == numbers[1]
        # What a worker asks at its start.
        assert fetch_ids(there).id_by_subject.keys() == subjects().keys()
        assert {one.state for one in register(there, dry_run=True)} == {"registered"}
