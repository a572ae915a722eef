"""An arena opens, sells out and stays correct while its workers are killed and paused.

Starts a Kafka, a schema registry, a Redis and a payment gateway of its own, creates the topics,
registers the schemas, starts the workers, opens the arena and lets buyers in until every seat is
sold and paid: most send commands as fast as they may, some go through an API pod over HTTP, which
locks the seats that they choose, and now and then hold seats in several sections and pay for them
as one. On the way one worker is killed (kill -9), one is paused past its session, and the gateway
is away for a while. What is paid for there is issued, and a service allocates to it, by a worker
that is killed, too. Then the whole log is read again and compared with an independent model, with
every answer that HTTP has given, and with the gateway's ledger. Nothing is left running
afterwards, whatever happens.
"""

import argparse
import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from infra.stack import Stack, StackError, ephemeral_directory
from scripts.auditing.checks import audit
from scripts.auditing.facts import Traces
from scripts.auditing.http import HttpReport, audit_http, reservation_ids
from scripts.auditing.http_history import History
from scripts.auditing.locks.keys_seen import KeysSeen
from scripts.auditing.log import nothing_is_garbage, read_log
from scripts.auditing.report import Report
from scripts.auditing.topics import CannotRead
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import OffsetsUnknown
from scripts.crowd.play import HALL_SEATS_MAX, Play
from scripts.processes.keys import DevelopmentKeys
from scripts.processes.pods import ApiPod, PodFailed
from scripts.processes.workers import Supervisor, Worker, WorkerFailed
from scripts.sale.arena import demo_plan
from scripts.sale.buyers import EVENT_ID, Buyers
from scripts.sale.faults import draw_faults
from scripts.sale.gateway import GatewayControl
from scripts.sale.issuing import Issuing
from scripts.sale.pages import Pages
from scripts.sale.payments import Payments
from scripts.sale.rebuild import Rebuild, rebuilding, retelling
from scripts.sale.sale import SESSION_TIMEOUT_S, DemoFailed, Sale
from scripts.sale.setting_up import open_arena, prepare_topics, registry_beside, running, stop
from scripts.sale.table import Display
from scripts.sale.verdict import finish
from scripts.sale.web.buyers import WebBuyers
from scripts.traffic.sending import NoBroker, schema_ids
from serdes.registry.client import RegistryRefusedError, RegistryUnavailableError
from state.views.availability.statuses import STALE_AFTER_MS

# Of the buyers so many commands a second pay at the gateway, about a thousand in all, so that what
# befalls one in a hundred befalls some: all of a small sale, one in twenty of the whole arena's.
PAYING_PER_S = 120.0

# What is sold, and the partitions of each topic, so that it all takes about a minute.
SEATS, PARTITIONS = 12_000, 8

# A dozen users buy for a whole arena.
POD_SETTINGS = {
    "SEATSTREAM_API_STALE_AFTER_MS": str(STALE_AFTER_MS),
    "SEATSTREAM_API_PRE_LOCK_MS": "5000",
    **{
        f"SEATSTREAM_API_LIMIT_{kind}": "1000000/min"
        for kind in ("CREATE", "CANCEL", "POSITION", "OTHER", "NETWORK")
    },
}

WORKER_SETTINGS = {
    "SEATSTREAM_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
    # A call that is not answered, and a gateway that was away, are found out soon.
    "SEATSTREAM_GATEWAY_CALL_S": "2",
    "SEATSTREAM_CIRCUIT_OPEN_S": "1",
}


WENT_WRONG = (DemoFailed, CannotRead, OffsetsUnknown, WorkerFailed, PodFailed)
NOTHING_STARTED = (StackError, NoBroker, RegistryUnavailableError, RegistryRefusedError)


def worker_settings(stack: Stack, redis_url: str, rebuild: Rebuild | None) -> dict[str, str]:
    """Return the settings of workers that ask a gateway, and unlock seats."""
    addresses = {
        "MOCK_GATEWAY_URL": stack.addresses.gateway_url,
        "REDIS_URL": redis_url,
    }
    return WORKER_SETTINGS | addresses | retelling(rebuild)


