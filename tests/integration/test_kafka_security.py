"""Workers, pods and scripts on a broker with TLS, logins and access lists.

The broker grants exactly the rights that SECURITY.md lists, and nothing else.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from faults.hanging_transaction import UNVERIFIED, abandoned, unknown_to_its_coordinator
from faults.lost_records import lose_records
from integration.pods import PodProcess, Servers, run_audit, run_script, script
from integration.workers import ENDED_ITSELF, Worker, committed_offsets, end_offsets, producing
from support.pages.certificates import Authority
from support.pages.document_pages import code_in, table_rows
from support.records.registry_fake import fake_registry

from infra.paths import ROOT
from infra.process.kafka_security import KafkaSecurity
from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.ports import free_ports
from infra.stack.processes import wait_until
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS
from scripts.contracts.registering import register
from serdes.registry.client import Registry
from state.kafka.refusals import Refusals
from streams.settings import Settings

pytestmark = pytest.mark.kafka

SECRET = "correct-horse-battery"
EVENT = 7
PLAN = {"event": "Locked", "sections": [{"section": "A", "rows": 3, "seats": 12}]}
# Longer than a slow machine takes from the hold to the look at the seats.
HOLD_MS = 8_000
MECHANISM_BY_NAME = {
    "workers": ScramMechanism.SCRAM_SHA_512,
    "pods": ScramMechanism.SCRAM_SHA_256,
}
KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
LOGINS = "org.apache.kafka.common.security"


def documented_rights() -> list[AclBinding]:
    """Return the rights of SECURITY.md, each for the users of its first column."""
    return [
        right_of(user, what, name, operation)
        for who, what, operations in table_rows(ROOT / "SECURITY.md", "Rights in Kafka")
        for user in code_in(who)
        for name in code_in(what)
        for operation in code_in(operations)
    ]


def right_of(user: str, what: str, name: str, operation: str) -> AclBinding:
    kind = next(kind for word, kind in KINDS.items() if what.startswith(word))
    is_prefix = "beginning with" in what
    pattern = ResourcePatternType.PREFIXED if is_prefix else ResourcePatternType.LITERAL
    # DescribeConfigs -> DESCRIBE_CONFIGS
    wanted = AclOperation[re.sub(r"(?<=.)([A-Z])", r"_\1", operation).upper()]
    principal = f"User:{user}"
    return AclBinding(kind, name, pattern, principal, "*", wanted, AclPermissionType.ALLOW)


@dataclass(frozen=True, slots=True)
class Locked:
    """A broker that lets in only who shows something, and the settings that do."""

    authority: Authority
    login_brokers: str
    certificate_brokers: str
    plain_brokers: str
    registry_url: str
    directory: Path

    def login(self, user: str, mechanism: str, **changes: str) -> dict[str, str]:
        return {
            "KAFKA_BROKERS": self.login_brokers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": mechanism,
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": SECRET,
            "KAFKA_SSL_CA": str(self.authority.ca),
            **changes,
        }

    def certificate(self, user: str) -> dict[str, str]:
        identity = self.authority.issue(user, key_password=SECRET)
        return {
            "KAFKA_BROKERS": self.certificate_brokers,
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CA": str(self.authority.ca),
            "KAFKA_SSL_CERT": str(identity.cert),
            "KAFKA_SSL_KEY": str(identity.key),
            "KAFKA_SSL_KEY_PASSWORD": SECRET,
        }

    def worker(self, name: str, **changes: str) -> Worker:
        environment = self.login("workers", "SCRAM-SHA-512", **changes)
        environment["SCHEMA_REGISTRY_URL"] = self.registry_url
        return Worker(name, self.directory, environment)

    def pod(self, name: str, **changes: str) -> PodProcess:
        environment = self.login("pods", "SCRAM-SHA-256", **changes)
        return PodProcess(self._servers(environment), name)

    def script(self, environment: Mapping[str, str], name: str, *arguments: str) -> None:
        run_script(self._servers(environment), name, *arguments)

    def said(self, user: str, name: str, *arguments: str) -> tuple[int, str]:
        """Run a script as a user; return its exit code and what it said."""
        return self.said_with(self.certificate(user), name, *arguments)

    def said_with(
        self, environment: Mapping[str, str], name: str, *arguments: str
    ) -> tuple[int, str]:
        done = script(self._servers(environment), name, *arguments)
        return done.returncode, done.stdout + done.stderr

    def _servers(self, environment: Mapping[str, str]) -> Servers:
        return Servers(
            environment["KAFKA_BROKERS"], self.registry_url, "", self.directory, environment
        )


def properties(directory: Path, authority: Authority, ports: tuple[int, int]) -> dict[str, str]:
    """Return what makes of the stack's broker one with two listeners that ask who is there."""
    outside = f"LOGIN://127.0.0.1:{ports[0]},CERTIFICATE://127.0.0.1:{ports[1]}"
    inside = "PLAINTEXT://127.0.0.1:{port}"
    kinds = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LOGIN:SASL_SSL,CERTIFICATE:SSL"
    login = "listener.name.login"
    by_scram = f"{LOGINS}.scram.ScramLoginModule required;"
    return {
        **QUICK_RESTART,
        **UNVERIFIED,
        "listeners": f"{inside},CONTROLLER://127.0.0.1:{{controller_port}},{outside}",
        "advertised.listeners": f"{inside},{outside}",
        "listener.security.protocol.map": kinds,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authority.issue("broker").both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.ca),
        "listener.name.certificate.ssl.client.auth": "required",
        # The user of a certificate is its common name.
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+)$/$1/,DEFAULT",
        f"{login}.sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
        f"{login}.scram-sha-512.sasl.jaas.config": by_scram,
        f"{login}.scram-sha-256.sasl.jaas.config": by_scram,
        f"{login}.plain.sasl.jaas.config": (
            f'{LOGINS}.plain.PlainLoginModule required user_open_event="{SECRET}";'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Who comes over the plain listener: the broker itself, and this test.
        "super.users": "User:ANONYMOUS",
    }


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    directory = tmp_path_factory.mktemp("locked")
    authority = Authority(directory)
    ports = free_ports(2)
    with (
        ephemeral_stack(
            "tests-kafka-security",
            parts={"kafka"},
            kafka_properties=properties(directory, authority, (ports[0], ports[1])),
            fast_jit=True,
        ) as stack,
        fake_registry() as registry,
    ):
        register(Registry(registry.url))
        admin = AdminClient({"bootstrap.servers": stack.kafka_brokers})
        users: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(
                name, ScramCredentialInfo(mechanism, 4_096), SECRET.encode()
            )
            for name, mechanism in MECHANISM_BY_NAME.items()
        ]
        granted = admin.create_acls(documented_rights())
        added = admin.alter_user_scram_credentials(users)
        for answer in (*granted.values(), *added.values()):
            answer.result(timeout=60)
        logins, certificates = (f"127.0.0.1:{port}" for port in ports)
        made = Locked(
            authority, logins, certificates, stack.kafka_brokers, registry.url, directory
        )
        made.script(made.certificate("create_topics"), "create_topics", "--partitions", "4")
        yield made


