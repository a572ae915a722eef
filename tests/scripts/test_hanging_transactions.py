"""One transaction is ended by its name alone, and only by who said yes to what that costs."""

import io
from collections.abc import Sequence

import pytest

from scripts import hanging_transactions
from scripts.brokers.open_transactions import OpenTransaction
from scripts.hanging_transactions import main
from scripts.program.main import run

OPEN = OpenTransaction(
    place=("events", 0),
    begins_at=7,
    producer_id=4,
    producer_epoch=1,
    coordinator_epoch=0,
    written_ms=1_000,
    name="seatstream-0",
    state="Ongoing",
)


class Person(io.StringIO):
    """What a person types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give what becomes of the only open transaction."""
    ends: list[str] = []

    async def list_open(*_: object) -> Sequence[OpenTransaction]:
        return [OPEN]

    async def end_named(arguments: object, _: object) -> None:
        ends.append(vars(arguments)["end"])

    monkeypatch.setattr(hanging_transactions, "brokers_needed", lambda: "nowhere:1")
    monkeypatch.setattr(hanging_transactions, "list_open", list_open)
    monkeypatch.setattr(hanging_transactions, "end_named", end_named)
    return ends


@pytest.mark.parametrize(
    ("typed", "words", "code", "is_ended"),
    [
        (io.StringIO(), (), 2, False),
        (io.StringIO(), ("--yes",), 0, True),
        (io.StringIO(), ("--dry-run",), 0, False),
        (Person("n\n"), (), 130, False),
        (Person("y\n"), (), 0, True),
        (Person(), (), 130, False),
    ],
)
def test_nothing_is_ended_by_whom_nobody_asked_or_who_did_not_say_yes(
    typed: io.StringIO,
    words: Sequence[str],
    code: int,
    is_ended: bool,
    ended: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", typed)
    assert run(["transactions", "abort", "--at", "events-0:7", *words]) == code
    assert ended == (["abort"] if is_ended else [])
    out, err = capsys.readouterr()
    if code == 2:
        assert "give --yes" in err
    if isinstance(typed, Person):
        assert "drops its records" in err
    assert ("ended by abort" in out) == (code == 0)


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--yes",)])
def test_an_end_against_its_coordinator_is_refused_in_a_dry_run_too(
    words: Sequence[str], ended: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["transactions", "commit", "--at", "events-0:7", *words]) == 2
    assert run(["transactions", "abort", "--at", "events-0:8", *words]) == 2
    err = capsys.readouterr().err
    assert "has not decided to commit it" in err
    assert "no transaction that began at events-0:8 is open" in err
    assert ended == []


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
