"""Archives are made once; servers start from them, and without them where they are spoilt."""

from pathlib import Path

import pytest

from infra import archives
from infra.archives import main
from infra.paths import APICURIO_HOME, KAFKA_LIB
from infra.stack import ephemeral_stack, java, kafka, registry
from infra.stack.java import archive_of
from infra.stack.kafka import features_file


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder where archives are looked for and made in this test."""
    home = tmp_path / "archives"
    monkeypatch.setattr(java, "ARCHIVES", home)
    monkeypatch.setattr(archives, "ARCHIVES", home)
    return home


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each server end at its start."""
    for server in (kafka, registry):
        monkeypatch.setattr(server, "java", lambda *_, **__: ["sh", "-c", "echo no room; exit 1"])


@pytest.mark.usefixtures("no_java")
def test_a_server_that_does_not_start_leaves_no_archive_and_says_why(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main() == 1
    assert "no room" in capsys.readouterr().err
    assert [file for file in elsewhere.rglob("*") if file.is_file()] == []


@pytest.mark.usefixtures("no_java")
def test_with_the_archives_there_no_server_is_started_and_old_ones_go(elsewhere: Path) -> None:
    elsewhere.mkdir()
    for home in (KAFKA_LIB, APICURIO_HOME):
        archive_of(home).write_bytes(b"classes")
    (elsewhere / "kafka-0123456789abcdef.aot").touch()
    (elsewhere / "kafka-0123456789abcdef.features").touch()
    features_file().touch()
    assert main() == 0
    assert list(elsewhere.glob("*.features")) == [features_file()]
    assert set(elsewhere.glob("*.aot")) == {archive_of(KAFKA_LIB), archive_of(APICURIO_HOME)}
    assert archive_of(KAFKA_LIB).read_bytes() == b"classes"


@pytest.mark.usefixtures("no_java")
def test_where_nothing_can_be_written_no_archive_is_made(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere.write_text("no folder")
    assert main() == 1
    assert capsys.readouterr().err


def mapped(pid: int) -> set[str]:
    """Return the names of archives that a process has mapped."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").split()
    return {Path(word).name for word in maps if word.endswith(".aot")}


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_what_set_up_has_archived_both_servers_start_from_and_go_without_when_it_is_spoilt(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"kafka", "registry"}
    elsewhere.mkdir()
    for home in (KAFKA_LIB, APICURIO_HOME):
        archive_of(home).write_bytes(b"spoilt")
    with ephemeral_stack("tests-spoilt", parts=parts, fast_jit=True) as stack:
        assert [mapped(one.pid) for one in stack.process_ids().values()] == [set(), set()]
    monkeypatch.undo()
    expected = [{archive_of(KAFKA_LIB).name}, {archive_of(APICURIO_HOME).name}]
    # As measurements start Kafka: with the second compiler, too.
    with ephemeral_stack("tests-archived", parts=parts) as stack:
        assert [mapped(one.pid) for one in stack.process_ids().values()] == expected