def test_seats_are_sold_with_the_documented_rights_and_no_others(locked: Locked) -> None:
    one, two = locked.worker("one"), locked.worker("two")
    pod, after = locked.pod("pod"), list[Worker]()
    try:
        one.start("topology")
        one.wait_ready()
        pod.wait_ready()
        opening = {
            "event_id": EVENT,
            "name": "Locked",
            "starts_at_ms": 4_000_000_000_000,
            "hold_ms": HOLD_MS,
            "plan": PLAN,
        }
        key = {"Idempotency-Key": "open"}
        opened = pod.client.post("/v1/events", json=opening, headers=key)
        assert opened.status_code == 201, opened.text
        made = pod.create(EVENT, "two seats", "A", 2, wait_s=9)
        assert made.status_code == 201, made.text
        # The pod finds the owner in the group's offsets.
        seats = pod.client.get(f"/v1/events/{EVENT}/sections/A/seats")
        assert (seats.status_code, seats.json()["free"]) == (200, 34)
        # Another owner restores from the changelog, fences the first and ticks.
        assert one.terminate() == 0
        two.start("topology")
        at = made.headers["location"]
        assert pod.becomes(at, "RELEASED"), (
            f"{pod.show(at).text}\n{two.page('/ready')}\n{two.tail(60)}\n{pod.child.output()[-3000:]}"
        )
        # Those that issue and allocate are groups of their own, and the pod asks the first.
        after += after_the_money(locked)
        for worker in after:
            assert worker.wait_ready().is_alive()
        bought = f"/v1/purchases?event_id={EVENT}"
        assert wait_until(lambda: pod.client.get(bought).status_code == 404, 60)
        assert [worker.terminate() for worker in after] == [0] * len(after)
        plan = locked.directory / "plan.json"
        plan.write_text(json.dumps(PLAN))
        by_password = locked.login("open_event", "PLAIN")
        locked.script(by_password, "open_event", str(plan), "--event-id", "8")
        by_certificate = locked.certificate("load_test")
        load = ("--event-id", "9", "--sections", "4", "--commands", "100", "--flat-out")
        locked.script(by_certificate, "load_test", *load)
        run_audit(locked._servers(locked.certificate("audit")))
        logs = [worker.output() for worker in (one, two, *after)]
        for process in (*logs, pod.child.output()):
            assert "AUTHORIZATION" not in process.upper(), process
            assert SECRET not in process
    finally:
        pod.end()
        for worker in (one, two, *after):
            if worker.child is not None:
                worker.kill()


