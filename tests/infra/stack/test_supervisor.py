import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from infra.paths import ROOT
from infra.stack.addresses import VARIABLE_BY_PART
from infra.stack.processes import ProcessId, wait_until
from infra.stack.supervisor import (
    Home,
    clear_leftovers,
    processes_of,
    read_state,
    running_supervisor,
)

ELSEWHERE = {
    "SCHEMA_REGISTRY_URL": "http://127.0.0.1:9/none",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "MOCK_GATEWAY_URL": "http://127.0.0.1:9",
}


def command(home: Home, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environ = {
        name: value for name, value in os.environ.items() if name not in VARIABLE_BY_PART.values()
    }
    return subprocess.run(
        [sys.executable, "-m", "infra.stack", *arguments, "--home", str(home.directory)],
        cwd=ROOT,
        env={**environ, **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


def state_of(home: Home) -> dict[str, Any]:
    state = read_state(home)
    assert state is not None
    return state


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "the stack")
    yield home
    command(home, "down")


def test_a_state_file_without_its_supervisor_means_not_running(home: Home) -> None:
    home.directory.mkdir()
    home.state.write_text(json.dumps({"supervisor": {"pid": 1, "started_ticks": 0}}))
    assert read_state(home) is None
    assert command(home, "status").returncode == 3


def test_leftovers_of_a_recycled_pid_harm_nobody(home: Home) -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    home.directory.mkdir()
    recycled = {"pid": me.pid, "started_ticks": me.started_ticks - 1}
    home.state.write_text(json.dumps({"supervisor": recycled, "processes": {"redis": recycled}}))
    clear_leftovers(home)
    assert not home.state.exists()


def test_a_damaged_state_file_is_cleared(home: Home) -> None:
    home.directory.mkdir()
    home.state.write_text("{")
    clear_leftovers(home)
    assert not home.state.exists()


@pytest.mark.redis
def test_the_state_file_names_every_part(home: Home) -> None:
    given = {"KAFKA_BROKERS": "10.0.0.1:9092", "SCHEMA_REGISTRY_URL": "http://10.0.0.1/x"}
    assert command(home, "up", **given).returncode == 0
    state = state_of(home)
    assert state["kafka_brokers"] == "10.0.0.1:9092"
    assert state["configured"] == ["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"]
    assert list(processes_of(state)) == ["redis", "gateway"]
    assert home.environment.read_text().splitlines() == [
        "KAFKA_BROKERS=10.0.0.1:9092",
        f"MOCK_GATEWAY_CONTROL_URL={state['mock_gateway_control_url']}",
        f"MOCK_GATEWAY_URL={state['mock_gateway_url']}",
        f"REDIS_URL={state['redis_url']}",
        "SCHEMA_REGISTRY_URL=http://10.0.0.1/x",
    ]
    shown = json.loads(command(home, "status", "--json").stdout)
    assert shown["alive"] == {"redis": True, "gateway": True}
    processes_of(state)["redis"].send(signal.SIGKILL)
    ended = command(home, "status")
    assert ended.returncode == 1
    assert f"MOCK_GATEWAY_CONTROL_URL={state['mock_gateway_control_url']}\n" in ended.stdout


@pytest.mark.redis
def test_two_ups_at_once_end_in_one_stack(home: Home) -> None:
    given = {"KAFKA_BROKERS": "10.0.0.1:9092", "SCHEMA_REGISTRY_URL": "http://10.0.0.1/x"}
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "infra.stack", "up", "--home", str(home.directory)],
            cwd=ROOT,
            env={**os.environ, **given},
            stdout=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(processes_of(state_of(home))) == 2


@pytest.mark.kafka
def test_an_interrupted_up_leaves_nothing_running(home: Home) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "infra.stack", "up", "--home", str(home.directory)],
        cwd=ROOT,
        env={**os.environ, **ELSEWHERE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert wait_until(lambda: running_supervisor(home) is not None, 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert running_supervisor(home) is None
    assert not home.state.exists()


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_data_outlives_a_killed_supervisor_and_nothing_else_does(home: Home) -> None:
    first = command(home, "up", **ELSEWHERE)
    assert first.returncode == 0, first.stderr
    state = state_of(home)
    admin = AdminClient({"bootstrap.servers": state["kafka_brokers"]})
    for created in admin.create_topics([NewTopic("kept", num_partitions=1)]).values():
        created.result(timeout=60)
    assert "already running" in command(home, "up", **ELSEWHERE).stdout
    assert command(home, "up", "--brokers", "3", **ELSEWHERE).returncode == 1

    supervisor = running_supervisor(home)
    assert supervisor is not None
    supervisor.send(signal.SIGKILL)
    servers = processes_of(state).values()
    assert wait_until(lambda: not any(server.is_alive() for server in servers), 60)
    assert command(home, "status").returncode == 3

    second = command(home, "up", **ELSEWHERE)
    assert second.returncode == 0, second.stderr
    state = state_of(home)
    admin = AdminClient({"bootstrap.servers": state["kafka_brokers"]})
    assert "kept" in admin.list_topics(timeout=60).topics
    assert command(home, "down").returncode == 0
    assert not any(server.is_alive() for server in processes_of(state).values())
    assert not home.state.exists()
