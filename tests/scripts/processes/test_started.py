"""A process of a script is ended in order, paused or not; one never started is no trouble."""

import os
import signal
import sys
from pathlib import Path

from infra.stack.processes import wait_until
from scripts.brokers.addresses import Servers
from scripts.processes.started import Started, environment_at

SERVERS = Servers("127.0.0.1:1", "http://127.0.0.1:2")


def test_one_that_was_never_started_may_be_ended_and_has_no_log(tmp_path: Path) -> None:
    one = Started(tmp_path / "log", {})
    one.terminate()
    one.finish()
    assert (one.exit_code(), one.log()) == (None, "")


def test_one_that_is_paused_is_ended_in_order(tmp_path: Path) -> None:
    one = Started(tmp_path / "log", environment_at(SERVERS))
    one._start([sys.executable, "-c", "import signal; print('here', flush=True); signal.pause()"])
    assert one._child is not None
    try:
        assert wait_until(lambda: "here" in one.log(), 60)
        assert one.exit_code() is None
        os.kill(one._child.pid, signal.SIGSTOP)
        one.terminate()
        one.finish(60)
        assert one.exit_code() == -signal.SIGTERM
    finally:
        one._child.kill()


def test_it_is_told_where_the_servers_are() -> None:
    environment = environment_at(SERVERS)
    assert environment["KAFKA_BROKERS"] == "127.0.0.1:1"
    assert environment["SCHEMA_REGISTRY_URL"] == "http://127.0.0.1:2"


def test_settings_are_changed_for_the_next_start_and_an_empty_one_is_not_given(
    tmp_path: Path,
) -> None:
    one = Started(tmp_path / "log", environment_at(SERVERS))
    for value, told in (("b", "b"), ("", "none")):
        one.set({"SEATSTREAM_STATUS_TOPIC": value})
        said = f"import os; print(os.environ.get('SEATSTREAM_STATUS_TOPIC', 'none') == {told!r})"
        one._start([sys.executable, "-c", said])
        one.finish(60)
        assert one.log().strip().endswith("True")
