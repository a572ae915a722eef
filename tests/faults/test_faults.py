"""Each injection hurts, and only while it lasts."""

import gc
import re
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path

import pytest
from aiokafka.protocol.commit import OffsetCommitResponse_v3
from faults import catalogue
from faults.broker_answers import OFFSET_COMMIT, UNKNOWN_TOPIC_OR_PARTITION, BrokerAnswers
from faults.limits import file_size_limit, memory_limit
from faults.proxy import OFFSET_FETCH, Asked, Link, Proxy, Way

from infra.stack.ports import free_ports

HERE = Path(__file__).parent
CHAOS = [
    HERE.parent / "integration" / name for name in ("test_chaos_of_all_faults.py", "arena.py")
]

TAKES = """
import sys
for line in sys.stdin:
    try:
        exec(line)
        print("done", flush=True)
    except (OSError, MemoryError) as error:
        print(type(error).__name__, flush=True)
"""


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    """Give a Python that does what each line says, and answers `done` or what went wrong."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", TAKES], text=True, **pipes) as child:  # type: ignore[call-overload]
        yield child
        child.stdin.close()


def answer(process: "subprocess.Popen[str]", line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_full_disk_takes_no_byte_more_and_then_has_room_again(
    process: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    write = f"import pathlib; pathlib.Path({str(tmp_path / 'file')!r}).write_bytes(b'x' * 5000)"
    assert answer(process, write) == "done"
    with file_size_limit(process.pid, 4096):
        assert answer(process, write) == "OSError"
        assert (tmp_path / "file").stat().st_size == 4096
    assert answer(process, write) == "done"


def test_too_little_memory_is_an_error_and_then_enough_again(
    process: "subprocess.Popen[str]",
) -> None:
    take = "bytearray(200 << 20)"
    assert answer(process, take) == "done"
    with memory_limit(process.pid, 100 << 20):
        assert answer(process, take) == "MemoryError"
    assert answer(process, take) == "done"


@pytest.fixture
def echo() -> Iterator[int]:
    """Give the port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(4096):
                    connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(60)


def request(key: int, body: bytes) -> bytes:
    frame = key.to_bytes(2, "big") + (3).to_bytes(2, "big") + body
    return len(frame).to_bytes(4, "big") + frame


def test_an_answer_is_rewritten_by_what_was_asked(echo: int) -> None:
    (port,) = free_ports(1)
    with Proxy(port, lambda: echo) as proxy:
        proxy.rewrite = lambda asked, answer: b"no" if asked.key == OFFSET_FETCH else answer
        with closing(socket.create_connection(("127.0.0.1", port), 10)) as client:
            client.sendall(request(0, b"a"))
            assert client.recv(100) == request(0, b"a")
            client.sendall(request(OFFSET_FETCH, b"a"))
            assert client.recv(100) == b"\0\0\0\2no"


def test_a_proxy_that_ends_while_clients_connect_leaves_no_socket_open(echo: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", echo), 10)):
        warned: list[str] = []
        for _ in range(30):
            (port,) = free_ports(1)
            ended = threading.Event()

            def connect(port: int = port, ended: threading.Event = ended) -> None:
                while not ended.is_set():
                    # Who finds no room in the queue of a listener hears nothing for a second.
                    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.05):
                        pass

            callers = [threading.Thread(target=connect) for _ in range(3)]
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ResourceWarning)
                with Proxy(port, lambda: echo):
                    for caller in callers:
                        caller.start()
                gc.collect()
            ended.set()
            for caller in callers:
                caller.join()
            warned += [str(one.message) for one in caught]
    assert warned == []


@pytest.mark.parametrize("way", Way)
def test_a_link_that_is_cut_one_way_is_silent_and_then_delivers_all(echo: int, way: Way) -> None:
    (port,) = free_ports(1)
    with (
        Proxy(port, lambda: echo) as proxy,
        closing(socket.create_connection(("127.0.0.1", port), 10)) as client,
    ):
        client.sendall(request(0, b"a"))
        assert client.recv(100) == request(0, b"a")
        with proxy.cut(way):
            client.sendall(request(0, b"b"))
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(100)
        client.settimeout(60)
        assert client.recv(100) == request(0, b"b")


def test_a_link_loses_an_answer_after_the_server_has_heard_the_question(echo: int) -> None:
    (port,) = free_ports(1)
    with Link(port, lambda: echo) as link:
        link.loses = lambda sent: b"lost" in sent
        with closing(socket.create_connection(("127.0.0.1", port), 10)) as client:
            client.sendall(request(0, b"heard"))
            assert client.recv(100) == request(0, b"heard")
            client.sendall(request(0, b"lost"))
            assert client.recv(100) == b""
        assert link.lost == 1


def test_every_injection_stands_in_the_catalogue_and_is_drawn_or_left_out_with_a_reason() -> None:
    modules = {path.stem for path in HERE.glob("*.py")} - {"catalogue", Path(__file__).stem}
    assert set(re.findall(r"^\| `(\w+)` \|", catalogue.__doc__ or "", re.MULTILINE)) == modules
    text = "".join(path.read_text(encoding="utf-8") for path in CHAOS)
    named = set(re.findall(r"from faults\.(\w+) import|`(\w+)`", text))
    assert modules <= {name for pair in named for name in pair}


def test_an_error_code_takes_the_place_of_an_answer_of_one_partition_and_then_no_more() -> None:
    def codes() -> list[tuple[str, list[tuple[int, int]]]]:
        told = OffsetCommitResponse_v3.decode(BytesIO(answers(asked, answer)[4:]))
        return [(topic, list(parts)) for topic, parts in told.topics]

    answers = BrokerAnswers()
    good = OffsetCommitResponse_v3(0, [("t", [(1, 0), (2, 0)]), ("u", [(2, 0)])])
    answer = b"\0\0\0\7" + good.encode()
    asked = Asked(OFFSET_COMMIT, 3, b"a request of group-g")
    assert answers(asked, answer) == answer
    wrong = UNKNOWN_TOPIC_OR_PARTITION
    answers.say(OFFSET_COMMIT, wrong, times=1, named="group-h", topic="t", partitions=[2])
    assert answers(asked, answer) == answer
    answers.say(OFFSET_COMMIT, wrong, times=1, named="group-g", topic="t", partitions=[2])
    assert codes() == [("t", [(1, 0), (2, wrong)]), ("u", [(2, 0)])]
    assert answers(asked, answer) == answer
