"""Kafka, schema registry, Redis, mock gateway as child processes: for tests, demo, benchmarks."""

from infra.stack.addresses import PARTS, Addresses, configured
from infra.stack.processes import ProcessId, StackError
from infra.stack.running import QUICK_RESTART, Stack, ephemeral_directory, ephemeral_stack

__all__ = [
    "PARTS",
    "QUICK_RESTART",
    "Addresses",
    "ProcessId",
    "Stack",
    "StackError",
    "configured",
    "ephemeral_directory",
    "ephemeral_stack",
]