def size_of(arguments: argparse.Namespace) -> tuple[int | None, int | None]:
    """Return the seats to sell and the partitions of each topic; None: all, and as listed."""
    if arguments.full:
        return None, arguments.partitions
    return arguments.seats or SEATS, arguments.partitions or PARTITIONS


@contextmanager
def announced(display: Display) -> Iterator[None]:
    """Say at once that we end: what follows takes seconds."""
    try:
        yield
    except Stopped:
        display.end_table()
        display.say("stopping: the workers finish what they have begun, the servers end")
        raise


def last_view(sale: Sale, where: Servers, keys: DevelopmentKeys, seen: KeysSeen) -> bytes:
    """Return what the pod tells at last, when nothing is left to come."""
    # The pod has its leases still, and some seats are locked.
    seen.look()
    view = sale.last_view(where, keys.token("auditor"))
    # Later than the pod has ended: until then webhooks came in.
    sale.until_over(where, seen.url)
    seen.look()
    return view


def judged(where: Servers, stack: Stack, history: History) -> tuple[Report, HttpReport]:
    """Read the whole log, and judge it and what HTTP has told; raises CannotRead."""
    with nothing_is_garbage():
        log = read_log(where, ledger=stack.gateway.ledger, redis_url=stack.redis_url)
        traces = Traces(reservation_ids(history, log.partitions))
        report = audit(log, traces=traces)
        return report, audit_http(history, traces, log.partitions)


def run(arguments: argparse.Namespace, display: Display) -> int:
    """Run the demo; return the exit code."""
    display.say("starting Kafka, the schema registry, Redis and a payment gateway")
    with ExitStack() as opened, announced(display):
        home = opened.enter_context(ephemeral_directory("demo"))
        # The two that take long start at the same time, and we read the plan meanwhile.
        registry = opened.enter_context(registry_beside(home / "registry"))
        stack = Stack(
            home / "servers", parts={"kafka", "redis", "gateway"}, fast_jit=True, throw_away=True
        )
        opened.enter_context(stack)
        seats, partitions = size_of(arguments)
        seating = demo_plan(seats)
        rate = arguments.rate or max(100.0, seating.seat_count / 20)
        paying = min(1.0, PAYING_PER_S / rate)
        prepare_topics(stack.kafka_brokers, display, partitions)
        where = Servers(stack.kafka_brokers, registry.result())
        display.say(str(where))
        rebuild = opened.enter_context(rebuilding(where, home)) if arguments.rebuild else None
        settings = worker_settings(stack, stack.redis_url, rebuild)
        names = [f"worker-{number}" for number in range(1, arguments.workers + 1)]
        workers = [Worker(name, where, home, settings) for name in names]
        opened.enter_context(running(workers))
        display.say(
            f"{seating.name}: {seating.seat_count} seats in {len(seating.sections)} sections;"
            f" {rate:.0f} commands/s, {paying:.0%} pay at the gateway, seed {arguments.seed}"
        )
        # While the workers start: they find the first commands there.
        ids = schema_ids(where.registry_url, where.brokers)
        buyers = Buyers(seating, ids, where.brokers, rate=rate, seed=arguments.seed, paying=paying)
        opened.callback(buyers.close)
        history = History(EVENT_ID, STALE_AFTER_MS, sightings=buyers.sightings)
        keys = DevelopmentKeys(home / "keys")
        pod = ApiPod(where, stack.redis_url, keys.jwks, home / "pod", POD_SETTINGS)
        opened.callback(pod.finish)
        opened.callback(pod.terminate)
        web = WebBuyers(seating, pod.url, keys, history, seed=arguments.seed)
        payments = Payments(ids, where.brokers)
        opened.callback(payments.close)
        after = opened.enter_context(Issuing(where, home, WORKER_SETTINGS, display.say))
        pages = Pages(where, home, WORKER_SETTINGS, stack.redis_url, display.say)
        gateway = GatewayControl(stack.gateway.control_url, arguments.seed)
        supervisor = Supervisor(workers, display.say)
        display.say("an API pod starts, too")
        pod.start()
        open_arena(where, seating, ids, supervisor, display)
        display.begin_table()
        faults = draw_faults(random.Random(arguments.seed)) if arguments.faults else ()  # noqa: S311
        beside = (after, opened.enter_context(pages), faults, arguments.seed, rebuild)
        sale = Sale(buyers, web, supervisor, pod, payments, gateway, display, *beside)
        sale.run()
        display.end_table()
        display.say("the workers decide what is left, and leave")
        seen = KeysSeen(stack.redis_url, arguments.redis_keys)
        history.final_view = last_view(sale, where, keys, seen)
        stop(workers)
        after.stop()
        display.say("reading the whole log again, read committed")
        report, http = judged(where, stack, history)
    return finish(arguments.summary, display, sale, report, http)


