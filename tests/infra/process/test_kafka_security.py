"""Settings of Kafka connections: both clients are told the same, nobody is shown a secret."""

import ssl
from pathlib import Path

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from hypothesis import given
from hypothesis import strategies as st
from support.pages.certificates import Authority, Identity

from api.settings import ApiSettings
from infra.process.environment import BadSetting
from infra.process.kafka_security import NO_SECURITY, KafkaSecurity
from streams.runtime.transport import credentials_of
from streams.settings import REQUEST_TIMEOUT_MS, Settings

SECRET = "hunter2"
LOGIN = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "worker",
    "KAFKA_SASL_PASSWORD": SECRET,
}
NAMES = [
    *LOGIN,
    "KAFKA_SASL_PASSWORD_FILE",
    "KAFKA_SSL_CA",
    "KAFKA_SSL_CERT",
    "KAFKA_SSL_KEY",
    "KAFKA_SSL_KEY_PASSWORD",
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def worker(authority: Authority) -> Identity:
    return authority.issue("worker")


@pytest.fixture(scope="module")
def locked(authority: Authority) -> Identity:
    return authority.issue("locked", key_password=SECRET)


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(BadSetting) as caught:
        KafkaSecurity.from_env(environ)
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("environ", [{}, {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}])
def test_without_settings_clients_are_given_their_brokers_and_nothing_else(
    environ: dict[str, str],
) -> None:
    security = KafkaSecurity.from_env(environ)
    assert security == NO_SECURITY
    assert security.librdkafka() == security.aiokafka() == {}
    assert credentials_of(security) is None
    assert Settings.from_env(environ).connection == {
        "bootstrap_servers": ["localhost:9092"],
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_over_tls_is_told_to_both_clients(authority: Authority, mechanism: str) -> None:
    security = KafkaSecurity.from_env(
        {**LOGIN, "KAFKA_SASL_MECHANISM": mechanism, "KAFKA_SSL_CA": str(authority.ca)}
    )
    assert security.librdkafka() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": mechanism,
        "sasl.username": "worker",
        "sasl.password": SECRET,
        "ssl.ca.location": str(authority.ca),
        "enable.ssl.certificate.verification": "true",
        "ssl.endpoint.identification.algorithm": "https",
    }
    arguments = security.aiokafka()
    context = arguments.pop("ssl_context")
    assert arguments == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "worker",
        "sasl_plain_password": SECRET,
    }
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    # The file's authority, and nobody else's.
    assert len(context.get_ca_certs()) == 1


