"""The command says what it lacks."""

import pytest

from scripts.create_topics import main


def test_no_broker_is_told_as_such(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_BROKERS", raising=False)
    assert main([]) == 2
    told = capsys.readouterr().err
    assert "KAFKA_BROKERS" in told
    assert "./scripts/stack up" in told


@pytest.mark.parametrize("option", ["--partitions", "--replication"])
def test_no_topic_has_less_than_one_of_anything(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([option, "0"])
    assert ended.value.code == 2
    assert option in capsys.readouterr().err
