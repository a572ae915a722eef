"""Every setting has one name, one unit and bounds; secrets are never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.issuing.purchases_asked import pem

from api.settings import ApiSettings, BadSetting
from infra.process.environment import without_password
from state.redis.rate_limit import Limit


def test_an_empty_environment_gives_the_defaults() -> None:
    assert ApiSettings.from_env({}) == ApiSettings()


def test_what_is_set_is_read() -> None:
    settings = ApiSettings.from_env(
        {
            "KAFKA_BROKERS": "a:1, b:2",
            "REDIS_URL": "rediss://user:secret@redis:6380/1",
            "SEATSTREAM_API_PORT": "0",
            "SEATSTREAM_API_WAIT_MS": "500",
            "SEATSTREAM_API_CORS_ORIGINS": "https://a.example, http://localhost:3000",
            "SEATSTREAM_API_TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8",
            "SEATSTREAM_API_LIMIT_CREATE": "7/h",
            "SEATSTREAM_API_LIMIT_CANCEL": "3/s",
            "SEATSTREAM_API_LIMIT_NETWORK": "none",
            "LOG_LEVEL": "DEBUG",
        }
    )
    assert (settings.brokers, settings.port, settings.wait_ms) == ("a:1,b:2", 0, 500)
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert settings.trusted_proxies == ("10.0.0.0/8", "fd00::/8")
    assert settings.limit_create == Limit(7, 3_600_000)
    assert settings.limit_cancel == Limit(3, 1_000)
    assert settings.limit_network is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KAFKA_BROKERS", "localhost"),
        ("REDIS_URL", "localhost:6379"),
        ("SEATSTREAM_API_PORT", "65536"),
        ("SEATSTREAM_API_HOST", "a b"),
        ("SEATSTREAM_API_WAIT_MS", "1.5"),
        ("SEATSTREAM_API_WAIT_MS", "20000"),
        ("SEATSTREAM_API_IN_FLIGHT_MAX", "0"),
        ("SEATSTREAM_API_BODY_BYTES_MAX", "0"),
        ("SEATSTREAM_API_CORS_ORIGINS", "*"),
        ("SEATSTREAM_API_CORS_ORIGINS", "https://*.example"),
        ("SEATSTREAM_API_CORS_ORIGINS", "https://a.example/path"),
        ("SEATSTREAM_API_TRUSTED_PROXIES", "everybody"),
        ("SEATSTREAM_API_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("SEATSTREAM_API_LIMIT_CREATE", "5"),
        ("SEATSTREAM_API_LIMIT_CREATE", "0/min"),
        ("SEATSTREAM_API_LIMIT_OTHER", "5/day"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_bad_value_is_refused_by_its_variables_name(name: str, text: str) -> None:
    with pytest.raises(BadSetting, match=name):
        ApiSettings.from_env({name: text})


def test_an_unknown_variable_of_ours_is_refused_and_those_of_workers_are_left_alone() -> None:
    with pytest.raises(BadSetting, match="unknown setting SEATSTREAM_API_PROT"):
        ApiSettings.from_env({"SEATSTREAM_API_PROT": "8000"})
    ApiSettings.from_env({"SEATSTREAM_TICK_MS": "6", "PATH": "/bin"})


def test_secrets_are_neither_shown_nor_in_the_representation() -> None:
    settings = ApiSettings.from_env(
        {
            "REDIS_URL": "redis://:hunter2@redis:6379/0",
            "SCHEMA_REGISTRY_URL": "http://key:hunter2@registry:8081",
            "SEATSTREAM_API_JWKS": "https://u:hunter2@login.example/jwks?token=hunter2",
            "SEATSTREAM_LOOKUP_TOKEN": "hunter2",
        }
    )
    shown = settings.shown()
    assert "hunter2" not in str(shown)
    assert shown["redis_url"] == "redis://redis:6379/0"
    assert shown["lookup_token"] == "(set)"
    assert set(shown) == set(ApiSettings.__dataclass_fields__)
    assert "hunter2" not in repr(settings)
    with pytest.raises(BadSetting) as caught:
        ApiSettings.from_env({"REDIS_URL": "hunter2@redis:6379"})
    assert "hunter2" not in str(caught.value)


@given(st.text(st.characters(exclude_characters="/?#@", codec="ascii"), min_size=1))
def test_no_password_survives(password: str) -> None:
    if "[" not in password and "]" not in password and password.isprintable():
        assert without_password(f"redis://u:{password}@host:1/0") == "redis://host:1/0"


@given(st.text(max_size=20))
def test_no_text_gets_past_as_another_error(text: str) -> None:
    for name in ("LIMIT_CREATE", "CORS_ORIGINS", "TRUSTED_PROXIES", "HOST", "PORT"):
        variable = f"SEATSTREAM_API_{name}"
        try:
            ApiSettings.from_env({variable: text})
        except BadSetting as error:
            assert variable in str(error)  # noqa: PT017


def test_a_ticket_key_is_one_of_ed25519_and_is_never_shown() -> None:
    shown = ApiSettings.from_env({"SEATSTREAM_API_TICKET_KEY": pem()})
    assert shown.shown()["ticket_key"] == "(set)"
    assert "PRIVATE" not in repr(shown)
    with pytest.raises(BadSetting, match="SEATSTREAM_API_NEXT_TICKET_KEY") as refused:
        ApiSettings.from_env({"SEATSTREAM_API_NEXT_TICKET_KEY": "my secret"})
    assert "my secret" not in str(refused.value)
    with pytest.raises(BadSetting, match="SEATSTREAM_API_OLD_TICKET_KEY") as refused:
        ApiSettings.from_env({"SEATSTREAM_API_OLD_TICKET_KEY": "my secret"})
    assert "my secret" not in str(refused.value)


REALTIME = {
    "REDIS_URL": "redis://redis:6379",
    "SEATSTREAM_API_GRPC_PORT": "50051",
    "SEATSTREAM_API_REALTIME_URL": "https://realtime:443",
    "SEATSTREAM_API_REALTIME_TOKEN": "a.secret",
}


def test_a_realtime_service_is_told_over_https_where_a_token_is_shown() -> None:
    settings = ApiSettings.from_env(REALTIME)
    assert settings.realtime_url == "https://realtime:443"
    assert "a.secret" not in repr(settings)
    plain = REALTIME | {"SEATSTREAM_API_REALTIME_URL": "http://realtime:80"}
    for bad in (
        plain,
        REALTIME | {"SEATSTREAM_API_GRPC_PORT": "0"},
        REALTIME | {"SEATSTREAM_API_BOOKING_QUEUE": "kafka", "REDIS_URL": ""},
        REALTIME | {"SEATSTREAM_API_REALTIME_TOKEN": "two words"},
        *(
            REALTIME | {"SEATSTREAM_API_REALTIME_URL": url}
            for url in ("realtime:443", "https://realtime", "https://u:p@r:1", "https://r:1/path")
        ),
    ):
        with pytest.raises(BadSetting, match="REALTIME"):
            ApiSettings.from_env(bad)
    assert ApiSettings.from_env(plain | {"SEATSTREAM_API_REALTIME_TOKEN": ""}).realtime_url


@pytest.mark.parametrize(
    "environ",
    [
        {"SEATSTREAM_API_GRPC_PORT": "50051"},
        {"SEATSTREAM_API_GRPC_CERTIFICATE": __file__},
        {"SEATSTREAM_API_GRPC_KEY": __file__},
        {"SEATSTREAM_API_GRPC_CERTIFICATE": "/nowhere", "SEATSTREAM_API_GRPC_KEY": __file__},
    ],
)
def test_grpc_needs_a_redis_and_a_certificate_its_key(environ: dict[str, str]) -> None:
    with pytest.raises(BadSetting, match="GRPC"):
        ApiSettings.from_env(environ)
    whole = {
        "REDIS_URL": "redis://redis",
        "SEATSTREAM_API_GRPC_PORT": "50051",
        "SEATSTREAM_API_GRPC_CERTIFICATE": __file__,
        "SEATSTREAM_API_GRPC_KEY": __file__,
    }
    assert ApiSettings.from_env(whole).grpc_port == 50_051
    in_kafka = {"SEATSTREAM_API_BOOKING_QUEUE": "kafka", "SEATSTREAM_API_GRPC_PORT": "50051"}
    assert ApiSettings.from_env(in_kafka).booking_queue == "kafka"
