"""Lock file in, verified broker jars and the unpacked schema registry under `.run/lib` out.

Every artifact is checked against the lock's SHA-256 before it is used: the fetcher keeps whatever
a cut-off download left behind and would hand it out for ever. Files arrive in `.run/fetch` and are
renamed: an interrupted fetch leaves nothing that looks complete, and what did arrive whole is not
fetched again. Nothing is written outside the checkout.
"""

import hashlib
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from infra.paths import APICURIO_HOME, FETCH, KAFKA_LIB, ROOT

LOCK_FILE: Final = ROOT / "infra" / "jars.lock"
SHA256_HEX_CHARS: Final = 64
LARGE_BYTES: Final = 20_000_000


class FetchError(Exception):
    """An artifact could not be had as locked.

    Operator action: check the network and the proxy variables, or name a mirror of the default
    repository in MAVEN_MIRROR_URL, and run scripts/setup again.
    """


@dataclass(frozen=True, slots=True)
class Artifact:
    """One line of the lock; `classifier` is empty for a plain jar."""

    group: str
    name: str
    version: str
    classifier: str
    packaging: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the name in a Maven repository, `name-version[-classifier].packaging`."""
        stem = "-".join(part for part in (self.name, self.version, self.classifier) if part)
        return f"{stem}.{self.packaging}"

    @property
    def cache_path(self) -> Path:
        """Return the path below a Maven repository's root."""
        return Path(*self.group.split("."), self.name, self.version, self.file_name)

    def is_at(self, file: Path) -> bool:
        """Tell whether this file is the artifact, whole and unchanged."""
        return file.is_file() and sha256_of(file) == self.sha256


def read_lock(text: str) -> tuple[Artifact, ...]:
    """Return the artifacts of a lock; ValueError names the first line that is not one."""
    artifacts = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        coordinate, _, sha256 = line.partition(" ")
        group, name, version, classifier, packaging = _parts(coordinate, number)
        if len(sha256) != SHA256_HEX_CHARS or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"jars.lock line {number}: no SHA-256 after {coordinate}")
        artifacts.append(Artifact(group, name, version, classifier, packaging, sha256))
    return tuple(artifacts)


def _parts(coordinate: str, number: int) -> tuple[str, str, str, str, str]:
    match coordinate.split(":"):
        case [group, name, version]:
            return group, name, version, "", "jar"
        case [group, name, version, classifier, packaging]:
            return group, name, version, classifier, packaging
    raise ValueError(f"jars.lock line {number}: not group:artifact:version: {coordinate!r}")


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Fetcher: TypeAlias = Callable[[Artifact, Path], Path]
"""Downloads an artifact below a repository root and returns where it is."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where artifacts come from.

    shared: a Maven repository of other programs; only read, and believed only where the hash is
            the lock's. None: there is none.
    own:    what was fetched and not yet installed, laid out as a Maven repository. One set-up of a
            checkout runs at a time, so nobody else writes here.
    """

    shared: Path | None
    own: Path
    fetch: Fetcher

    def obtain(self, artifact: Artifact, target: Path) -> str:
        """Put a verified copy of the artifact at `target`; return how, in one word.

        FetchError: two downloads in a row did not have the lock's hash.
        """
        if artifact.is_at(target):
            return "present"
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.shared is not None and artifact.is_at(self.shared / artifact.cache_path):
            _copy(self.shared / artifact.cache_path, target)
            return "cached"
        file = self.own / artifact.cache_path
        for _ in range(2):
            if artifact.is_at(file):
                break
            # Kept, a damaged file would be taken for the artifact by the fetcher.
            file.unlink(missing_ok=True)
            file = self.fetch(artifact, self.own)
        if not artifact.is_at(file):
            file.unlink()
            raise FetchError(f"{artifact.file_name}: SHA-256 differs from jars.lock, twice")
        file.replace(target)
        return "fetched"


