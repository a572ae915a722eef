"""What `python -m api` does before it serves."""

import gc
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from api import __main__ as program
from api.pod import Pod
from api.serving import PortTaken
from api.settings import ApiSettings
from serdes.registry.client import NotRegisteredError


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the program an environment of its own; leave log and garbage of the tests alone."""
    for name in [
        name for name in os.environ if name.startswith(("SEATSTREAM_", "REDIS_", "KAFKA_"))
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(program, "configure", lambda *_: None)
    monkeypatch.setattr(program, "gc", SimpleNamespace(collect=int, freeze=int))
    monkeypatch.setattr(sys, "argv", ["api"])


def serve_as(monkeypatch: pytest.MonkeyPatch, serving: Callable[[], bool]) -> None:
    """Have a pod end at once as `serving` says: what it returns, or raises."""

    async def serve(settings: ApiSettings, pod: Pod) -> bool:
        return serving()

    monkeypatch.setattr(program, "serve", serve)


def test_what_was_imported_is_never_collected_again_in_a_pod(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen: list[int] = []

    def serving() -> bool:
        frozen.append(gc.get_freeze_count())
        return True

    monkeypatch.setattr(program, "gc", gc)
    serve_as(monkeypatch, serving)
    # The tests have frozen all modules already.
    imported: list[list[int]] = [[] for _ in range(50_000)]
    before = gc.get_freeze_count()
    assert program.main() == 0
    assert frozen[0] - before >= len(imported)


def failing(error: Exception) -> Callable[[], bool]:
    def serving() -> bool:
        raise error

    return serving


@pytest.mark.parametrize(
    ("serving", "code", "told"),
    [
        (lambda: True, 0, ""),
        # Why it did not start is in the log already.
        (lambda: False, 1, ""),
        (failing(PortTaken("0.0.0.0:8080 is taken")), 1, "PortTaken: 0.0.0.0:8080 is taken"),
        (failing(OSError(99, "no such address")), 1, "cannot start: OSError"),
        (failing(NotRegisteredError("register it")), 1, "NotRegisteredError: register it"),
    ],
)
def test_the_exit_code_says_whether_the_pod_had_begun(
    serving: Callable[[], bool],
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    serve_as(monkeypatch, serving)
    assert program.main() == code
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == bool(told)
    assert all(told in error for error in errors)


def test_a_mistake_of_ours_is_no_reason_to_say_that_it_cannot_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve_as(monkeypatch, failing(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        program.main()


def test_a_setting_that_cannot_be_used_is_told_by_its_name_and_nothing_is_served(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_as(monkeypatch, failing(AssertionError()))
    monkeypatch.setenv("SEATSTREAM_API_PORT", "many")
    assert program.main() == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("api: ")
    assert "SEATSTREAM_API_PORT" in told.err


def test_settings_are_printed_without_secrets_and_nothing_is_served(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_as(monkeypatch, failing(AssertionError()))
    monkeypatch.setattr(sys, "argv", ["api", "--settings"])
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@r:1/0")
    assert program.main() == 0
    told = capsys.readouterr().out
    assert "redis_url: redis://r:1/0\n" in told
    assert "hunter2" not in told


def test_a_pod_without_keys_says_that_it_refuses_everybody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serve_as(monkeypatch, lambda: True)
    assert program.main() == 0
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warnings == ["SEATSTREAM_API_JWKS is not set: every token will be refused"]
