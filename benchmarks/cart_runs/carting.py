"""Who wants carts in a benchmark, and when each of them is held.

A cart is held when the committed Cart record says so, in the changelog of the worker: that comes
behind the answers of all its sections. Pods answer by the same record, from the worker's memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from confluent_kafka import Message

from benchmarks.measuring.cluster import Cluster
from benchmarks.measuring.figures import Run
from benchmarks.measuring.offered_load import Reader
from benchmarks.measuring.progress import Progress
from benchmarks.pod_runs.arena import EVENT_ID, Arena, Command
from benchmarks.seat_runs import seen
from benchmarks.seat_runs.drained import rates, watch
from benchmarks.seat_runs.paced import open_sections
from benchmarks.seat_runs.worker import Worker
from schemas.topics import CART_COMMANDS, CARTS_CHANGELOG
from scripts.traffic.sending import CommandSender
from state.domain.carts.statuses import CartStatus, OnFailure
from state.domain.carts.values import Wanted
from state.domain.keys import CART, cart_key, issued_id, partition_of, stem_of
from state.records.carts import CartEncoders, cart_of
from state.stores import envelope

SEATS_EACH = 2
"""Of each section; so a cart of eight has sixteen seats."""

BUYERS = 1_000_000


def is_held(record: Message) -> bool:
    """Say whether a record of the changelog is that of a cart that is held as a whole."""
    key, value = record.key() or b"", record.value()
    if value is None or not key.startswith(CART):
        return False
    seed = envelope.seed_of(CARTS_CHANGELOG.name, record.partition() or 0)
    return cart_of(envelope.unpack(value, seed)[0]).status == CartStatus.HELD


def carts(
    arena: Arena, encoders: CartEncoders, sections: int, count: int, seed: str
) -> Iterator[Command]:
    """Yield carts over so many sections each, drawn at random; the same for the same seed.

    Their `reservation_id` is the key under which a cart is stored.
    """
    random, names = Random(seed), arena.names()
    for number in range(count):
        user = f"buyer-{random.randrange(BUYERS)}"
        key = cart_key(EVENT_ID, user.encode())
        place = partition_of(key, CART_COMMANDS.partitions)
        cart_id = issued_id(stem_of(user, f"{seed}-{number}"), place)
        items: tuple[Wanted, ...] = tuple(
            (name.encode(), SEATS_EACH, (), False, ()) for name in random.sample(names, sections)
        )
        value = encoders.open_cart(cart_id, user, f"{number}", EVENT_ID, OnFailure.RELEASE, items)
        yield Command(CART.decode() + cart_id, key, value)


class Box:
    """A cluster, and a worker of seats and carts: a new one for each group."""

    def __init__(self, cluster: Cluster, arena: Arena, directory: Path, seed: int) -> None:
        self.cluster = cluster
        self._encoders = CartEncoders(cluster.ids)
        self._arena = arena
        self._directory = directory
        self._seed = seed
        self._serial = 0

    @contextmanager
    def opened(self) -> Iterator[Worker]:
        """Give a worker on topics that are new but for the opened sections."""
        group = self._directory.name
        self.cluster.fresh_topics()
        with Worker.of_topology(
            self.cluster, group, self._directory / "worker", SEATSTREAM_ROLES="seats,carts"
        ) as worker:
            worker.wait_ready()
            open_sections(self.cluster, self._arena, group, worker)
            yield worker

    def wishes(self, sections: int, count: int) -> list[Command]:
        """Return carts that nobody has asked for yet."""
        self._serial += 1
        seed = f"{self._seed}-{self._directory.name}-{self._serial}"
        return list(carts(self._arena, self._encoders, sections, count, seed))

    @contextmanager
    def held(self) -> Iterator[Reader]:
        """Give a reader of the carts that are held from now on; it ends with the block."""
        with seen.reading(self.cluster.brokers, is_held, CARTS_CHANGELOG) as reader:
            yield reader


def measure_backlog(
    box: Box, worker: Worker, sections: int, count: int, progress: Progress
) -> Run:
    """Want so many carts at once; return how fast they are held, and what that costs."""
    commands = box.wishes(sections, count)
    with box.held() as reader:
        box.cluster.preload(commands, CART_COMMANDS)
        window = watch(box.cluster, worker, lambda: reader.count, count, progress)
    found = rates(window)
    return {
        "carts_per_s": found["decisions_per_s"],
        "worker_cpu_us": found["worker_cpu_us"],
        "broker_cpu_us": found["broker_cpu_us"],
    }


def measure_paced(
    box: Box, worker: Worker, sections: int, rate: int, warm_up_s: float, seconds: float
) -> Run:
    """Want carts at a rate; return how long each takes from when it is due until it is held."""
    commands = box.wishes(sections, int(rate * (warm_up_s + seconds)))
    sender = CommandSender(box.cluster.brokers, topic=CART_COMMANDS, linger_ms=5)
    with box.held() as reader:
        run, _ = seen.measure_paced(sender, reader, worker, commands, rate, warm_up_s)
    return run
