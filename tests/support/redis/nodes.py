"""Several Redis servers, from the program that the stack takes: independent ones, or a cluster."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis

from infra.stack.ports import free_ports
from infra.stack.processes import wait_until
from infra.stack.redis_server import RedisServer

SLOTS = 16_384
WAIT_S = 60.0


@contextmanager
def servers(directory: Path, count: int, *options: str) -> Iterator[tuple[RedisServer, ...]]:
    """Give so many servers that know nothing of each other."""
    with running([RedisServer(directory / str(at), options) for at in range(count)]) as started:
        yield started


@contextmanager
def running(started: Sequence[RedisServer]) -> Iterator[tuple[RedisServer, ...]]:
    """Let servers run, all begun before the first is waited for."""
    with ExitStack() as ending:
        for server in started:
            ending.callback(server.kill)
            server.begin()
        for server in started:
            server.wait()
        yield tuple(started)


@contextmanager
def cluster(directory: Path) -> Iterator[str]:
    """Give the address of a cluster of three masters, each with a third of the slots."""
    made = []
    for at, bus in enumerate(free_ports(3)):
        options = ("--cluster-enabled", "yes", "--cluster-port", f"{bus}")
        made.append((RedisServer(directory / str(at), options), bus))
    with running([server for server, _ in made]) as started, ExitStack() as ending:
        nodes = [ending.enter_context(Redis.from_url(server.url)) for server in started]
        share = SLOTS // len(nodes) + 1
        for at, node in enumerate(nodes):
            last = min((at + 1) * share, SLOTS) - 1
            node.execute_command("CLUSTER ADDSLOTSRANGE", at * share, last)
            node.execute_command("CLUSTER SET-CONFIG-EPOCH", at + 1)
        for server, bus in made[1:]:
            port = server.url.split(":")[2].split("/")[0]
            nodes[0].execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        assert wait_until(lambda: all(map(_is_whole, nodes)), WAIT_S), "no cluster came of it"
        yield started[0].url


def _is_whole(node: Redis) -> bool:
    told = node.cluster("INFO")
    return (told["cluster_state"], told["cluster_known_nodes"]) == ("ok", "3")
