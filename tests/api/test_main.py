"""What `python -m api` does before it serves."""

import gc
import sys
from collections.abc import Iterator

import pytest

from api import __main__ as program
from api.pod import Pod
from api.settings import ApiSettings


@pytest.fixture(autouse=True)
def thawed_afterwards() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_was_imported_is_never_collected_again_in_a_pod(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen: list[int] = []

    async def serve(settings: ApiSettings, pod: Pod) -> bool:
        frozen.append(gc.get_freeze_count())
        return True

    monkeypatch.setattr(program, "serve", serve)
    monkeypatch.setattr(program, "configure", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["api"])
    # From 3.12 on, the interpreter freezes a few objects itself.
    before = gc.get_freeze_count()
    assert program.main() == 0
    # All modules of a pod; what a test leaves about is a fraction of them.
    assert frozen[0] - before > 50_000
