"""What workers and pods have in common is read alike by both, from the same variables."""

from dataclasses import fields

import pytest

from api.settings import ApiSettings
from infra.process.environment import BadSetting, Environment
from infra.process.settings import STATUS_TOPIC, SharedSettings, a_status_topic
from schemas.topics import SECTION_STATUS
from streams.settings import Settings

ENVIRON = {
    "KAFKA_BROKERS": "a:1, b:2",
    "KAFKA_SECURITY_PROTOCOL": "SSL",
    "SCHEMA_REGISTRY_URL": "http://registry:8081",
    "SEATSTREAM_APP_ID": "seats",
    "SEATSTREAM_LEASE_REDIS_URLS": "redis://a, redis://b, rediss://:hunter2@c",
    "SEATSTREAM_LOOKUP_TOKEN": "hunter2",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "DEBUG",
    "SEATSTREAM_STATUS_TOPIC": "section-status-b",
}


def shared(settings: SharedSettings) -> list[object]:
    return [getattr(settings, one.name) for one in fields(SharedSettings)]


def test_workers_and_pods_agree_on_what_they_share() -> None:
    read = SharedSettings.read(Environment(ENVIRON))
    assert read.kafka.uses_tls
    assert (read.brokers, read.app_id, read.lookup_token) == ("a:1,b:2", "seats", "hunter2")
    assert shared(read) == shared(Settings.from_env(ENVIRON))
    assert shared(read) == shared(ApiSettings.from_env(ENVIRON))
    assert shared(SharedSettings()) == shared(Settings.from_env({})) == shared(ApiSettings())


def test_the_token_is_not_shown() -> None:
    assert "hunter2" not in repr(SharedSettings.read(Environment(ENVIRON)))


@pytest.mark.parametrize("name", ["", "section", "section-commands", "section-status-", "events"])
def test_no_topic_is_taken_for_statuses_that_may_be_another(name: str) -> None:
    assert SECTION_STATUS.name == STATUS_TOPIC == a_status_topic(STATUS_TOPIC)
    with pytest.raises(ValueError, match=STATUS_TOPIC):
        a_status_topic(name)


def test_u2_workers_write_one_topic_of_statuses_or_two() -> None:
    assert Settings.from_env({}).status_topics == ("section-status",)
    also = {"SEATSTREAM_STATUS_ALSO": "section-status"}
    assert Settings.from_env(also).status_topics == ("section-status",)
    both = Settings.from_env(also | {"SEATSTREAM_STATUS_TOPIC": "section-status-b"})
    assert both.status_topics == ("section-status-b", "section-status")


@pytest.mark.parametrize(
    "urls", ["a:6379", "redis://a,redis://b", "redis://a,redis://a,redis://b", "redis://a,,"]
)
def test_leases_lie_at_one_three_or_five_different_servers(urls: str) -> None:
    read = Environment({"SEATSTREAM_LEASE_REDIS_URLS": urls})
    SharedSettings.read(read)
    with pytest.raises(BadSetting, match="SEATSTREAM_LEASE_REDIS_URLS"):
        read.check()


def test_leases_lie_where_locks_do_unless_servers_are_named_for_them() -> None:
    assert SharedSettings().lease_servers == ()
    assert SharedSettings(redis_url="redis://a").lease_servers == ("redis://a",)
    named = SharedSettings(redis_url="redis://a", lease_urls=("redis://b",))
    assert named.lease_servers == ("redis://b",)
