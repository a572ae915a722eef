"""The compose file says what compose knows, and starts what there is. No docker runs here."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import ApiSettings
from infra.allocation.__main__ import parse as allocation_options
from infra.gateway.__main__ import parse as gateway_options
from infra.paths import ROOT
from infra.stack.kafka import KAFKA_VERSION, PROPERTIES
from infra.stack.registry import APICURIO_VERSION
from scripts.program.catalogue import command_at
from serdes.registry.ids import counted_ids
from streams.settings import Settings
from streams.wiring import parts_of
from topology import routes

TEXT = (ROOT / "infra" / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "infra" / "Dockerfile").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")

# Of https://github.com/compose-spec/compose-spec: the keys that we use, and what they may be.
TYPES: dict[str, type | tuple[type, ...]] = {
    "build": dict,
    "command": list,
    "depends_on": dict,
    "entrypoint": list,
    "environment": dict,
    "healthcheck": dict,
    "image": str,
    "ports": list,
    "profiles": list,
    "restart": str,
    "stop_grace_period": str,
    "volumes": list,
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
RESTARTS = {"no", "always", "on-failure", "unless-stopped"}

OURS = {name: one for name, one in SERVICES.items() if one["image"] == "seatstream"}
PROGRAMS = {name: one for name, one in OURS.items() if "entrypoint" not in one}
WORKERS = {name: one for name, one in PROGRAMS.items() if one["command"] == ["worker"]}


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """Return what a container is given, where the caller's shell sets nothing."""
    given = service.get("environment", {})
    return {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for name, value in given.items()
    }


def test_containers_run_the_versions_that_the_launcher_starts() -> None:
    images = dict(one["image"].split(":") for one in SERVICES.values() if ":" in one["image"])
    assert images["apache/kafka"] == KAFKA_VERSION
    assert images["apicurio/apicurio-registry"] == APICURIO_VERSION
    assert "latest" not in images.values()
    assert len(images) + len(OURS) == len(SERVICES)


def test_every_published_port_is_a_loopback_port_of_its_own() -> None:
    published = [port for one in SERVICES.values() for port in one.get("ports", [])]
    assert len(published) == 4
    assert all(re.fullmatch(r"127\.0\.0\.1:[0-9]+:[0-9]+", port) for port in published)
    assert len({port.split(":")[1] for port in published}) == len(published)


def test_containers_and_launcher_agree_on_what_changes_behaviour() -> None:
    assert "auto.create.topics.enable=false" in PROPERTIES
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def wrong_in(compose: dict[str, Any]) -> Iterator[str]:
    """Yield what compose would not take."""
    services, volumes = compose["services"], compose["volumes"]
    if unknown := {key for key in compose if not key.startswith("x-")} - {
        "name",
        "services",
        "volumes",
    }:
        yield f"{unknown}"
    for name, service in services.items():
        for key, value in service.items():
            if key not in TYPES or not isinstance(value, TYPES[key]):
                yield f"{name}: {key}: {value!r}"
        texts = [*service.get("command", []), *service.get("entrypoint", [])]
        if any(not isinstance(text, str) for text in texts):
            yield f"{name}: {texts}"
        if any(
            not isinstance(value, str | int) or isinstance(value, bool)
            for value in service.get("environment", {}).values()
        ):
            yield f"{name}: its environment"
        if service.get("restart", "no") not in RESTARTS:
            yield f"{name}: restart"
        for other, how in service.get("depends_on", {}).items():
            if other not in services or how.keys() != {"condition"}:
                yield f"{name}: {other}"
            elif how["condition"] not in CONDITIONS:
                yield f"{name}: {how}"
            elif how["condition"] == "service_healthy" and "healthcheck" not in services[other]:
                yield f"{name}: {other} tells nobody whether it is healthy"
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if not source.startswith(".") and source not in volumes:
                yield f"{name}: {mount}"


def test_the_file_is_one_that_compose_takes() -> None:
    assert list(wrong_in(COMPOSE)) == []