def test_a_login_without_tls_has_nothing_of_tls() -> None:
    security = KafkaSecurity.from_env({**LOGIN, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"})
    assert not [name for name in security.librdkafka() if "ssl" in name]
    assert "ssl_context" not in security.aiokafka()


def test_mutual_tls_shows_a_certificate(authority: Authority, locked: Identity) -> None:
    security = KafkaSecurity.from_env(
        {
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CA": str(authority.ca),
            "KAFKA_SSL_CERT": str(locked.cert),
            "KAFKA_SSL_KEY": str(locked.key),
            "KAFKA_SSL_KEY_PASSWORD": SECRET,
        }
    )
    options = security.librdkafka()
    assert options["ssl.certificate.location"] == str(locked.cert)
    assert options["ssl.key.location"] == str(locked.key)
    assert options["ssl.key.password"] == SECRET
    assert sorted(security.aiokafka()) == ["security_protocol", "ssl_context"]


@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_what_faust_opens_by_itself_is_secured_as_the_rest(
    authority: Authority, protocol: str
) -> None:
    environ = {"KAFKA_SECURITY_PROTOCOL": protocol}
    if protocol.startswith("SASL"):
        environ = LOGIN | environ
    if protocol.endswith("SSL"):
        environ["KAFKA_SSL_CA"] = str(authority.ca)
    security = KafkaSecurity.from_env(environ)
    told = credentials_to_aiokafka_auth(credentials_of(security))
    assert {name: value for name, value in told.items() if value} == security.aiokafka()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_file_holds_the_password_and_perhaps_the_end_of_a_line(
    tmp_path: Path, end: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(f" {SECRET} \t{end}".encode())
    environ = {**LOGIN, "KAFKA_SASL_PASSWORD": "", "KAFKA_SASL_PASSWORD_FILE": str(file)}
    assert KafkaSecurity.from_env(environ).password == f" {SECRET} \t"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL='TLS': use one of"),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM='GSSAPI': use one of"),
        ({"KAFKA_SASL_MECHANISM": ""}, "SASL_SSL needs KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SASL_USERNAME": ""}, "SASL_SSL needs KAFKA_SASL_USERNAME"),
        ({"KAFKA_SASL_PASSWORD": ""}, "SASL_SSL needs KAFKA_SASL_PASSWORD or"),
        ({"KAFKA_SECURITY_PROTOCOL": ""}, "KAFKA_SASL_MECHANISM is set, but"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL"}, "KAFKA_SASL_MECHANISM is set, but"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA": "CA"},
            "KAFKA_SSL_CA is set, but KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT uses no TLS",
        ),
        ({"KAFKA_SASL_PASSWORD_FILE": "PASSWORD"}, "both set: unset one of them"),
        ({"KAFKA_SASL_PASSWORD_FILE": "EMPTY"}, "the file is empty"),
        ({"KAFKA_SASL_PASSWORD_FILE": "BINARY"}, "not UTF-8 text"),
        ({"KAFKA_SASL_PASSWORD_FILE": "/no"}, "KAFKA_SASL_PASSWORD_FILE='/no': No such file"),
        ({"KAFKA_SSL_CA": "/no"}, "KAFKA_SSL_CA='/no': No such file"),
        ({"KAFKA_SSL_CA": "/"}, "KAFKA_SSL_CA='/': Is a directory"),
        ({"KAFKA_SSL_CA": "EMPTY"}, "no certificates in PEM form"),
        ({"KAFKA_SSL_CA": "BINARY"}, "no certificates in PEM form"),
        ({"KAFKA_SSL_CERT": "CERT"}, "KAFKA_SSL_CERT needs KAFKA_SSL_KEY"),
        ({"KAFKA_SSL_KEY": "KEY"}, "KAFKA_SSL_KEY needs KAFKA_SSL_CERT"),
        ({"KAFKA_SSL_KEY_PASSWORD": SECRET}, "KAFKA_SSL_KEY_PASSWORD needs KAFKA_SSL_KEY"),
        ({"KAFKA_SSL_CERT": "CERT", "KAFKA_SSL_KEY": "CA"}, "not a certificate and its key"),
        ({"KAFKA_SSL_CERT": "CERT", "KAFKA_SSL_KEY": "LOCKED"}, "KAFKA_SSL_KEY_PASSWORD does not"),
        (
            {
                "KAFKA_SSL_CERT": "LOCKED CERT",
                "KAFKA_SSL_KEY": "LOCKED",
                "KAFKA_SSL_KEY_PASSWORD": SECRET + "!",
            },
            "KAFKA_SSL_KEY_PASSWORD does not",
        ),
        (
            {
                "KAFKA_SSL_CERT": "LOCKED CERT",
                "KAFKA_SSL_KEY": "LOCKED",
                "KAFKA_SSL_KEY_PASSWORD": SECRET * 1_000,
            },
            "KAFKA_SSL_KEY_PASSWORD does not",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_does_not_go_together_is_refused_with_what_to_do(
    authority: Authority,
    worker: Identity,
    locked: Identity,
    tmp_path: Path,
    changes: dict[str, str],
    told: str,
) -> None:
    files = {
        "CA": authority.ca,
        "CERT": worker.cert,
        "KEY": worker.key,
        "LOCKED CERT": locked.cert,
        "LOCKED": locked.key,
    }
    for name, content in {"PASSWORD": b"x", "EMPTY": b"", "BINARY": b"\xff"}.items():
        files[name] = tmp_path / name
        files[name].write_bytes(content)
    environ = LOGIN | {name: str(files.get(value, value)) for name, value in changes.items()}
    assert told in refusal(environ)


def test_a_key_of_another_certificate_is_refused(worker: Identity, locked: Identity) -> None:
    environ = {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CERT": str(worker.cert),
        "KAFKA_SSL_KEY": str(locked.key),
        "KAFKA_SSL_KEY_PASSWORD": SECRET,
    }
    assert "not a certificate and its key" in refusal(environ)


@pytest.mark.parametrize("settings", [Settings, ApiSettings])
def test_workers_and_pods_read_them_and_show_no_secret(
    settings: type[Settings | ApiSettings], authority: Authority, locked: Identity
) -> None:
    read = settings.from_env(
        {
            **LOGIN,
            "KAFKA_SSL_CA": str(authority.ca),
            "KAFKA_SSL_CERT": str(locked.cert),
            "KAFKA_SSL_KEY": str(locked.key),
            "KAFKA_SSL_KEY_PASSWORD": SECRET,
        }
    )
    shown = f"{read!r} {read}"
    assert read.kafka.password == read.kafka.key_password == SECRET
    assert SECRET not in shown
    assert "SASL_SSL" in shown
    assert shown.count("'(set)'") == 4
    if isinstance(read, ApiSettings):
        assert SECRET not in str(read.shown())


def test_a_workers_connection_carries_them(authority: Authority) -> None:
    settings = Settings.from_env({**LOGIN, "KAFKA_SSL_CA": str(authority.ca)})
    assert settings.connection == {
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "bootstrap_servers": ["localhost:9092"],
        **settings.kafka.aiokafka(),
    }


VALUES = st.sampled_from(
    ["", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL", "PLAIN", "/no", "a\0b"]
) | st.text(max_size=10)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_no_environment_gets_past_as_another_error_or_half_secured(
    environ: dict[str, str],
) -> None:
    try:
        security = KafkaSecurity.from_env(environ)
    except BadSetting as error:
        assert any(name in str(error) for name in NAMES)  # noqa: PT017
        return
    chosen = environ.get("KAFKA_SECURITY_PROTOCOL") or "PLAINTEXT"
    assert security.librdkafka().get("security.protocol", "PLAINTEXT") == chosen
    assert security.aiokafka().get("security_protocol", "PLAINTEXT") == chosen
    assert ("ssl_context" in security.aiokafka()) == chosen.endswith("SSL")
    assert ("sasl.password" in security.librdkafka()) == chosen.startswith("SASL")


@given(st.text(st.sampled_from("QZ!"), min_size=1))
def test_no_password_is_shown(password: str) -> None:
    environ = {
        **LOGIN,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_PASSWORD": password,
    }
    security = KafkaSecurity.from_env(environ)
    assert security.password == password
    # Nothing else that is shown has one of these letters.
    assert not set(repr(security)) & set("QZ!")
