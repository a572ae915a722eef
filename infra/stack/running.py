"""Stack: Kafka, schema registry, Redis, mock gateway started together, owned by this process."""

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol, Self, TypeVar

from infra.paths import EPHEMERAL_HOME
from infra.stack.addresses import PARTS, Addresses
from infra.stack.gateway import MockGateway
from infra.stack.kafka import KafkaCluster
from infra.stack.processes import Child, PortTakenError, ProcessId, stop_all
from infra.stack.redis_server import RedisServer
from infra.stack.registry import SchemaRegistry

STOP_TIMEOUT_S: Final = 10.0
# What a developer and a test want: a crashed broker is back in 5 s instead of 12 s.
QUICK_RESTART: Final[Mapping[str, str]] = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}
NO_PROPERTIES: Final[Mapping[str, str]] = {}


Part = TypeVar("Part")


class _Server(Protocol):
    def begin(self) -> None: ...
    def restart(self) -> None: ...
    def wait(self) -> None: ...


class Stack:
    """The parts that were asked for; a context manager that stops them.

    directory:  data and logs; kept, so that a later stack over it goes on where this one ended.
    parts:      of "kafka", "registry", "redis", "gateway"; those in `external` are not started.
    brokers:    1, or 3 with replication 3 and two in-sync replicas; node ids are 1..brokers.
    fast_jit:   start sooner, peak lower (for tests).
    throw_away: nobody will read the data again: stop with SIGKILL.
    external:   addresses by part that are used instead of starting our own.
    """

    def __init__(
        self,
        directory: Path,
        brokers: int = 1,
        parts: Collection[str] = PARTS,
        kafka_properties: Mapping[str, str] = NO_PROPERTIES,
        *,
        fast_jit: bool = False,
        throw_away: bool = False,
        external: Mapping[str, str] | None = None,
    ) -> None:
        unknown = set(parts) - PARTS
        if unknown:
            raise ValueError(f"unknown parts {sorted(unknown)}; there are {sorted(PARTS)}")
        self.directory = directory
        self._external = {part: url for part, url in (external or {}).items() if part in parts}
        own = set(parts) - set(self._external)
        self._throw_away = throw_away
        self._kafka: KafkaCluster | None = None
        self._registry: SchemaRegistry | None = None
        self._redis: RedisServer | None = None
        self._gateway: MockGateway | None = None
        if "kafka" in own:
            # One directory per size: a quorum of three cannot read the metadata of one.
            self._kafka = KafkaCluster(
                directory / f"kafka-{brokers}", brokers, kafka_properties, fast_jit=fast_jit
            )
        if "registry" in own:
            self._registry = SchemaRegistry(directory / "registry")
        if "redis" in own:
            self._redis = RedisServer(directory / "redis")
        if "gateway" in own:
            self._gateway = MockGateway(directory / "gateway")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all parts at the same time and return when each is ready."""
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            if self._kafka is not None:
                self._kafka.prepare()
            for part in (self._registry, self._redis, self._gateway):
                if part is not None:
                    part.begin()
            if self._kafka is not None:
                self._kafka.begin()
                self._wait_kafka(self._kafka)
            for part in (self._registry, self._redis, self._gateway):
                if part is not None:
                    _wait_or_begin_again(part)
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def _wait_kafka(cluster: KafkaCluster) -> None:
        try:
            cluster.wait()
        except PortTakenError:
            for child in cluster.all_children():
                child.kill()
            cluster.prepare()
            cluster.begin()
            cluster.wait()

    def stop(self) -> None:
        """Stop everything; in order, or at once when the data is thrown away."""
        children = self._children()
        if self._throw_away:
            for child in children:
                child.kill()
        else:
            stop_all(children, STOP_TIMEOUT_S)

    def _children(self) -> list[Child]:
        children = [] if self._kafka is None else self._kafka.all_children()
        for part in (self._registry, self._redis, self._gateway):
            if part is not None and part.child is not None:
                children.append(part.child)
        return children

    def process_ids(self) -> dict[str, ProcessId]:
        """Return the servers' processes by name: broker-1, ..., registry, redis, gateway."""
        children: dict[str, Child] = {}
        if self._kafka is not None:
            children |= {f"broker-{i}": child for i, child in self._kafka.children.items()}
        if self._registry is not None and self._registry.child is not None:
            children["registry"] = self._registry.child
        if self._redis is not None and self._redis.child is not None:
            children["redis"] = self._redis.child
        if self._gateway is not None and self._gateway.child is not None:
            children["gateway"] = self._gateway.child
        return {
            name: child.identity for name, child in children.items() if child.identity is not None
        }

    @property
    def addresses(self) -> Addresses:
        """Return the client addresses of all parts, external ones included."""
        own = {}
        if self._kafka is not None:
            own["kafka"] = self._kafka.bootstrap
        if self._registry is not None:
            own["registry"] = self._registry.url
        if self._redis is not None:
            own["redis"] = self._redis.url
        if self._gateway is not None:
            own["gateway"] = self._gateway.url
        control = "" if self._gateway is None else self._gateway.control_url
        return Addresses({**own, **self._external}, control)

    @property
    def kafka_brokers(self) -> str:
        """Return `host:port,...` for Kafka clients."""
        return self.addresses.kafka_brokers

    @property
    def registry_url(self) -> str:
        """Return the base address of the Confluent-compatible interface."""
        return self.addresses.registry_url

    @property
    def redis_url(self) -> str:
        """Return the address of database 0."""
        return self.addresses.redis_url

    @property
    def gateway(self) -> MockGateway:
        """Return the gateway that this stack started: its addresses, its ledger, its process."""
        return _own(self._gateway)

    @property
    def broker_pids(self) -> dict[int, int]:
        """Return the pid of every broker that was started and not killed, by node id."""
        return {node_id: child.pid for node_id, child in self._cluster.children.items()}

    @property
    def _cluster(self) -> KafkaCluster:
        return _own(self._kafka)

    def kill_broker(self, node_id: int = 1) -> None:
        """End a broker as a crash would (SIGKILL), paused or not."""
        self._cluster.kill_broker(node_id)

    def stop_broker(self, node_id: int = 1) -> None:
        """Stop a broker in order."""
        self._cluster.stop_broker(node_id)

    def start_broker(self, node_id: int = 1) -> None:
        """Start a killed or stopped broker on its old ports and data; return when ready."""
        self._cluster.start_broker(node_id)

    def pause_broker(self, node_id: int = 1) -> None:
        """Freeze a broker (SIGSTOP)."""
        self._cluster.pause_broker(node_id)

    def resume_broker(self, node_id: int = 1) -> None:
        """Let a frozen broker go on."""
        self._cluster.resume_broker(node_id)

    def stop_registry(self) -> None:
        """End the registry as a crash would; its address stays the same."""
        _own(self._registry).kill()

    def start_registry(self) -> None:
        """Start the registry again at its address; return when ready."""
        _start_again(_own(self._registry))

    def stop_redis(self) -> None:
        """End Redis as a crash would; its address stays the same."""
        _own(self._redis).kill()

    def start_redis(self) -> None:
        """Start Redis again at its address; return when ready."""
        _start_again(_own(self._redis))