@pytest.mark.parametrize(
    ("of", "key", "value"),
    [
        ("worker", "enviroment", {}),
        ("worker", "command", "worker"),
        ("worker", "command", [1]),
        ("worker", "restart", "unless_stopped"),
        ("worker", "environment", {"A": True}),
        ("worker", "depends_on", {"nobody": {"condition": "service_started"}}),
        ("worker", "depends_on", {"registry": {"condition": "service_healthy"}}),
        ("worker", "volumes", ["lost:/data"]),
    ],
)
def test_what_compose_would_not_take_is_found(of: str, key: str, value: object) -> None:
    services = {**SERVICES, of: {**SERVICES[of], key: value}}
    assert len(list(wrong_in({**COMPOSE, "services": services}))) == 1


def test_s002_18_the_four_workers_have_the_documents_names_groups_and_variables() -> None:
    told = {
        "purchase-worker": ("purchase-creation-workers", "issue_purchases"),
        "allocation-worker": ("trainer-allocation-workers", "allocate_purchases"),
        "session-worker": ("session-scheduling-workers", "schedule_slots"),
        "cache-worker": ("cache-invalidation-workers", "invalidate_caches"),
    }
    for name, (group, role) in told.items():
        environment = environment_of(SERVICES[name])
        assert environment["SEATSTREAM_APP_ID"] == group
        assert environment["SEATSTREAM_ROLES"] == role
        assert environment["KAFKA_BROKERS"] == "kafka:19092"
        assert ("ADMIN_SERVICE_URL" in environment) == (name == "allocation-worker")
        assert ("REDIS_URL" in environment) == (name == "cache-worker")
    assert environment_of(SERVICES["allocation-worker"])["ADMIN_SERVICE_URL"] == (
        "http://admin-service:3010"
    )
    lasting = {*WORKERS, "pod", "admin-service", "gateway"}
    assert {SERVICES[name]["restart"] for name in lasting} == {"unless-stopped"}


@pytest.mark.parametrize("name", sorted(WORKERS))
def test_each_worker_takes_its_environment_and_has_all_that_its_roles_need(name: str) -> None:
    environment = environment_of(WORKERS[name])
    settings = Settings.from_env(environment)
    flow = {route.role for route in routes(parts_of(settings, environment, counted_ids()))}
    assert set(settings.roles) <= flow


def test_the_pod_takes_its_environment_and_asks_those_who_show_themselves() -> None:
    environment = environment_of(SERVICES["pod"])
    settings = ApiSettings.from_env(environment)
    assert f":{settings.port}:{settings.port}" in SERVICES["pod"]["ports"][0]
    for group in (settings.app_id, settings.purchases_group):
        [(name, asked)] = [
            (name, told)
            for name, one in WORKERS.items()
            if (told := Settings.from_env(environment_of(one))).app_id == group
        ]
        assert (asked.lookup_host, asked.lookup_token) == (name, settings.lookup_token)


def test_every_variable_of_ours_is_a_known_setting() -> None:
    known = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    assert {name for one in OURS.values() for name in one.get("environment", {})} <= known
    assert set(re.findall(r"(SEATSTREAM_[A-Z_]+)=", DOCKERFILE)) <= known


def test_every_command_is_one_that_the_image_has() -> None:
    assert 'ENTRYPOINT ["seatstream"]' in DOCKERFILE
    for name, one in PROGRAMS.items():
        words = tuple(one["command"])
        assert any(command_at(words[:count]) for count in range(1, len(words) + 1)), name
    gateway_options(SERVICES["gateway"]["command"])
    allocation_options(SERVICES["admin-service"]["command"])
    assert SERVICES["gateway"]["entrypoint"] == ["python", "-m", "infra.gateway"]
    assert SERVICES["admin-service"]["entrypoint"] == ["python", "-m", "infra.allocation"]


def test_the_image_runs_as_nobody_who_may_do_more() -> None:
    lines = DOCKERFILE.splitlines()
    last = max(at for at, line in enumerate(lines) if line.startswith("FROM "))
    [user] = [line for line in lines[last:] if line.startswith("USER ")]
    assert user == "USER 10001"
    assert not any(line.startswith("RUN ") for line in lines[lines.index(user) :])
    copied = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.MULTILINE)
    assert all((ROOT / Path(one)).exists() for one in copied)
    assert ".git" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
