"""A broker whose data is put back to what it was: another history under the same topic ids.

Everything that clients wrote after the backup is gone, and what they write from then on lies at
the same offsets under the same leader epochs. For stacks of one broker.
"""

import shutil
from pathlib import Path

from infra.stack import Stack


def back_up(stack: Stack, backup: Path) -> None:
    """Copy the broker's data while it is stopped in order; it runs again afterwards."""
    stack.stop_broker()
    shutil.copytree(_data(stack), backup)
    stack.start_broker()


def put_back(stack: Stack, backup: Path) -> None:
    """Replace the broker's data by the copy; it runs again afterwards."""
    stack.stop_broker()
    shutil.rmtree(_data(stack))
    shutil.copytree(backup, _data(stack))
    stack.start_broker()


def _data(stack: Stack) -> Path:
    return stack.directory / "kafka-1"
