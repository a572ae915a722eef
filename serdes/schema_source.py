"""Where a process gets its schema ids from: the registry it was told of, or files."""

from pathlib import Path

from serdes.decoding import TopicDecoder
from serdes.registry import (
    PINS_FILE,
    Registry,
    RegistryRefusedError,
    RegistryUnavailableError,
    ids_at_start,
    read_ids,
)
from serdes.schema_ids import SchemaIds


class SchemaSource:
    """A registry by its url; an empty url means that there is none and the pins serve.

    cache: where the ids of the last successful start lie, for when the registry is down.
    """

    def __init__(self, registry_url: str, cache: Path) -> None:
        self._registry = Registry(registry_url) if registry_url else None
        self._cache = cache

    def ids(self) -> SchemaIds:
        """Return the ids of our own schemas; raises as `registry.ids_at_start`."""
        if self._registry is None:
            return SchemaIds(read_ids(PINS_FILE), f"pins {PINS_FILE.name}")
        return ids_at_start(self._registry, self._cache, PINS_FILE)

    def learn(self, decoder: TopicDecoder, schema_id: int) -> bool:
        """Ask what an unknown id stands for and tell the decoder; say whether it is known now.

        Blocks for some seconds while the registry does not answer.
        """
        if self._registry is None:
            return False
        try:
            registered = self._registry.schema_of(schema_id)
        except (RegistryUnavailableError, RegistryRefusedError):
            return False
        if registered is None:
            return False
        decoder.learn(schema_id, registered)
        return True
