"""Where the parts are: configured, or those of the running stack."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KAFKA_BROKERS: Final = "KAFKA_BROKERS"
SCHEMA_REGISTRY_URL: Final = "SCHEMA_REGISTRY_URL"
REDIS_URL: Final = "REDIS_URL"
MOCK_GATEWAY_URL: Final = "MOCK_GATEWAY_URL"
MOCK_GATEWAY_CONTROL_URL: Final = "MOCK_GATEWAY_CONTROL_URL"
VARIABLE_BY_PART: Final = {
    "kafka": KAFKA_BROKERS,
    "registry": SCHEMA_REGISTRY_URL,
    "redis": REDIS_URL,
    "gateway": MOCK_GATEWAY_URL,
}
PARTS: Final = frozenset(VARIABLE_BY_PART)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Client addresses by part; a part that is neither configured nor started is missing.

    gateway_control_url: where the mock gateway that we started takes orders; empty for none.
    """

    by_part: Mapping[str, str]
    gateway_control_url: str = ""

    @property
    def kafka_brokers(self) -> str:
        """Return `host:port,...` for Kafka clients."""
        return self.by_part["kafka"]

    @property
    def registry_url(self) -> str:
        """Return the base address of the Confluent-compatible interface."""
        return self.by_part["registry"]

    @property
    def redis_url(self) -> str:
        """Return the address of database 0."""
        return self.by_part["redis"]

    @property
    def gateway_url(self) -> str:
        """Return the address of the mock gateway's public side."""
        return self.by_part["gateway"]

    def variables(self) -> dict[str, str]:
        """Return them as environment variables."""
        variables = {VARIABLE_BY_PART[part]: address for part, address in self.by_part.items()}
        if self.gateway_control_url:
            variables[MOCK_GATEWAY_CONTROL_URL] = self.gateway_control_url
        return variables


def configured(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the parts whose address the environment gives; an empty variable gives none."""
    return {
        part: environ[variable]
        for part, variable in VARIABLE_BY_PART.items()
        if environ.get(variable)
    }
