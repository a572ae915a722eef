"""A KRaft cluster of one or three nodes, each broker and controller, as child processes."""

import base64
import hashlib
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.paths import KAFKA_LIB
from infra.stack.java import archive_of, from_archive, java, to_archive
from infra.stack.ports import free_ports
from infra.stack.processes import (
    Child,
    PortTakenError,
    StackError,
    stop_all,
    tail,
    text_from,
    wait_until,
)

KAFKA_VERSION: Final = "4.3.1"
HEAP_MB: Final = 512
FORMAT_TIMEOUT_S: Final = 60.0
START_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 10.0
STARTED: Final = "Kafka Server started (kafka.server.KafkaRaftServer)"

PROPERTIES: Final = """\
process.roles=broker,controller
node.id={node_id}
# Static voters are read at every start, so the same data can come back on other ports.
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
# Relative to the node's directory: a comma in the checkout's path would read as two directories.
log.dirs=data
auto.create.topics.enable=false
default.replication.factor={replication}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replication}
transaction.state.log.replication.factor={replication}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replication}
share.coordinator.state.topic.min.isr={in_sync}
# Sized for a developer's machine.
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
"""

LOGGING: Final = """\
rootLogger.level=WARN
rootLogger.appenderRef.file.ref=FILE
appender.file.type=File
appender.file.name=FILE
appender.file.fileName=server.log
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=[%d] %p %m (%c)%n
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""


# Where Kafka says at the format which features a cluster begins with.
CHECKPOINT: Final = "bootstrap.checkpoint"


def features_file() -> Path:
    """Return where the features that these jars begin with are kept, behind their SHA-256."""
    return archive_of(KAFKA_LIB).with_suffix(".features")


def known_features() -> bytes:
    """Return the kept checkpoint; empty where there is none, or not as it was written."""
    with suppress(OSError):
        kept = features_file().read_bytes()
        features = kept[hashlib.sha256().digest_size :]
        if kept == hashlib.sha256(features).digest() + features:
            return features
    return b""


def keep_features(checkpoint: Path) -> None:
    """Keep what a format has made for the next ones; where nothing can be written, nothing is."""
    features = checkpoint.read_bytes()
    file = features_file()
    temporary = file.with_suffix(f".{os.getpid()}.new")
    with suppress(OSError):
        temporary.write_bytes(hashlib.sha256(features).digest() + features)
        temporary.replace(file)


def new_id() -> str:
    """Return a random id as Kafka spells it, 22 letters of base64."""
    # A leading dash would be taken for an option by Kafka's argument parser.
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "A")


@dataclass(frozen=True, slots=True)
class Node:
    """One node's place: its directory and its two ports."""

    node_id: int
    directory: Path
    port: int
    controller_port: int


