"""One transaction is ended by its name alone, so the name and the end are given together."""

import pytest

from scripts.hanging_transactions import main


@pytest.mark.parametrize(
    "words",
    [["--end", "abort"], ["--at", "events-0:1"], ["--end", "forget", "--at", "events-0:1"]],
)
def test_half_a_wish_to_end_one_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


def test_a_setting_that_does_not_fit_is_named_before_a_broker_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "CARRIER_PIGEON")
    assert main([]) == 2
    assert "KAFKA_SECURITY_PROTOCOL" in capsys.readouterr().err
