"""An address that the environment gives is used; no part is taken for configured without one."""

import pytest

from infra.stack.addresses import PARTS, VARIABLE_BY_PART, Addresses, configured


def test_only_the_three_variables_configure_a_part() -> None:
    environ = {
        "KAFKA_BROKERS": "10.0.0.1:9092",
        "REDIS_URL": "redis://10.0.0.1/0",
        "KAFKA": "10.0.0.9:1",
        "REGISTRY": "http://10.0.0.9",
    }
    assert configured(environ) == {"kafka": "10.0.0.1:9092", "redis": "redis://10.0.0.1/0"}


def test_an_empty_variable_configures_nothing() -> None:
    assert configured(dict.fromkeys(VARIABLE_BY_PART.values(), "")) == {}


def test_variables_configure_the_same_addresses_in_another_process() -> None:
    addresses = Addresses({part: f"address-of-{part}" for part in PARTS})
    assert configured(addresses.variables()) == addresses.by_part
    assert addresses.kafka_brokers == "address-of-kafka"
    assert addresses.registry_url == "address-of-registry"
    assert addresses.redis_url == "address-of-redis"


def test_a_part_that_is_neither_configured_nor_started_has_no_address() -> None:
    addresses = Addresses({"redis": "redis://10.0.0.1/0"})
    assert addresses.variables() == {"REDIS_URL": "redis://10.0.0.1/0"}
    with pytest.raises(KeyError, match="kafka"):
        _ = addresses.kafka_brokers
