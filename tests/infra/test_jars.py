import hashlib
import sys
import tarfile
from pathlib import Path

import pytest

from infra.jars import LOCK_FILE, Artifact, FetchError, Source, read_lock, sha256_of, unpack
from infra.stack.kafka import KAFKA_VERSION
from infra.stack.registry import APICURIO_VERSION

GOOD = b"a jar"


def jar(content: bytes = GOOD) -> Artifact:
    digest = hashlib.sha256(content).hexdigest()
    return Artifact("org.example", "thing", "1.2", "", "jar", digest)


class Repository:
    """A remote repository that hands out the given contents one after the other."""

    def __init__(self, *contents: bytes) -> None:
        self.contents = list(contents)

    def fetch(self, artifact: Artifact, root: Path) -> Path:
        path = root / artifact.cache_path
        if not path.exists():  # The real fetcher, too, returns what is there already.
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.contents.pop(0))
        return path


def source(directory: Path, *contents: bytes) -> Source:
    """Give an empty user's cache, an empty fetch directory, and a remote with these contents."""
    return Source(directory / "cache", directory / "own", Repository(*contents).fetch)


def test_the_lock_names_kafka_and_the_registry_in_the_versions_we_start() -> None:
    version_by_name = {
        artifact.name: artifact.version for artifact in read_lock(LOCK_FILE.read_text())
    }
    assert version_by_name["kafka_2.13"] == KAFKA_VERSION
    assert version_by_name["kafka-clients"] == KAFKA_VERSION
    assert version_by_name["apicurio-registry-app"] == APICURIO_VERSION


def test_no_two_artifacts_of_the_lock_share_a_file_name() -> None:
    names = [artifact.file_name for artifact in read_lock(LOCK_FILE.read_text())]
    assert len(set(names)) == len(names) == 47


def test_a_lock_line_is_a_coordinate_and_a_hash() -> None:
    digest = "0" * 64
    text = f"# a comment\n\norg.a.b:c:1 {digest}\norg:d:2:all:tar.gz {digest}\n"
    first, second = read_lock(text)
    assert first.cache_path == Path("org/a/b/c/1/c-1.jar")
    assert second.cache_path == Path("org/d/2/d-2-all.tar.gz")


@pytest.mark.parametrize(
    "line", ["a:b 00", "a:b:c", "a:b:c nothex", "a:b:c:d " + "0" * 64, "a:b:c " + "g" * 64]
)
def test_a_damaged_lock_is_refused_with_its_line_number(line: str) -> None:
    with pytest.raises(ValueError, match=r"jars\.lock line 2"):
        read_lock("# first\n" + line)


def test_a_good_copy_in_the_cache_is_used_without_the_network(tmp_path: Path) -> None:
    cached = tmp_path / "cache" / jar().cache_path
    cached.parent.mkdir(parents=True)
    cached.write_bytes(GOOD)
    target = tmp_path / "lib" / "thing.jar"
    assert source(tmp_path).obtain(jar(), target) == "cached"
    assert target.read_bytes() == GOOD


def test_i5_a_truncated_copy_in_the_cache_is_neither_used_nor_touched(tmp_path: Path) -> None:
    cached = tmp_path / "cache" / jar().cache_path
    cached.parent.mkdir(parents=True)
    cached.write_bytes(GOOD[:2])
    target = tmp_path / "lib" / "thing.jar"
    assert source(tmp_path, GOOD).obtain(jar(), target) == "fetched"
    assert target.read_bytes() == GOOD
    assert cached.read_bytes() == GOOD[:2]


def test_i5_a_download_goes_to_the_checkout_only(tmp_path: Path) -> None:
    source(tmp_path, GOOD).obtain(jar(), tmp_path / "lib" / "thing.jar")
    assert [file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()] == [
        Path("lib/thing.jar")
    ]


@pytest.mark.parametrize("where", ["own/org/example/thing/1.2/thing-1.2.jar", "lib/thing.jar"])
def test_i6_what_had_arrived_whole_before_an_interrupt_is_not_fetched_again(
    tmp_path: Path, where: str
) -> None:
    (tmp_path / where).parent.mkdir(parents=True)
    (tmp_path / where).write_bytes(GOOD)
    target = tmp_path / "lib" / "thing.jar"
    source(tmp_path).obtain(jar(), target)
    assert target.read_bytes() == GOOD


def test_i6_half_a_download_is_fetched_anew(tmp_path: Path) -> None:
    half = tmp_path / "own" / jar().cache_path
    half.parent.mkdir(parents=True)
    half.write_bytes(GOOD[:3])
    target = tmp_path / "lib" / "thing.jar"
    source(tmp_path, GOOD).obtain(jar(), target)
    assert target.read_bytes() == GOOD


def test_a_truncated_download_is_fetched_once_more(tmp_path: Path) -> None:
    target = tmp_path / "lib" / "thing.jar"
    source(tmp_path, GOOD[:3], GOOD).obtain(jar(), target)
    assert sha256_of(target) == jar().sha256


def test_a_second_bad_download_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "lib" / "thing.jar"
    with pytest.raises(FetchError, match=r"thing-1\.2\.jar"):
        source(tmp_path, b"bad", b"worse").obtain(jar(), target)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize("has_filters", [True, False] if sys.version_info < (3, 12) else [True])
def test_an_archive_replaces_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_filters: bool
) -> None:
    """Python 3.11.0 to 3.11.3 cannot filter."""
    if not has_filters:
        monkeypatch.delattr("tarfile.data_filter", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    (home / "old").touch()
    (tmp_path / "new").write_text("new")
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "new", "lib/new")
    unpack(archive, home)
    assert [str(file.relative_to(home)) for file in home.rglob("*")] == ["lib", "lib/new"]


def test_an_archive_that_breaks_off_leaves_what_was_unpacked_before(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "old").touch()
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"\x1f\x8b\x08 not an archive")
    with pytest.raises(Exception, match=r".*"):
        unpack(broken, home)
    assert [file.name for file in home.iterdir()] == ["old"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["broken.tar.gz", "home"]
