"""A schema registry that was restored from another backup: the same address, other ids.

with swapped(registry, tmp_path / "another"):
    fill(registry.url, exchanged=(CONFIRM, RELEASE))
    ...                    # whoever asks now gets the ids of two records exchanged
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from infra.stack.registry import SchemaRegistry
from schemas.topics import subjects
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from serdes.avro.schema_files import current
from serdes.registry.client import QUESTIONS_AT_ONCE, quoted


def fill(url: str, *, others: int = 0, exchanged: Sequence[str] = ()) -> None:
    """Register the current schemas in an empty registry.

    others:    schemas of somebody else that come first, so that no id is a pinned one.
    exchanged: full names of two records, each registered in the other's turn.
    """
    registry = PatientRegistry(url, PATIENCE_S)

    def register(subject: str, text: str) -> None:
        registry.call("POST", f"subjects/{quoted(subject)}/versions", {"schema": text})

    def register_other(number: int) -> None:
        register(f"other-{number}", f'{{"type":"fixed","name":"Other{number}","size":1}}')

    # Whichever of them has which id.
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as threads:
        list(threads.map(register_other, range(others)))
    turns = list(subjects().items())
    if exchanged:
        first, second = ([record for _, record in turns].index(name) for name in exchanged)
        turns[first], turns[second] = turns[second], turns[first]
    for subject, record in turns:
        register(subject, current().text(record))


@contextmanager
def swapped(registry: SchemaRegistry, directory: Path) -> Iterator[None]:
    """Serve the data of another directory at the registry's address; afterwards its own again."""
    own = registry._directory
    try:
        serve(registry, directory)
        yield
    finally:
        serve(registry, own)


def serve(registry: SchemaRegistry, directory: Path) -> None:
    """Serve the data of another directory from now on."""
    registry.kill()
    registry._directory = directory
    registry.restart()
    registry.wait()