def arguments_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="demo",
        description="scripts/demo --help tells more.",
    )
    parser.add_argument("--seats", type=int, help=f"about how many; {SEATS:,} by default")
    parser.add_argument(
        "--full", action="store_true", help="the whole arena, with partitions as listed"
    )
    parser.add_argument("--rate", type=float, help="commands a second; by default a sale of 30 s")
    parser.add_argument("--seed", type=int, default=1, help="of the buyers and the faults")
    parser.add_argument("--workers", type=int, default=2, help="worker processes, default 2")
    parser.add_argument("--partitions", type=int, help=f"of each topic; {PARTITIONS} by default")
    parser.add_argument("--faults", action="store_true", help="two more, drawn by the seed")
    parser.add_argument("--rebuild", action="store_true", help="write the statuses anew meanwhile")
    parser.add_argument("--waiting-room", action="store_true", help="a crowd waits for a hall")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument(
        "--redis-keys", type=Path, metavar="FILE", help="write the keys found in Redis as JSON"
    )
    arguments = parser.parse_args(argv)
    if arguments.seats is not None and not 1 <= arguments.seats <= 2_000_000:
        parser.error("--seats: 1 to 2,000,000")
    if arguments.rate is not None and not 1 <= arguments.rate <= 100_000:
        parser.error("--rate: 1 to 100,000")
    if not 1 <= arguments.workers <= 16:
        parser.error("--workers: 1 to 16")
    if arguments.partitions is not None and not 1 <= arguments.partitions <= 100:
        parser.error("--partitions: 1 to 100")
    if arguments.full and arguments.seats is not None:
        parser.error("--full is every seat: leave --seats out")
    is_other = (
        arguments.full
        or arguments.faults
        or arguments.rebuild
        or arguments.rate
        or arguments.redis_keys
    )
    if arguments.waiting_room and is_other:
        parser.error(
            "--waiting-room goes with --seats, --seed, --workers, --partitions and --summary"
        )
    if arguments.waiting_room and (arguments.seats or 0) > HALL_SEATS_MAX:
        parser.error(f"--waiting-room: {HALL_SEATS_MAX} seats at most")
    for option, path in (("--summary", arguments.summary), ("--redis-keys", arguments.redis_keys)):
        if path and not path.parent.is_dir():
            parser.error(f"{option}: there is no folder {path.parent}")
    return arguments


class Stopped(BaseException):
    """A signal asked us to end. A BaseException, so that no clean-up code takes it for its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def on_signal(number: int, _: FrameType | None) -> None:
    """Begin to end; a second signal does not interrupt the clean-up."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise Stopped(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    arguments = arguments_of(argv)
    # A shell that starts us in the background lets us ignore Ctrl-C: take it back.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    with Display() as display:
        try:
            if arguments.waiting_room:
                settings = partial(worker_settings, rebuild=None)
                return Play(arguments, display, settings, POD_SETTINGS).run()
            return run(arguments, display)
        except Stopped as stopped:
            display.end_table()
            display.say("stopped; nothing is left running")
            return 128 + stopped.number
        except (*WENT_WRONG, *NOTHING_STARTED) as error:
            display.end_table()
            display.say(f"FAILED: {error}")
            return 1 if isinstance(error, WENT_WRONG) else 3


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # librdkafka's threads have nothing left to do; do not wait for them.
    os._exit(code)
