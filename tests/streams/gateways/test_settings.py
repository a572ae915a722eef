import pytest

from infra.process.environment import BadSetting, Environment
from streams.gateways.settings import base_url, private_url, required_key, secrets_of

SECRET = "a secret of 16 bytes"
OLD = "the one before it, too"


@pytest.mark.parametrize(
    "text", ["https://api.example", "http://127.0.0.1:8900", "http://[::1]:1", "http://localhost"]
)
def test_a_key_goes_over_tls_or_to_this_machine(text: str) -> None:
    assert private_url(text) == text


@pytest.mark.parametrize(
    "text", ["http://api.example", "http://10.0.0.1", "http://localhost.example", "http://127.1.x"]
)
def test_a_key_goes_to_no_other_machine_in_the_clear(text: str) -> None:
    assert base_url(text) == text
    with pytest.raises(ValueError, match="https:// only"):
        private_url(text)


def test_what_is_not_set_is_told_once_by_its_name() -> None:
    read = Environment({})
    required_key(read, "X_KEY")
    secrets_of(read, "X_SECRET", "X_OLD")
    with pytest.raises(BadSetting) as raised:
        read.check()
    assert str(raised.value).splitlines() == [
        "X_KEY: not set, and there is no default",
        "X_SECRET: not set, and there is no default",
    ]


def test_what_cannot_be_used_is_told_once_too() -> None:
    read = Environment({"X_KEY": "geheim\n", "X_SECRET": "geheim", "X_OLD": "geheim"})
    required_key(read, "X_KEY")
    secrets_of(read, "X_SECRET", "X_OLD")
    assert [fault.partition(":")[0] for fault in read.faults] == ["X_KEY", "X_SECRET", "X_OLD"]
    assert "geheim" not in "".join(read.faults)


def test_one_secret_or_two_while_they_change() -> None:
    both = {"X_SECRET": SECRET, "X_OLD": OLD}
    for variables, count in (({"X_SECRET": SECRET}, 1), (both, 2)):
        read = Environment(variables)
        assert repr(secrets_of(read, "X_SECRET", "X_OLD")) == f"Secrets(<{count}>)"
        read.check()
