"""Registries that have all schemas from their start: registered once, copied for all others.

To register them takes more processor time than a registry's start. What comes of it is the same
each time, since the order gives the ids; so the first who needs it keeps the registry's file below
`.run`, under a name that tells registry and schemas, and all others begin with a copy.
"""

import fcntl
import hashlib
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.paths import APICURIO_HOME, RUN
from infra.stack import Stack, ephemeral_directory
from infra.stack.java import archive_of
from infra.stack.processes import stop_all
from infra.stack.registry import SchemaRegistry
from infra.stack.running import NO_PROPERTIES
from schemas.topics import subjects
from scripts.contracts import registering
from scripts.contracts.patient_registry import PatientRegistry
from serdes.avro.schema_files import current

DATA = "apicurio.mv.db"
KEPT = RUN / "filled"
PATIENCE_S = 60.0


@contextmanager
def stack_with_schemas(
    name: str,
    parts: Collection[str] = ("kafka", "registry"),
    kafka_properties: Mapping[str, str] = NO_PROPERTIES,
) -> Iterator[Stack]:
    """Give a running stack of a test's own whose registry has all schemas."""
    with ephemeral_directory(name) as directory:
        put_schemas(directory)
        with Stack(directory, 1, parts, kafka_properties, fast_jit=True, throw_away=True) as stack:
            yield stack


def put_schemas(directory: Path) -> None:
    """Let the registry of a stack that will be started in this directory have all schemas."""
    data = directory / "registry" / DATA
    data.parent.mkdir(parents=True)
    shutil.copyfile(filled(), data)


def filled() -> Path:
    """Return the file of a registry that has all schemas and was stopped in order."""
    KEPT.mkdir(exist_ok=True)
    kept = KEPT / f"{_name()}.{DATA}"
    with (KEPT / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_file():
            for older in KEPT.glob(f"*.{DATA}"):
                older.unlink()
            _fill(kept)
    return kept


def _name() -> str:
    """Return what tells the registry's program, and all that is registered, how, in its order."""
    known = hashlib.sha256(archive_of(APICURIO_HOME).name.encode())
    known.update(Path(registering.__file__).read_bytes())
    for subject, record in subjects().items():
        known.update(f"{subject}\n{current().text(record)}\n".encode())
    return known.hexdigest()[:16]


def _fill(target: Path) -> None:
    with ephemeral_directory("filling") as directory:
        registry = SchemaRegistry(directory)
        try:
            registry.begin()
            registry.wait()
            registering.register(PatientRegistry(registry.url, PATIENCE_S))
            assert registry.child is not None
            stop_all([registry.child], PATIENCE_S)
        finally:
            registry.kill()
        unfinished = target.with_suffix(".new")
        shutil.copyfile(directory / DATA, unfinished)
        unfinished.replace(target)
