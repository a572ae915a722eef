"""Brokers are configured by their number; one that does not start or run so says why."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from infra.stack import java, kafka
from infra.stack.kafka import KafkaCluster
from infra.stack.processes import Child, PortTakenError, StackError, wait_until

NONE: Mapping[str, str] = {}


def prepared(
    directory: Path, brokers: int, properties: Mapping[str, str] = NONE
) -> tuple[KafkaCluster, list[dict[str, str]]]:
    """Return a cluster whose nodes count as formatted, and the properties of each."""
    for node_id in range(1, brokers + 1):
        node = directory / f"broker-{node_id}"
        node.mkdir(parents=True, exist_ok=True)
        (node / "formatted").touch()
    cluster = KafkaCluster(directory, brokers, properties, fast_jit=True)
    cluster.prepare()
    assert cluster.all_children() == []
    return cluster, [
        properties_in(directory / f"broker-{node_id}" / "server.properties")
        for node_id in range(1, brokers + 1)
    ]


def properties_in(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("brokers", [0, 2, 4])
def test_a_quorum_of_another_size_is_refused(tmp_path: Path, brokers: int) -> None:
    with pytest.raises(ValueError, match="1 or 3 brokers"):
        KafkaCluster(tmp_path, brokers, NONE, fast_jit=True)


@pytest.mark.parametrize(("brokers", "in_sync"), [(1, "1"), (3, "2")])
def test_an_acknowledged_record_is_on_two_of_three_brokers(
    tmp_path: Path, brokers: int, in_sync: str
) -> None:
    _, nodes = prepared(tmp_path, brokers)
    for node in nodes:
        assert node["default.replication.factor"] == str(brokers)
        assert node["min.insync.replicas"] == in_sync
        assert node["transaction.state.log.replication.factor"] == str(brokers)
        assert node["transaction.state.log.min.isr"] == in_sync
        assert node["offsets.topic.replication.factor"] == str(brokers)


def test_every_node_knows_all_voters_and_listens_on_ports_of_its_own(tmp_path: Path) -> None:
    cluster, nodes = prepared(tmp_path, 3)
    ports = [re.findall(r":(\d+)", node["listeners"]) for node in nodes]
    assert len({port for pair in ports for port in pair}) == 6
    voters = {
        f"{node_id}@127.0.0.1:{controller}" for node_id, (_, controller) in enumerate(ports, 1)
    }
    assert all(set(node["controller.quorum.voters"].split(",")) == voters for node in nodes)
    assert [node["node.id"] for node in nodes] == ["1", "2", "3"]
    assert cluster.bootstrap == ",".join(f"127.0.0.1:{port}" for port, _ in ports)
    assert all("127.0.0.1" in node["listeners"] for node in nodes)


def test_what_a_caller_sets_comes_last_with_the_numbers_of_the_node(tmp_path: Path) -> None:
    properties = {
        "num.io.threads": "9",
        "listeners": "SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "broker.rack": "rack-{node_id}",
    }
    _, (plain,) = prepared(tmp_path, 1)
    _, (node,) = prepared(tmp_path, 1, properties)
    assert node["num.io.threads"] == "9" != plain["num.io.threads"]
    assert node["broker.rack"] == "rack-1"
    assert re.fullmatch(r"SSL://127\.0\.0\.1:\d+,CONTROLLER://127\.0\.0\.1:\d+", node["listeners"])


def test_data_are_named_from_inside_their_node(tmp_path: Path) -> None:
    # Kafka reads a comma in a path as the end of one directory.
    _, (node,) = prepared(tmp_path / "a, b", 1)
    assert node["log.dirs"] == "data"


@pytest.fixture
def sleeping(tmp_path: Path) -> Iterator[KafkaCluster]:
    """Give a cluster with a process that sleeps in the place of its broker."""
    cluster, _ = prepared(tmp_path, 1)
    cluster.children[1] = Child(["sleep", "600"], tmp_path, tmp_path / "log")
    yield cluster
    for child in cluster.all_children():
        child.kill()


def state_of(child: Child) -> str:
    text = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8")
    return text.rpartition(")")[2].split()[0]


def test_a_broker_that_runs_is_not_started_again(sleeping: KafkaCluster) -> None:
    with pytest.raises(ValueError, match="broker 1 is running"):
        sleeping.start_broker(1)


def test_a_paused_broker_is_frozen_until_it_is_let_go_on(sleeping: KafkaCluster) -> None:
    child = sleeping.children[1]
    sleeping.pause_broker(1)
    assert wait_until(lambda: state_of(child) == "T", 60)
    sleeping.resume_broker(1)
    assert wait_until(lambda: state_of(child) != "T", 60)


@pytest.mark.parametrize("paused", [False, True])
def test_a_killed_broker_is_gone_paused_or_not(sleeping: KafkaCluster, paused: bool) -> None:
    child = sleeping.children[1]
    if paused:
        sleeping.pause_broker(1)
    sleeping.kill_broker(1)
    assert not child.is_alive()
    assert sleeping.children == {}


def test_a_stopped_broker_is_asked_first(sleeping: KafkaCluster) -> None:
    child = sleeping.children[1]
    sleeping.stop_broker(1)
    assert child.exit_code() == -15


@pytest.mark.parametrize(
    ("said", "error", "told"),
    [
        ("java.net.BindException: Address already in use", PortTakenError, "was taken meanwhile"),
        ("OutOfMemoryError", StackError, "ended at start(.|\n)*OutOfMemoryError"),
    ],
)
def test_a_broker_that_ends_at_its_start_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    error: type[StackError],
    told: str,
) -> None:
    # A program that says so and ends, in the place of Java.
    monkeypatch.setattr(kafka, "java", lambda *_, **__: ["sh", "-c", f"echo '{said}'; exit 1"])
    cluster, _ = prepared(tmp_path, 1)
    (tmp_path / "broker-1" / "server.log").write_text(f"{kafka.STARTED}\n", encoding="utf-8")
    cluster.begin()
    # What the log said of the last start is not believed.
    with pytest.raises(error, match=told):
        cluster.wait()


def test_a_disk_that_cannot_be_formatted_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "ARCHIVES", tmp_path / "none")
    monkeypatch.setattr(kafka, "java", lambda *_, **__: ["sh", "-c", "echo no room; exit 1"])
    cluster = KafkaCluster(tmp_path, 1, NONE, fast_jit=True)
    cluster.prepare()
    with pytest.raises(StackError, match="no room"):
        cluster.begin()
    assert not (tmp_path / "broker-1" / "formatted").exists()
    assert cluster.children == {}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder where a machine's first format keeps what the next ones need."""
    home = tmp_path / "archives"
    home.mkdir()
    monkeypatch.setattr(java, "ARCHIVES", home)
    return home