def after_the_money(locked: Locked) -> list[Worker]:
    """Start the workers of what happens after the money."""
    groups = {
        "issue_purchases": "purchase-creation-workers",
        "allocate_purchases": "trainer-allocation-workers",
        "invalidate_caches": "cache-invalidation-workers",
        "schedule_slots": "session-scheduling-workers",
        "purchase_tables,allocation_tables,slot_tables": "back-office-workers",
    }
    return [
        locked.worker(
            group,
            SEATSTREAM_ROLES=role,
            SEATSTREAM_APP_ID=group,
            ADMIN_SERVICE_URL="http://127.0.0.1:9",
            REDIS_URL="redis://127.0.0.1:9",
            DATABASE_URL="postgresql://127.0.0.1:9/office",
        ).start("topology")
        for role, group in groups.items()
    ]


def test_what_only_operators_do_is_done_with_the_documented_rights(locked: Locked) -> None:
    brokers, partition = locked.plain_brokers, 1
    locked.script(locked.certificate("create_topics"), "create_topics", "--partitions", "4")
    worker = locked.worker("operated")

    def junk() -> None:
        with producing(brokers) as producer:
            producer.produce(SECTION_COMMANDS.name, b"junk", b"7-A", partition)

    def at() -> tuple[int, int]:
        committed = committed_offsets(brokers, Settings().app_id, SECTION_COMMANDS.name, 4)
        return committed[partition], end_offsets(brokers, SECTION_COMMANDS.name, 4)[partition]

    try:
        junk()
        worker.start("topology").wait_ready()
        assert wait_until(lambda: at()[0] == at()[1], 60), worker.tail()
        assert worker.terminate() == 0
    finally:
        if worker.child is not None:
            worker.kill()
    first, _ = at()
    junk()
    _, end = at()
    lose_records(brokers, SECTION_COMMANDS.name, partition, end)
    code, said = locked.said("skip_lost_commands", "skip_lost_commands", "--yes")
    assert code == 0, said
    assert f"section-commands-{partition}: offsets {first} to " in said
    assert at() == (end, end)

    name = RESERVATION_OUTCOMES.name
    begun = abandoned(brokers, "stranger", name, 0, b"left open")
    unknown_to_its_coordinator(brokers, "forgotten", name, 1, b"not known")
    code, said = locked.said("hanging_transactions", "hanging_transactions")
    assert code == 3, said
    ongoing, forgotten = [line for line in said.splitlines() if line.startswith(name)]
    # Told only to who may describe their transactional ids.
    assert "stranger: Ongoing" in ongoing
    assert "forgotten: " in forgotten
    for line in (ongoing, forgotten):
        ended = ("--end", "abort", "--yes", "--at", line.split()[0])
        code, said = locked.said("hanging_transactions", "hanging_transactions", *ended)
        assert code == 0, said
    code, said = locked.said("hanging_transactions", "hanging_transactions")
    assert code == 0, said
    del begun
    code, said = locked.said(
        "register_schemas", "register_schemas", "register", "--listed", "--dry-run"
    )
    assert code == 0, said