def _own(part: Part | None) -> Part:
    assert part is not None, "this stack does not own such a part"
    return part


def _start_again(part: _Server) -> None:
    part.restart()
    part.wait()


def _wait_or_begin_again(part: _Server) -> None:
    try:
        part.wait()
    except PortTakenError:
        part.begin()
        part.wait()


@contextmanager
def ephemeral_directory(name: str, home: Path = EPHEMERAL_HOME) -> Iterator[Path]:
    """Give a new directory of this process and remove it at the end.

    The directory is locked while we live. The lock goes with the process however it ends, so the
    next caller can tell leftovers, which it removes, from directories in use.
    """
    home.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(home)
    number = 0
    while True:
        directory = home / f"{name}-{os.getpid()}-{number}"
        number += 1
        with suppress(FileExistsError):
            directory.mkdir()
            lock = _try_lock(directory)
            # A sweeper may have come between the two lines above: take the next name then.
            if lock is not None:
                break
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _try_lock(directory: Path) -> int | None:
    """Return a descriptor that holds the directory's lock, or None if another process does."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not directory.exists():
        os.close(descriptor)
        return None
    return descriptor


def _remove_leftovers(home: Path) -> None:
    for directory in home.iterdir():
        if not directory.is_dir():
            continue
        lock = _try_lock(directory)
        if lock is not None:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)


@contextmanager
def ephemeral_stack(
    name: str,
    brokers: int = 1,
    parts: Collection[str] = PARTS,
    kafka_properties: Mapping[str, str] = NO_PROPERTIES,
    *,
    fast_jit: bool = False,
    external: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Give a running stack in a directory of its own; nothing of it is left afterwards."""
    with (
        ephemeral_directory(name) as directory,
        Stack(
            directory,
            brokers,
            parts,
            kafka_properties,
            fast_jit=fast_jit,
            throw_away=True,
            external=external,
        ) as stack,
    ):
        yield stack
