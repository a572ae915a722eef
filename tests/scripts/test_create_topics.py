"""The command says what it lacks."""

import pytest

from scripts.create_topics import main


def test_no_broker_is_told_as_such(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_BROKERS", raising=False)
    assert main([]) == 2
    assert "KAFKA_BROKERS" in capsys.readouterr().err