def test_a_pod_cannot_forge_an_outcome(locked: Locked) -> None:
    environ = locked.login("pods", "SCRAM-SHA-256")
    options = KafkaSecurity.from_env(environ).librdkafka()
    refused: list[Any] = []
    producer = Producer({"bootstrap.servers": locked.login_brokers, **options})
    producer.produce(
        RESERVATION_OUTCOMES.name, b"forged", on_delivery=lambda error, _: refused.append(error)
    )
    assert producer.flush(60) == 0
    assert [error.code() for error in refused] == [KafkaError.TOPIC_AUTHORIZATION_FAILED]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"KAFKA_SSL_CERT": "", "KAFKA_SSL_KEY": "", "KAFKA_SSL_KEY_PASSWORD": ""},
            "certificate required",
        ),
        ({"KAFKA_BROKERS": "PLAIN"}, "PLAINTEXT broker listener"),
    ],
)
def test_a_missing_certificate_and_a_plain_listener_are_named(
    locked: Locked, change: dict[str, str], told: str
) -> None:
    environ = locked.certificate("nobody") | change
    environ["KAFKA_BROKERS"] = environ["KAFKA_BROKERS"].replace("PLAIN", locked.plain_brokers)
    refusals = Refusals()
    options: dict[str, Any] = {**KafkaSecurity.from_env(environ).librdkafka(), "log_level": 0}
    options |= {"bootstrap.servers": environ["KAFKA_BROKERS"], "error_cb": refusals}
    admin = AdminClient(options)
    admin.describe_cluster(request_timeout=10)
    assert wait_until(lambda: admin.poll(0.05) >= 0 and told in refusals.last, 60), refusals.last


def test_who_is_not_let_in_says_why_and_no_secret(locked: Locked) -> None:
    stranger = Authority(locked.directory, "stranger")
    wrong_password = {"KAFKA_SASL_PASSWORD": SECRET[::-1]}
    unknown_authority = {"KAFKA_SSL_CA": str(stranger.ca)}
    other_host = {"KAFKA_BROKERS": locked.login_brokers.replace("127.0.0.1", "localhost")}
    cases = {
        "wrong-password": (wrong_password, "invalid credentials"),
        "unknown-authority": (unknown_authority, "certificate verify failed"),
        "other-host": (other_host, "certificate verify failed"),
    }
    code, said = locked.said_with(
        locked.login("pods", "SCRAM-SHA-256", **wrong_password), "hanging_transactions"
    )
    assert code == 2
    assert re.search("let nobody in: .*invalid credentials.*KAFKA_SASL_", said), said
    assert SECRET[::-1] not in said
    # Whom brokers tell of no topic is not told that there is none, and is to make it.
    for asked in (("create_topics", "--dry-run"), ("program", "inspect", "store")):
        code, said = locked.said("nobody", *asked)
        assert code == 2, said
        assert "authorization failed" in said.lower(), said
        assert "create " not in said.lower(), said
    workers = {
        name: locked.worker(name, **cases[name][0]).start("topology")
        for name in ("wrong-password", "unknown-authority")
    }
    pods = {name: locked.pod(f"pod-{name}", **changes) for name, (changes, _) in cases.items()}
    try:
        for name, pod in pods.items():
            told = f"cannot follow .*{cases[name][1]}"
            assert wait_until(lambda: re.search(told, pod.child.output()) is not None, 60), (  # noqa: B023
                f"{told}:\n{pod.child.output()}"
            )
            assert pod.client.get("/health/ready").status_code == 503
            assert SECRET not in pod.child.output()
            assert SECRET[::-1] not in pod.child.output()
        for name, worker in workers.items():
            assert worker.ended() == ENDED_ITSELF
            ends = next(line for line in worker.output().splitlines() if "worker ends" in line)
            assert f"no answer from the brokers {locked.login_brokers}" in ends
            assert cases[name][1] in ends
            assert SECRET not in worker.output()
            assert SECRET[::-1] not in worker.output()
    finally:
        for pod in pods.values():
            pod.end()
        for worker in workers.values():
            if worker.child is not None:
                worker.kill()
