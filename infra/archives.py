"""Kafka's and the registry's jars in, archives of their classes out: both start a third sooner.

Each is started once as a test starts it and stopped in order; it writes what it had read, checked
and laid out then. Whoever starts it later maps that file. Nothing depends on the archives: where
there is none, or a spoilt one, a start takes the time that it always took.
"""

import sys
from pathlib import Path
from typing import Final

from infra.paths import APICURIO_HOME, ARCHIVES, KAFKA_LIB
from infra.stack.java import archive_of
from infra.stack.kafka import KafkaCluster, features_file
from infra.stack.processes import Child, StackError, stop_all
from infra.stack.registry import SchemaRegistry
from infra.stack.running import ephemeral_directory

# Three seconds of work for Kafka and six for the registry, on a machine that may be full.
WRITE_TIMEOUT_S: Final = 120.0
RECORD: Final = Path("classes.aot")  # below the server's own directory: no path can puzzle Java


def make(home: Path) -> None:
    """Make the archives that are not there; StackError when a server did not start or write.

    home: a directory to work in. Who makes them at the same time makes the same: the later of two
    takes the place of the earlier, whole, and who has that one mapped keeps it.
    """
    kafka = KafkaCluster(home / "kafka", 1, {}, fast_jit=True, record=RECORD)
    registry = SchemaRegistry(home / "registry", RECORD)
    written = {
        archive_of(KAFKA_LIB): home / "kafka" / "broker-1" / RECORD,
        archive_of(APICURIO_HOME): home / "registry" / RECORD,
    }
    if all(archive.is_file() for archive in written):
        return
    try:
        kafka.prepare()
        registry.begin()
        kafka.begin()
        kafka.wait()
        registry.wait()
        stop_all(_children(kafka, registry), WRITE_TIMEOUT_S)
    finally:
        for child in _children(kafka, registry):
            child.kill()
    for archive, file in written.items():
        if not file.is_file():
            raise StackError(f"Java wrote no {archive.name}")
        file.replace(archive)


def _children(kafka: KafkaCluster, registry: SchemaRegistry) -> list[Child]:
    return kafka.all_children() + ([registry.child] if registry.child else [])


def remove_others() -> None:
    """Remove what was made of jars and by a Java that are not here any more."""
    wanted = {archive_of(KAFKA_LIB), archive_of(APICURIO_HOME), features_file()}
    for kind in ("*.aot", "*.features"):
        for file in ARCHIVES.glob(kind):
            if file not in wanted:
                file.unlink(missing_ok=True)


def main() -> int:
    """Make what is missing; 1 with a message when that fails."""
    try:
        # Beside where they will be: a file is renamed to there.
        with ephemeral_directory("making", ARCHIVES / "tmp") as home:
            make(home)
        remove_others()
    except (StackError, OSError) as error:
        print(f"  {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
