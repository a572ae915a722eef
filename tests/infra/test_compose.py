import re

from infra.paths import ROOT
from infra.stack.kafka import KAFKA_VERSION, PROPERTIES
from infra.stack.registry import APICURIO_VERSION

COMPOSE = (ROOT / "infra" / "compose.yaml").read_text()


def test_containers_run_the_versions_that_the_launcher_starts() -> None:
    images = dict(re.findall(r"^    image: (\S+):(\S+)$", COMPOSE, re.MULTILINE))
    assert images["apache/kafka"] == KAFKA_VERSION
    assert images["apicurio/apicurio-registry"] == APICURIO_VERSION
    assert "latest" not in images.values()


def test_every_published_port_is_a_loopback_port() -> None:
    published = re.findall(r"^    ports: \[(.*)\]$", COMPOSE, re.MULTILINE)
    assert len(published) == 3
    assert all(port.startswith('"127.0.0.1:') for port in published)


def test_containers_and_launcher_agree_on_what_changes_behaviour() -> None:
    assert "auto.create.topics.enable=false" in PROPERTIES
    assert 'KAFKA_AUTO_CREATE_TOPICS_ENABLE: "false"' in COMPOSE