@pytest.mark.kafka
@pytest.mark.usefixtures("elsewhere")
def test_a_second_node_is_formatted_as_kafka_formatted_the_first_without_its_help(
    tmp_path: Path,
) -> None:
    first = KafkaCluster(tmp_path / "first", 1, NONE, fast_jit=True)
    first.prepare()
    [(_, child)] = first._formats
    assert child.wait(60) == 0, child.output()
    data = [tmp_path / name / "broker-1" / "data" for name in ("first", "second")]
    kafka.keep_features(data[0] / kafka.CHECKPOINT)
    second = KafkaCluster(tmp_path / "second", 1, NONE, fast_jit=True)
    second.prepare()
    assert second.all_children() == []
    assert (tmp_path / "second" / "broker-1" / "formatted").exists()
    assert (data[1] / kafka.CHECKPOINT).read_bytes() == (data[0] / kafka.CHECKPOINT).read_bytes()
    theirs, ours = (properties_in(one / "meta.properties") for one in data)
    assert theirs.keys() == ours.keys()
    for name in ("node.id", "version"):
        assert theirs[name] == ours[name]
    # Another cluster, another disk; ids of 22 letters both.
    for name in ("cluster.id", "directory.id"):
        assert re.fullmatch(r"[\w-]{22}", theirs[name])
        assert re.fullmatch(r"\w[\w-]{21}", ours[name])
        assert theirs[name] != ours[name]
    assert ours["cluster.id"] == (tmp_path / "second" / "cluster.id").read_text(encoding="utf-8")


def test_what_a_format_has_kept_is_not_believed_when_it_is_spoilt(elsewhere: Path) -> None:
    assert kafka.known_features() == b""
    (elsewhere / kafka.CHECKPOINT).write_bytes(b"features")
    kafka.keep_features(elsewhere / kafka.CHECKPOINT)
    assert kafka.known_features() == b"features"
    kept = kafka.features_file().read_bytes()
    for spoilt in (b"", kept[:-1], kept + b"s", b"x" + kept[1:]):
        kafka.features_file().write_bytes(spoilt)
        assert kafka.known_features() == b""


def test_a_disk_with_data_is_left_to_kafka(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "java", lambda *_, **__: ["sh", "-c", "exit 0"])
    (elsewhere / kafka.CHECKPOINT).write_bytes(b"features")
    kafka.keep_features(elsewhere / kafka.CHECKPOINT)
    meta = tmp_path / "node" / "broker-1" / "data" / "meta.properties"
    meta.parent.mkdir(parents=True)
    meta.write_text("node.id=1\n", encoding="utf-8")
    cluster = KafkaCluster(tmp_path / "node", 1, NONE, fast_jit=True)
    cluster.prepare()
    [(_, child)] = cluster._formats
    child.wait(60)
    assert meta.read_text(encoding="utf-8") == "node.id=1\n"
    assert not (tmp_path / "node" / "broker-1" / "formatted").exists()


def test_where_nothing_can_be_written_a_format_keeps_nothing(elsewhere: Path) -> None:
    (elsewhere / kafka.CHECKPOINT).write_bytes(b"features")
    kafka.features_file().mkdir()
    kafka.keep_features(elsewhere / kafka.CHECKPOINT)
    assert kafka.known_features() == b""
