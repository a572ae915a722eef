"""Fixtures of the whole suite: the real parts, started once and only when a test asks."""

import gc
import os
import secrets
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import HealthCheck, settings

from infra.paths import RUN
from infra.stack import QUICK_RESTART, Stack, configured, ephemeral_stack
from scripts.brokers import addresses
from scripts.contracts.topics import wait_until_led

# Temporary files lie in the checkout, as everything else does, however the tests were started.
SCRATCH = RUN / "scratch"
SCRATCH.mkdir(parents=True, exist_ok=True)
os.environ["TMPDIR"] = str(SCRATCH)
tempfile.tempdir = None

# How long an example takes is the machine's affair.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", UNTIMED, max_examples=10)
settings.register_profile("ci", UNTIMED, max_examples=100, derandomize=True)
settings.register_profile("soak", UNTIMED, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# Thousands of tests live from collection to the end: to look through them for garbage as often as
# the interpreter does by default takes a twentieth of a run.
gc.set_threshold(100_000, 20, 50)

MARKS_BY_FIXTURE = {
    "kafka": ("kafka",),
    "kafka_brokers": ("kafka",),
    "new_topic": ("kafka",),
    "registry_url": ("kafka",),
    "redis_url": ("redis",),
    "stack": ("kafka", "redis"),
}


@pytest.fixture(autouse=True, scope="session")
def _without_a_stack_that_is_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have no command under test find the stack that a developer has up in this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "STACK_HOME", tmp_path_factory.getbasetemp() / "no-stack")
        yield


def pytest_collection_finish() -> None:
    """Spare what is there from every look for garbage: a test that asks for one need not wait."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a real part, so that a forgotten marker starts no broker in a fast run."""
    for item in items:
        for fixture, marks in MARKS_BY_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                for mark in marks:
                    item.add_marker(mark)
    _longest_first(items)


def _longest_first(items: list[pytest.Item]) -> None:
    """Begin with servers, and there with the files that are given most time.

    What needs none comes last, in small pieces, so that all processes end at the same time.
    """
    limit_s: dict[object, float] = defaultdict(float)
    for item in items:
        limit = item.get_closest_marker("timeout")
        if limit is not None:
            limit_s[item.path] = max(limit_s[item.path], limit.args[0])

    def order(item: pytest.Item) -> tuple[bool, float]:
        needs_servers = any(map(item.get_closest_marker, ("kafka", "redis", "programs")))
        return not needs_servers, -limit_s[item.path]

    items.sort(key=order)


def _part(name: str) -> Iterator[Stack]:
    with ephemeral_stack(
        f"tests-{name}",
        parts={name},
        kafka_properties=QUICK_RESTART,
        fast_jit=True,
        external=configured(),
    ) as stack:
        yield stack


@pytest.fixture(scope="session")
def kafka() -> Iterator[Stack]:
    """Give the session's broker. Tests that kill brokers start an `ephemeral_stack` instead."""
    yield from _part("kafka")


@pytest.fixture(scope="session")
def kafka_brokers(kafka: Stack) -> str:
    """Give the session broker's address."""
    return kafka.kafka_brokers


@pytest.fixture(scope="session")
def registry_url() -> Iterator[str]:
    """Give the session registry's address; full transitive compatibility is demanded."""
    for stack in _part("registry"):
        yield stack.registry_url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Give the session Redis' address."""
    for stack in _part("redis"):
        yield stack.redis_url


@dataclass(frozen=True, slots=True)
class SessionStack:
    """Addresses of the session's three parts."""

    kafka_brokers: str
    registry_url: str
    redis_url: str


@pytest.fixture(scope="session")
def stack(kafka_brokers: str, registry_url: str, redis_url: str) -> SessionStack:
    """Give all three parts."""
    return SessionStack(kafka_brokers, registry_url, redis_url)


@pytest.fixture
def topic_prefix() -> str:
    """Give a prefix that no other test has, for topics, groups and transactional ids."""
    return f"t{secrets.token_hex(4)}-"


@pytest.fixture
def new_topic(kafka_brokers: str, topic_prefix: str) -> Callable[..., str]:
    """Give a function that creates a topic and returns its name.

    new_topic("commands", partitions=4, config={"cleanup.policy": "compact"})
    """
    admin = AdminClient({"bootstrap.servers": kafka_brokers})

    def create(
        name: str = "topic", partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> str:
        topic = NewTopic(topic_prefix + name, num_partitions=partitions, config=dict(config or {}))
        for created in admin.create_topics([topic]).values():
            created.result(timeout=60)
        wait_until_led(admin, [topic_prefix + name])
        return topic_prefix + name

    return create
