"""Lock file in, verified broker jars and the unpacked schema registry under `.run/lib` out.

Every artifact is checked against the lock's SHA-256 before it is used: the fetcher keeps whatever
a cut-off download left behind and would hand it out for ever. Files arrive under a temporary name
and are renamed, so an interrupted fetch leaves nothing that looks complete.
"""

import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from infra.paths import APICURIO_HOME, KAFKA_LIB, ROOT, RUN

LOCK_FILE: Final = ROOT / "infra" / "jars.lock"
SHA256_HEX_CHARS: Final = 64
MEGABYTE: Final = 1_000_000


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


def obtain(artifact: Artifact, target: Path, cache: Path, fetch: Fetcher) -> str:
    """Put a verified copy of the artifact at `target`; return "cached" or "fetched".

    cache: a Maven repository shared with other programs. A file there is used only if its hash is
    the lock's, and is replaced when it is not. Downloads go to a private directory first, so two
    set-ups at once never read one another's half-written file.
    """
    shared = cache / artifact.cache_path
    if shared.is_file() and sha256_of(shared) == artifact.sha256:
        _copy(shared, target)
        return "cached"
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=_made(target.parent)) as private:
        file = fetch(artifact, Path(private))
        if sha256_of(file) != artifact.sha256:
            # Kept, the damaged file would be taken for the artifact on the second attempt too.
            file.unlink()
            file = fetch(artifact, Path(private))
        if sha256_of(file) != artifact.sha256:
            raise FetchError(f"{artifact.file_name}: SHA-256 differs from jars.lock, twice")
        # A read-only or full cache costs the next checkout a download, nothing else.
        with suppress(OSError):
            _copy(file, shared)
        file.replace(target)
    return "fetched"


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _copy(source: Path, target: Path) -> None:
    """Copy under a temporary name, then rename: a reader sees the whole file or none."""
    temporary = _made(target.parent) / f".{target.name}.{os.getpid()}"
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
    """Show the share of a large download on a terminal; small files pass in a blink."""
    done_bytes = 0
    shown = -1

    def update(count: int) -> None:
        nonlocal done_bytes, shown
        done_bytes += count
        percent = done_bytes * 100 // total_bytes
        if total_bytes > 20 * MEGABYTE and percent != shown and sys.stderr.isatty():
            shown = percent
            print(f"\r  {file_name} {percent:3d} %", end="", file=sys.stderr, flush=True)

    yield update
    if shown >= 0:
        print(file=sys.stderr)


def shared_cache() -> Path:
    """Return the Maven repository of this user, or one in the checkout when there is no home."""
    configured = os.environ.get("M2_REPO")
    if configured:
        return Path(configured)
    try:
        home = Path.home()
    except RuntimeError:
        return RUN / "m2"
    return home / ".m2" / "repository" if os.access(home, os.W_OK) else RUN / "m2"


def install(artifacts: Iterable[Artifact], cache: Path, fetch: Fetcher) -> None:
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
            target = KAFKA_LIB / artifact.file_name
            if target.is_file() and sha256_of(target) == artifact.sha256:
                continue
            how = obtain(artifact, target, cache, fetch)
        else:
            how = _install_registry(artifact, cache, fetch)
        print(f"  [{index}/{len(artifacts)}] {artifact.file_name} ({how})", flush=True)


def _install_registry(artifact: Artifact, cache: Path, fetch: Fetcher) -> str:
    stamp = APICURIO_HOME / ".sha256"
    if stamp.is_file() and stamp.read_text() == artifact.sha256:
        return "present"
    archive = APICURIO_HOME.parent / artifact.file_name
    print(f"  {artifact.file_name}: 159 MB, the largest part", flush=True)
    how = obtain(artifact, archive, cache, fetch)
    unpack(archive, APICURIO_HOME)
    stamp.write_text(artifact.sha256)
    archive.unlink()
    return how


def main() -> int:
    """Fetch what is missing; 1 with a message when that fails."""
    try:
        install(read_lock(LOCK_FILE.read_text()), shared_cache(), fetch_with_jgo)
    except FetchError as error:
        print(f"error: {error}\n{FetchError.__doc__}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