class KafkaCluster:
    """Brokers 1..N over `directory`; the data outlives the processes.

    properties: what differs from `PROPERTIES`; {node_id}, {port} and {controller_port} in a value
                are the node's own, for whoever adds a listener.
    record:     where a broker that stops writes the archive of its classes; it uses none then.
    """

    def __init__(
        self,
        directory: Path,
        brokers: int,
        properties: Mapping[str, str],
        *,
        fast_jit: bool,
        record: Path | None = None,
    ) -> None:
        if brokers not in {1, 3}:
            raise ValueError(f"1 or 3 brokers, not {brokers}: a quorum of 2 is lost with either")
        self._directory = directory
        self._count = brokers
        self._properties = dict(properties)
        self._fast_jit = fast_jit
        self._record = record
        self._nodes: dict[int, Node] = {}
        self._formats: list[tuple[Node, Child]] = []
        self.children: dict[int, Child] = {}
        self._log_start_bytes: dict[int, int] = {}

    @property
    def bootstrap(self) -> str:
        """Return the brokers' addresses for clients."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self._nodes.values())

    def prepare(self) -> None:
        """Choose ports, write the configuration, begin to format what is not formatted."""
        self._directory.mkdir(parents=True, exist_ok=True)
        ports = free_ports(2 * self._count)
        self._nodes = {
            node_id: Node(
                node_id,
                self._directory / f"broker-{node_id}",
                ports[2 * node_id - 2],
                ports[2 * node_id - 1],
            )
            for node_id in range(1, self._count + 1)
        }
        self._formats = []
        for node in self._nodes.values():
            self._write_configuration(node)
            if not ((node.directory / "formatted").exists() or self._formatted(node)):
                self._formats.append((node, self._begin_format(node)))

    def _write_configuration(self, node: Node) -> None:
        node.directory.mkdir(exist_ok=True)
        voters = ",".join(
            f"{other.node_id}@127.0.0.1:{other.controller_port}" for other in self._nodes.values()
        )
        text = PROPERTIES.format(
            node_id=node.node_id,
            voters=voters,
            port=node.port,
            controller_port=node.controller_port,
            replication=self._count,
            in_sync=1 if self._count == 1 else 2,
        )
        overrides = "".join(f"{name}={value}\n" for name, value in self._properties.items())
        overrides = overrides.replace("{node_id}", str(node.node_id))
        overrides = overrides.replace("{port}", str(node.port))
        overrides = overrides.replace("{controller_port}", str(node.controller_port))
        (node.directory / "server.properties").write_text(text + overrides, encoding="utf-8")
        (node.directory / "log4j2.properties").write_text(LOGGING, encoding="utf-8")

    def _formatted(self, node: Node) -> bool:
        """Format a node as another was on this machine; False where none was, or none is known.

        The features of a cluster are those of its jars, and all else has its own words: a second
        of processor time less for each broker.
        """
        data, features = node.directory / "data", known_features()
        # What is there already is Kafka's to judge.
        if not features or (data / "meta.properties").exists():
            return False
        data.mkdir(exist_ok=True)
        (data / CHECKPOINT).write_bytes(features)
        words = {
            "cluster.id": self._cluster_id(),
            "directory.id": new_id(),
            "node.id": node.node_id,
            "version": 1,
        }
        text = "".join(f"{name}={value}\n" for name, value in words.items())
        (data / "meta.properties").write_text(text, encoding="utf-8")
        (node.directory / "formatted").touch()
        return True

    def _begin_format(self, node: Node) -> Child:
        command = java(node.directory, 128, fast_jit=True) + from_archive(archive_of(KAFKA_LIB))
        command += ["-cp", f"{KAFKA_LIB}/*", "kafka.tools.StorageTool", "format"]
        command += ["-t", self._cluster_id(), "-c", "server.properties", "--ignore-formatted"]
        return Child(command, node.directory, node.directory / "format.log")

    def _cluster_id(self) -> str:
        """Return the id kept with the data; made at the first start."""
        file = self._directory / "cluster.id"
        if not file.exists():
            temporary = file.with_suffix(".new")
            temporary.write_text(new_id(), encoding="utf-8")
            temporary.replace(file)
        return file.read_text(encoding="utf-8")

    def begin(self) -> None:
        """Finish the formatting and start every broker."""
        for node, child in self._formats:
            if child.wait(FORMAT_TIMEOUT_S) != 0:
                raise StackError(f"Kafka's storage was not formatted:\n{tail(child.output())}")
            keep_features(node.directory / "data" / CHECKPOINT)
            (node.directory / "formatted").touch()
        for node in self._nodes.values():
            self._start(node)

    def _start(self, node: Node) -> None:
        server_log = node.directory / "server.log"
        size = server_log.stat().st_size if server_log.exists() else 0
        self._log_start_bytes[node.node_id] = size
        command = java(node.directory, HEAP_MB, fast_jit=self._fast_jit)
        record = self._record
        command += to_archive(record) if record else from_archive(archive_of(KAFKA_LIB))
        command += ["-XX:MaxMetaspaceSize=128m", "-Dkafka.logs.dir=."]
        command += ["-Dlog4j2.configurationFile=log4j2.properties"]
        command += ["-cp", f"{KAFKA_LIB}/*", "kafka.Kafka", "server.properties"]
        console = node.directory / "console.log"
        self.children[node.node_id] = Child(command, node.directory, console)

    def wait(self) -> None:
        """Return when all brokers are up and know one another; StackError otherwise."""
        for node_id in self._nodes:
            self._wait_started(node_id)
        self._wait_registered(set(self._nodes))

    def _wait_started(self, node_id: int) -> None:
        node = self._nodes[node_id]
        child = self.children[node_id]
        server_log = node.directory / "server.log"

        def has_started_or_died() -> bool:
            return STARTED in self._server_log(node) or not child.is_alive()

        in_time = wait_until(has_started_or_died, START_TIMEOUT_S)
        if in_time and child.is_alive():
            return
        log = self._server_log(node) + child.output()
        child.kill()
        if "BindException" in log or "Address already in use" in log:
            raise PortTakenError(f"Kafka broker {node_id}: port {node.port} was taken meanwhile")
        what = f"did not start in {START_TIMEOUT_S:.0f} s" if not in_time else "ended at start"
        raise StackError(
            f"Kafka broker {node_id} {what}. Last lines of {server_log} and console.log:\n"
            f"{tail(log)}\n"
            "Check free memory (about 200 MB a broker) and disk. If the data is damaged, "
            "`scripts/stack down --purge` deletes it."
        )

    def _server_log(self, node: Node) -> str:
        return text_from(node.directory / "server.log", self._log_start_bytes[node.node_id])

    def _wait_registered(self, node_ids: set[int]) -> None:
        def all_registered() -> bool:
            # A client anew each time: one that once took a broker for the controller may go on
            # asking it after its death.
            admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
            try:
                cluster = admin.describe_cluster(request_timeout=5).result()
            except KafkaException:
                return False
            return node_ids <= {broker.id for broker in cluster.nodes}

        if not wait_until(all_registered, START_TIMEOUT_S):
            raise StackError(f"Kafka brokers {sorted(node_ids)} do not form a cluster in time")

    def kill_broker(self, node_id: int) -> None:
        """End a broker as a crash would (SIGKILL), paused or not."""
        self.children.pop(node_id).kill()

    def stop_broker(self, node_id: int) -> None:
        """Stop a broker in order; SIGKILL after 10 s."""
        stop_all([self.children.pop(node_id)], STOP_TIMEOUT_S)

    def start_broker(self, node_id: int) -> None:
        """Start a broker that was killed or stopped, on its ports and data; return when ready."""
        if node_id in self.children and self.children[node_id].is_alive():
            raise ValueError(f"broker {node_id} is running")
        self._start(self._nodes[node_id])
        self._wait_started(node_id)
        self._wait_registered({node_id})

    def pause_broker(self, node_id: int) -> None:
        """Freeze a broker (SIGSTOP): it keeps its connections and says nothing."""
        self.children[node_id].signal(signal.SIGSTOP)

    def resume_broker(self, node_id: int) -> None:
        """Let a frozen broker go on."""
        self.children[node_id].signal(signal.SIGCONT)

    def all_children(self) -> list[Child]:
        """Return every process of ours, the formatting ones included."""
        return [*self.children.values(), *(child for _, child in self._formats)]
