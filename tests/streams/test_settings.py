"""Every setting has one name, one unit and bounds; anything else is refused by name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings import BadSetting, Settings


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_env({})
    assert settings.brokers == "localhost:9092"
    assert settings.session_timeout_s == 6.0
    assert settings.watchdog_s == 3.0
    assert not settings.static_membership
    assert settings.instance != Settings.from_env({}).instance


def test_an_empty_variable_is_an_unset_one() -> None:
    assert Settings.from_env({"SEATSTREAM_TICK_MS": ""}).tick_ms == 1_000


def test_what_is_set_is_read() -> None:
    settings = Settings.from_env(
        {
            "KAFKA_BROKERS": "a:1, b:2",
            "SEATSTREAM_DATA_DIR": "/var/seats",
            "SEATSTREAM_SESSION_TIMEOUT_S": "10",
            "SEATSTREAM_WATCHDOG": "no",
            "SEATSTREAM_BUFFER_MB": "3",
            "SEATSTREAM_STATIC_MEMBERSHIP": "true",
            "SEATSTREAM_INSTANCE": "seats-0.zone-a",
        }
    )
    assert settings.connection["bootstrap_servers"] == ["a:1", "b:2"]
    assert settings.data_dir == Path("/var/seats")
    assert settings.watchdog_s == 0.0
    assert settings.buffer_bytes == 3 << 20
    assert settings.static_membership
    assert settings.instance == "seats-0.zone-a"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KAFKA_BROKERS", "localhost"),
        ("KAFKA_BROKERS", "localhost:port"),
        ("KAFKA_BROKERS", "a:1,,b:2"),
        ("SEATSTREAM_ROLES", "seats,,payments"),
        ("SEATSTREAM_APP_ID", "a b"),
        ("SEATSTREAM_INSTANCE", "x" * 101),
        ("SEATSTREAM_STATIC_MEMBERSHIP", "maybe"),
        ("SEATSTREAM_SESSION_TIMEOUT_S", "0.5"),
        ("SEATSTREAM_SESSION_TIMEOUT_S", "nan"),
        ("SEATSTREAM_TRANSACTION_TIMEOUT_MS", "999"),
        ("SEATSTREAM_TRANSACTION_RECORDS", "0"),
        ("SEATSTREAM_BUFFER_MB", "-1"),
        ("SEATSTREAM_TICK_MS", "1.5"),
        ("SEATSTREAM_HEALTH_PORT", "65536"),
        ("SEATSTREAM_ADVERTISED_HOST", "http://host"),
        ("SEATSTREAM_ADVERTISED_HOST", "a b"),
        ("SEATSTREAM_ADVERTISED_HOST", "seats@host;"),
        ("SEATSTREAM_WATCHDOG", "2"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_refused_by_its_variables_name(name: str, text: str) -> None:
    with pytest.raises(BadSetting, match=name):
        Settings.from_env({name: text})


def test_every_wrong_variable_is_told_at_once() -> None:
    environ = {
        "KAFKA_BROKERS": "localhost",
        "KAFKA_SASL_USERNAME": "bob",
        "SEATSTREAM_TICK_MS": "6",
        "SEATSTREAM_SESION_TIMEOUT_S": "6",
        "LOG_LEVEL": "LOUD",
    }
    with pytest.raises(BadSetting) as caught:
        Settings.from_env(environ)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(environ)
    for name in environ:
        assert any(name in line for line in lines)


def test_an_unknown_variable_of_ours_is_refused_and_others_are_left_alone() -> None:
    with pytest.raises(BadSetting, match="unknown setting SEATSTREAM_SESION_TIMEOUT_S"):
        Settings.from_env({"SEATSTREAM_SESION_TIMEOUT_S": "6"})
    Settings.from_env({"SEATS": "1", "PATH": "/bin"})


@pytest.mark.parametrize(
    ("health", "advertised", "told"),
    [
        ("", "", "127.0.0.1"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("0.0.0.0", "", ""),
        ("::", "", ""),
        ("0.0.0.0", "10.1.2.3", "10.1.2.3"),
        ("::", "seats-0.seats", "seats-0.seats"),
        ("0.0.0.0", "0.0.0.0", ""),
    ],
)
def test_look_ups_are_told_under_an_address_that_others_can_reach(
    health: str, advertised: str, told: str
) -> None:
    settings = Settings.from_env(
        {"SEATSTREAM_HEALTH_HOST": health, "SEATSTREAM_ADVERTISED_HOST": advertised}
    )
    assert settings.lookup_host == told


def test_the_token_is_in_no_log_line() -> None:
    settings = Settings.from_env({"SEATSTREAM_LOOKUP_TOKEN": "hush hush"})
    assert settings.lookup_token == "hush hush"
    assert "hush" not in f"{settings} {settings!r}"


def test_static_membership_needs_a_name_that_stays() -> None:
    with pytest.raises(BadSetting, match="SEATSTREAM_INSTANCE"):
        Settings.from_env({"SEATSTREAM_STATIC_MEMBERSHIP": "1"})


@given(st.text(max_size=20))
def test_no_text_gets_past_as_another_error(text: str) -> None:
    names = ["SEATSTREAM_TICK_MS", "SEATSTREAM_STALL_S", "SEATSTREAM_INSTANCE", "KAFKA_BROKERS"]
    for name in names:
        try:
            Settings.from_env({name: text})
        except BadSetting as error:
            assert name in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "text", ["admin:3010", "ftp://admin", "http://", "http://u:secret@admin", "http://[::1"]
)
def test_an_address_of_a_service_is_http_and_holds_no_password(text: str) -> None:
    with pytest.raises(BadSetting, match="ADMIN_SERVICE_URL") as refused:
        Settings.from_env({"ADMIN_SERVICE_URL": text})
    assert "secret" not in str(refused.value)


def test_the_address_of_the_document_is_one() -> None:
    read = Settings.from_env({"ADMIN_SERVICE_URL": "http://admin-service:3010/"})
    assert read.admin_service_url == "http://admin-service:3010"


@pytest.mark.parametrize("text", ["mysql://h/d", "h:5432", "//ann:secret@h/d"])
def test_an_address_of_a_database_is_of_postgresql_and_is_not_repeated(text: str) -> None:
    with pytest.raises(BadSetting, match="DATABASE_URL: not a postgresql:// address") as refused:
        Settings.from_env({"DATABASE_URL": text})
    assert "secret" not in str(refused.value)
    told = Settings.from_env({"DATABASE_URL": "postgresql://ann:secret@h/d"})
    assert told.database_url == "postgresql://ann:secret@h/d"


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("SLOT_ZONE", ["Mars/Olympus", "../etc/passwd", "Europe", "UTC\0"]),
        ("SLOT_TIME", ["16", "24:00", "16:60", "4pm", "16:00:30"]),
        ("DARK_DAYS", ["sunday", "mon,none", "mon,tue,wed,thu,fri,sat,sun", ","]),
    ],
)
def test_slots_have_a_zone_a_time_and_a_day_of_the_week_at_least(
    name: str, texts: list[str]
) -> None:
    for text in texts:
        with pytest.raises(BadSetting, match=f"SEATSTREAM_{name}"):
            Settings.from_env({f"SEATSTREAM_{name}": text})


def test_days_without_slots_are_named_in_any_case_and_order() -> None:
    read = Settings.from_env({"SEATSTREAM_DARK_DAYS": "Sun, mon", "SEATSTREAM_SLOT_TIME": "09:30"})
    assert (read.dark_days, read.slot_time.isoformat()) == (frozenset({6, 0}), "09:30:00")
