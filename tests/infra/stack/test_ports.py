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
