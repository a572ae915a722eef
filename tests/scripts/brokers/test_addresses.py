"""A configured address wins over the stack's; what is missing or does not fit is named."""

import json
from pathlib import Path

import pytest

from schemas.topics import SECTION_STATUS, TOPICS
from scripts.brokers import addresses
from scripts.brokers.addresses import (
    NotUp,
    Servers,
    address_needed,
    address_of,
    servers_named,
    topics_in,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of a stack, and nothing configured."""
    for name in (
        *("KAFKA_BROKERS", "SCHEMA_REGISTRY_URL", "REDIS_URL", "MOCK_GATEWAY_URL"),
        "KAFKA_SECURITY_PROTOCOL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(addresses, "STACK_HOME", tmp_path)
    return tmp_path


def up(home: Path) -> None:
    state = {"kafka_brokers": "stack:1", "schema_registry_url": "http://stack:2"}
    state["redis_url"] = "redis://stack:3/0"
    (home / "stack.json").write_text(json.dumps(state), encoding="utf-8")


def test_the_stack_that_is_up_is_used(home: Path) -> None:
    up(home)
    assert servers_named() == Servers("stack:1", "http://stack:2")


def test_a_stack_lends_nothing_to_whoever_has_configured_another_system(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of production would go into the Redis of a laptop, or its records to its registry."""
    up(home)
    assert address_of("redis") == "redis://stack:3/0"
    monkeypatch.setenv("KAFKA_BROKERS", "ours:1")
    assert address_of("kafka") == "ours:1"
    assert address_of("redis") == ""
    with pytest.raises(NotUp, match=r"set REDIS_URL, or give --redis"):
        address_needed("redis", "--redis")
    with pytest.raises(NotUp, match="not the one of the other addresses"):
        servers_named()
    monkeypatch.setenv("KAFKA_BROKERS", "stack:1")
    assert servers_named() == Servers("stack:1", "http://stack:2")
    assert address_needed("redis") == "redis://stack:3/0"


@pytest.mark.parametrize(
    ("variable", "missing"),
    [("SCHEMA_REGISTRY_URL", "no broker"), ("KAFKA_BROKERS", "no schema registry")],
)
def test_the_part_without_an_address_is_named(
    variable: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "somewhere:1")
    with pytest.raises(NotUp, match=missing):
        servers_named()


def test_scripts_look_at_the_topic_of_statuses_that_pods_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(home)
    monkeypatch.setenv("SEATSTREAM_STATUS_TOPIC", "section-status-b")
    found = servers_named()
    assert found.status.name == "section-status-b"
    assert found.status.records == SECTION_STATUS.records
    assert found.with_status("section-status") == Servers("stack:1", "http://stack:2")
    names = [topic.name for topic in topics_in({"SEATSTREAM_STATUS_TOPIC": "section-status-b"})]
    assert len(names) == len(TOPICS)
    assert {*names} ^ {topic.name for topic in TOPICS} == {"section-status", "section-status-b"}
    monkeypatch.setenv("SEATSTREAM_STATUS_TOPIC", "section-commands")
    with pytest.raises(NotUp, match="SEATSTREAM_STATUS_TOPIC"):
        servers_named()


def test_a_setting_that_does_not_fit_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up(home)
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "CARRIER_PIGEON")
    with pytest.raises(NotUp, match="KAFKA_SECURITY_PROTOCOL"):
        servers_named()
