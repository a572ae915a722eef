import os
import socket

from infra.stack import ports


def test_free_ports_are_different_and_can_be_bound() -> None:
    chosen = ports.free_ports(6)
    assert len(set(chosen)) == 6
    for port in chosen:
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))


def test_free_ports_are_not_those_of_outgoing_connections() -> None:
    first_ephemeral = int(ports.EPHEMERAL_RANGE.read_text().split()[0])
    if first_ephemeral > ports.LOWEST + 2_000:
        assert max(ports.free_ports(20)) < first_ephemeral


def test_a_process_listens_on_the_ports_it_has_bound_and_on_no_other() -> None:
    me = os.getpid()
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as server:
            server.bind((host, 0))
            port = server.getsockname()[1]
            assert not ports.is_listening(me, port)
            server.listen()
            assert ports.is_listening(me, port)
            # Somebody listens, but not the one that is asked for.
            assert not ports.is_listening(os.getppid(), port)
        assert not ports.is_listening(me, port)


def test_a_client_s_end_of_a_connection_listens_to_nobody() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert not ports.is_listening(os.getpid(), client.getsockname()[1])


def test_a_process_that_is_gone_listens_nowhere() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not ports.is_listening(2**22 + 1, server.getsockname()[1])
