"""What must be there before a sale begins: topics, schemas, workers, and an arena that is open."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.stack import Stack, StackError
from schemas.topics import TOPICS
from scripts.brokers.addresses import Servers
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.contracts.registering import register
from scripts.contracts.topics import carry_out, plan
from scripts.processes.workers import Supervisor, Worker
from scripts.sale.buyers import EVENT_ID
from scripts.sale.sale import READY_TIMEOUT_S, DemoFailed
from scripts.sale.table import Display
from scripts.traffic.opening import open_event
from serdes.registry.ids import SchemaIds
from state.domain.layout import Rules
from state.plans.seating import SeatingPlan

RULES = Rules(hold_ms=8_000, max_hold_ms=20_000)


def prepare_topics(brokers: str, display: Display, partitions: int | None = None) -> None:
    """Create the topics; raises StackError where the brokers do not in time.

    partitions: of each topic, instead of the listed counts.
    """
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    steps = plan(TOPICS, {}, partitions)
    try:
        carry_out(admin, steps)
    except (KafkaException, TimeoutError) as error:
        raise StackError(f"{error}. A busy machine needs longer: run it again") from error
    display.say(f"{len(steps)} topics created")


@contextmanager
def registry_beside(directory: Path) -> Iterator[Future[str]]:
    """Start a registry and register the schemas beside everything else; give its address.

    What the future raises: StackError, RegistryUnavailableError, RegistryRefusedError.
    """
    stack = Stack(directory, parts={"registry"}, throw_away=True)

    def fill() -> str:
        stack.start()
        register(PatientRegistry(stack.registry_url, PATIENCE_S))
        return stack.registry_url

    pool = ThreadPoolExecutor(max_workers=1)
    try:
        yield pool.submit(fill)
    finally:
        # Once for what runs, which ends `fill` too, and once for what that may just have started.
        stack.stop()
        pool.shutdown(cancel_futures=True)
        stack.stop()


@contextmanager
def running(workers: Sequence[Worker]) -> Iterator[None]:
    """Start workers; stop them at the end, all at once, whatever happened to them."""
    try:
        for worker in workers:
            worker.start()
        yield
    finally:
        stop(workers)


def stop(workers: Sequence[Worker]) -> None:
    """Let workers leave in order."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.finish()


def open_arena(
    where: Servers,
    seating: SeatingPlan,
    ids: SchemaIds,
    supervisor: Supervisor,
    display: Display,
) -> None:
    """Open every section, and wait until all workers are ready; raise DemoFailed, WorkerFailed."""
    opening = open_event(
        where,
        seating,
        EVENT_ID,
        RULES,
        ids=ids,
        timeout_s=READY_TIMEOUT_S,
        progress=lambda _opened, _all: supervisor.revive(),
    )
    if opening.opened < len(seating.sections):
        raise DemoFailed(f"sections not open: {opening.refused or opening.missing}")
    supervisor.wait_until_ready(READY_TIMEOUT_S)
    display.say(f"{len(supervisor.workers)} workers ready")
    display.say(f"{opening.opened} sections open; the sale begins")