def _copy(source: Path, target: Path) -> None:
    """Copy under a temporary name, then rename: a reader sees the whole file or none."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def unpack(archive: Path, home: Path) -> None:
    """Unpack a tar.gz into `home`, replacing what was there only when all of it is unpacked."""
    temporary = home.with_name(f".{home.name}.{os.getpid()}")
    old = home.with_name(f".{home.name}.old.{os.getpid()}")
    try:
        with tarfile.open(archive) as tar:
            # Python before 3.11.4 has no filters; the archive's hash is what we trust.
            if hasattr(tarfile, "data_filter"):
                tar.extractall(temporary, filter="data")
            else:
                tar.extractall(temporary)  # noqa: S202
        if home.exists():
            home.rename(old)
        temporary.rename(home)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def fetch_with_jgo(artifact: Artifact, repository: Path) -> Path:
    """Download one artifact, without its dependencies: the lock lists them all."""
    import requests  # noqa: PLC0415  (only the fetch needs the HTTP stack)
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    mirror = os.environ.get("MAVEN_MIRROR_URL")
    context = MavenContext(
        resolver=PythonResolver(progress_callback=_progress),
        repo_cache=repository,
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=60,
    )
    component = context.project(artifact.group, artifact.name).at_version(artifact.version)
    try:
        path = component.artifact(
            classifier=artifact.classifier, packaging=artifact.packaging
        ).resolve()
    except (requests.RequestException, RuntimeError, OSError) as error:
        raise FetchError(f"{artifact.file_name}: {error}") from error
    return Path(path)


@contextmanager
def _progress(file_name: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show the share of a large download; small files pass in a blink."""
    on_terminal = sys.stdout.isatty()
    step_percent = 1 if on_terminal else 10
    begin, end = ("\r", "") if on_terminal else ("", "\n")
    done_bytes = 0
    shown = 0

    def update(count: int) -> None:
        nonlocal done_bytes, shown
        done_bytes += count
        percent = done_bytes * 100 // total_bytes
        if total_bytes > LARGE_BYTES and percent >= shown + step_percent:
            shown = percent
            print(f"{begin}  {file_name} {percent:3d} %", end=end, flush=True)

    yield update
    if shown and on_terminal:
        print()


def shared_repository() -> Path | None:
    """Return the Maven repository of this user, if there is a home it could be in."""
    configured = os.environ.get("M2_REPO")
    if configured:
        return Path(configured)
    with suppress(RuntimeError):
        return Path.home() / ".m2" / "repository"
    return None


def install(artifacts: Iterable[Artifact], source: Source) -> None:
    """Make `.run/lib` hold exactly these artifacts; a second call copies nothing."""
    artifacts = tuple(artifacts)
    jars = {artifact.file_name for artifact in artifacts if artifact.packaging == "jar"}
    if KAFKA_LIB.is_dir():
        for stray in KAFKA_LIB.iterdir():
            # The class path is a wildcard: a jar of another version would be picked up.
            if stray.name not in jars:
                shutil.rmtree(stray) if stray.is_dir() else stray.unlink()
    for index, artifact in enumerate(artifacts, start=1):
        if artifact.packaging == "jar":
            how = source.obtain(artifact, KAFKA_LIB / artifact.file_name)
        else:
            how = _install_registry(artifact, source)
        print(f"  [{index}/{len(artifacts)}] {artifact.file_name} ({how})", flush=True)


def _install_registry(artifact: Artifact, source: Source) -> str:
    stamp = APICURIO_HOME / ".sha256"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == artifact.sha256:
        return "present"
    archive = APICURIO_HOME.parent / artifact.file_name
    print(f"  {artifact.file_name}: 159 MB, the largest part", flush=True)
    how = source.obtain(artifact, archive)
    unpack(archive, APICURIO_HOME)
    stamp.write_text(artifact.sha256, encoding="utf-8")
    archive.unlink()
    return how


def main() -> int:
    """Fetch what is missing; 1 with a message when that fails."""
    try:
        source = Source(shared_repository(), FETCH / "m2", fetch_with_jgo)
        install(read_lock(LOCK_FILE.read_text(encoding="utf-8")), source)
    except FetchError as error:
        print(f"error: {error}\n{FetchError.__doc__}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
