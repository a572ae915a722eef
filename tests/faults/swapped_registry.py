"""A schema registry that was restored from another backup: the same address, other ids.

with swapped(registry, tmp_path / "another"):
    fill(registry.url, exchanged=(CONFIRM, RELEASE))
    ...                    # whoever asks now gets the ids of two records exchanged
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.stack.registry import SchemaRegistry
from schemas.topics import subjects
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.contracts.registering import COMPATIBILITY
from serdes.avro.schema_files import current
from serdes.registry.client import quoted


def fill(url: str, *, others: int = 0, exchanged: Sequence[str] = ()) -> None:
    """Register the current schemas in an empty registry.

    others:    schemas of somebody else that come first, so that no id is a pinned one.
    exchanged: full names of two records, each registered in the other's turn.
    """
    registry = PatientRegistry(url, PATIENCE_S)
    for number in range(others):
        text = f'{{"type":"fixed","name":"Other{number}","size":1}}'
        registry.call("POST", f"subjects/other-{number}/versions", {"schema": text})
    turns = list(subjects().items())
    if exchanged:
        first, second = ([record for _, record in turns].index(name) for name in exchanged)
        turns[first], turns[second] = turns[second], turns[first]
    for subject, record in turns:
        registry.call("PUT", f"config/{quoted(subject)}", {"compatibility": COMPATIBILITY})
        path = f"subjects/{quoted(subject)}/versions"
        registry.call("POST", path, {"schema": current().text(record)})


@contextmanager
def swapped(registry: SchemaRegistry, directory: Path) -> Iterator[None]:
    """Serve the data of another directory at the registry's address; afterwards its own again."""
    own = registry._directory
    try:
        _serve(registry, directory)
        yield
    finally:
        _serve(registry, own)


def _serve(registry: SchemaRegistry, directory: Path) -> None:
    registry.kill()
    registry._directory = directory
    registry.restart()
    registry.wait()
