import json
import urllib.request
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from infra.stack import QUICK_RESTART, ProcessId, Stack, ephemeral_stack
from infra.stack.processes import wait_until

pytestmark = pytest.mark.timeout(240)


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown parts"):
        Stack(tmp_path, parts={"zookeeper"})


def test_a_part_that_is_elsewhere_is_not_started(tmp_path: Path) -> None:
    with Stack(tmp_path, parts={"redis"}, external={"redis": "redis://10.0.0.1/0"}) as stack:
        assert stack.redis_url == "redis://10.0.0.1/0"
        assert stack.process_ids() == {}


@pytest.mark.kafka
def test_a_killed_broker_of_three_loses_no_acknowledged_record(topic_prefix: str) -> None:
    properties = {**QUICK_RESTART}
    with ephemeral_stack(
        "tests-three", 3, {"kafka"}, kafka_properties=properties, fast_jit=True
    ) as stack:
        admin = AdminClient({"bootstrap.servers": stack.kafka_brokers})
        topic = NewTopic(topic_prefix + "kept", num_partitions=3)
        for created in admin.create_topics([topic]).values():
            created.result(timeout=60)
        producer = Producer({"bootstrap.servers": stack.kafka_brokers, "acks": "all"})
        for number in range(300):
            producer.produce(topic.topic, str(number), partition=number % 3)
        assert producer.flush(30) == 0
        pids = stack.broker_pids
        assert sorted(pids) == [1, 2, 3]
        stack.kill_broker(1)
        assert ProcessId.of(pids[1]) is None
        for number in range(300):
            producer.produce(topic.topic, str(number), partition=number % 3)
        assert producer.flush(60) == 0
        stack.pause_broker(2)
        stack.resume_broker(2)
        stack.start_broker(1)
        assert stack.broker_pids[1] != pids[1]
        processes = list(stack.process_ids().values())
        directory = stack.directory
    assert not any(process.is_alive() for process in processes)
    assert not directory.exists()


@pytest.mark.redis
def test_redis_answers_after_a_crash() -> None:
    with ephemeral_stack("tests-redis", parts={"redis"}) as stack:
        address = stack.redis_url
        stack.stop_redis()
        stack.start_redis()
        assert stack.redis_url == address
        assert wait_until(lambda: "redis" in stack.process_ids(), 60)


@pytest.mark.programs
def test_the_mock_gateway_is_a_part_that_keeps_its_ledger(tmp_path: Path) -> None:
    for _ in range(2):
        with Stack(tmp_path, parts={"gateway"}) as stack:
            assert list(stack.process_ids()) == ["gateway"]
            assert stack.addresses.variables() == {
                "MOCK_GATEWAY_URL": stack.addresses.gateway_url,
                "MOCK_GATEWAY_CONTROL_URL": stack.gateway.control_url,
            }
            assert stack.gateway.url == stack.addresses.gateway_url
            ready = stack.gateway.control_url + "/ready"
            with urllib.request.urlopen(ready, timeout=60) as answer:
                assert "hang" in json.load(answer)["faults"]
            process = stack.process_ids()["gateway"]
        assert not process.is_alive()
        assert stack.gateway.ledger.exists()
