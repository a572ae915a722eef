"""A worker that must not go on ends at once: nothing is unwound, and why is told."""

import subprocess
import sys

import pytest

from infra.paths import ROOT
from streams.runtime.process.fatal import EXIT_CODE, REASONS, PartitionTrouble

ENDING = """
import atexit, logging, sys, threading
from streams.runtime.process.fatal import before_end, end_process
logging.basicConfig(level="INFO")
atexit.register(lambda: print("unwound by atexit"))
before_end.append(lambda: print("excused", flush=True))
def end():
    try:
        end_process("its clock is wrong", ValueError("why"))
    finally:
        print("unwound by finally", flush=True)
if sys.argv[1] == "thread":
    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
else:
    end()
print("went on", flush=True)
"""


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_nothing_is_unwound_and_the_reason_is_the_last_line_of_the_log(where: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDING, where],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == EXIT_CODE
    assert ended.stdout == "excused\n"
    assert "CRITICAL:seatstream.runtime:worker ends: its clock is wrong" in ended.stderr
    assert "ValueError: why" in ended.stderr


def test_a_trouble_has_one_of_the_reasons_that_metrics_show() -> None:
    assert PartitionTrouble("its disk is full").reason == "store"
    assert all(PartitionTrouble("x", reason).reason == reason for reason in REASONS)
    assert not PartitionTrouble("x").forget_store
