"""An arena opens, sells out and stays correct while its workers are killed and paused.

Starts a Kafka, a schema registry and a Redis of its own, creates the topics, registers the
schemas, starts the workers, opens the arena and lets buyers in until every seat is sold: most send
commands as fast as they may, some go through an API pod over HTTP. On the way one worker is killed
(kill -9) and one is paused past its session. Then the whole log is read again and compared with an
independent model, and with every answer that HTTP has given. Nothing is left running afterwards,
whatever happens.
"""

import argparse
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, monotonic_ns, sleep
from types import FrameType
from typing import Any

from confluent_kafka.admin import AdminClient

from infra.stack import Stack, StackError, ephemeral_directory
from schemas.topics import TOPICS
from scripts.audit import as_text
from scripts.auditing.checks import Traces, audit
from scripts.auditing.http import HttpReport, audit_http, reservation_ids
from scripts.auditing.http import as_text as http_as_text
from scripts.auditing.http_history import History
from scripts.auditing.log import CannotRead, read_log
from scripts.auditing.report import Report
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import OffsetsUnknown, Rest, rest
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.contracts.registering import register
from scripts.contracts.topics import carry_out, plan
from scripts.processes.keys import DevelopmentKeys
from scripts.processes.pods import ApiPod, PodFailed
from scripts.processes.workers import Worker, WorkerFailed
from scripts.sale.arena import ARENA
from scripts.sale.buyers import EVENT_ID, Buyers
from scripts.sale.faults import draw_faults, strike
from scripts.sale.table import Display
from scripts.sale.web_buyers import BUYERS, WebBuyers
from scripts.traffic.opening import open_event
from scripts.traffic.sending import NoBroker, schema_ids
from scripts.traffic.workload import percentile
from serdes.registry.client import RegistryRefusedError, RegistryUnavailableError
from state.domain.layout import Row, Rules
from state.plans.reading import read_plan
from state.plans.seating import SeatingPlan, SectionPlan
from state.views.availability.statuses import STALE_AFTER_MS
from streams.runtime.process.fatal import EXIT_CODE as ENDED_ITSELF_CODE
from streams.settings import Settings

SESSION_TIMEOUT_S = 6.0
PAUSE_S = SESSION_TIMEOUT_S + 2
READY_TIMEOUT_S = 60.0
WAKE_TIMEOUT_S = 20.0
# When the chaos comes, as shares of the seats sold.
KILL_AT, PAUSE_AT = 0.2, 0.5
GROUP_FAULT_AT, STORE_FAULT_AT = 0.6, 0.7
# Seats that the command load leaves to HTTP until that is open, and then until the chaos is over.
KEPT_AT_FIRST, KEPT = 0.5, 0.1
# The sale ends by itself when nothing moved for so long.
STANDSTILL_S = 60.0
REST_EVERY_S = 0.2
RULES = Rules(hold_ms=8_000, max_hold_ms=20_000)
# How often one worker may do so by itself: a machine that is slow for a while stops nobody.
RESTARTS_MAX = 10
# A dozen users buy for a whole arena.
POD_SETTINGS = {
    "SEATSTREAM_API_STALE_AFTER_MS": str(STALE_AFTER_MS),
    **{
        f"SEATSTREAM_API_LIMIT_{kind}": "1000000/min"
        for kind in ("CREATE", "CANCEL", "POSITION", "OTHER", "NETWORK")
    },
}


class DemoFailed(Exception):
    """The sale did not end as it should; the message says why."""


@dataclass(slots=True)
class Story:
    """What was done to the workers, and when the sale began and ended (monotonic seconds)."""

    kills: int = 0
    pauses: int = 0
    sale_from_s: float = 0.0
    sale_to_s: float = 0.0
    first_hold_s: float | None = None


def demo_plan(seats: int | None) -> SeatingPlan:
    """Return the arena that is sold, or so many seats of it."""
    return part_of(read_plan(ARENA), seats)


def part_of(arena: SeatingPlan, seats: int | None) -> SeatingPlan:
    """Return an arena, or so many seats: whole blocks of it, and plain ones for the rest."""
    if seats is None or seats == arena.seat_count:
        return arena
    sections: list[SectionPlan] = []
    left = seats
    for section in arena.sections:
        if section.seat_count <= left:
            sections.append(section)
            left -= section.seat_count
    number = 0
    while left:
        number += 1
        size = min(left, 1_000)
        rows = [Row(str(row + 1), 25) for row in range(size // 25)]
        if size % 25:
            rows.append(Row(str(len(rows) + 1), size % 25))
        sections.append(SectionPlan(f"X{number}", f"X{number}", tuple(rows), f"X{number}"))
        left -= size
    return SeatingPlan(f"{arena.name}, {seats} seats", tuple(sections), {})


class Sale:
    """The sale, step by step: buyers buy while things happen to the workers."""

    def __init__(
        self,
        buyers: Buyers,
        web: WebBuyers,
        workers: Sequence[Worker],
        pod: ApiPod,
        display: Display,
        faults: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.faults = faults
        self._draw = random.Random(seed)  # noqa: S311 - seeded
        self.buyers = buyers
        self.web = web
        self.workers = workers
        self.pod = pod
        self.display = display
        self.story = Story()
        self._moved = (-1, -1, monotonic())
        self._restarts: Counter[str] = Counter()
        # Workers that somebody ended and will start again.
        self._away: set[str] = set()

    def run(self) -> None:
        """Sell everything; raises DemoFailed, WorkerFailed, PodFailed."""
        buyers, story = self.buyers, self.story
        story.sale_from_s = monotonic()
        buyers.keep_free = int(KEPT_AT_FIRST * buyers.plan.seat_count)
        buyers.start()
        self.until(lambda: buyers.holds > 0 or buyers.sold > 0)
        story.first_hold_s = self.display.elapsed_s
        self.display.say(f"first reservation held {story.first_hold_s:.1f} s after the start")
        self.open_web()
        self.sell_to(KILL_AT)
        self.kill(self.workers[0])
        self.sell_to(PAUSE_AT)
        self.pause(self.workers[-1])
        for share, fault in zip((GROUP_FAULT_AT, STORE_FAULT_AT), self.faults, strict=False):
            self.sell_to(share)
            self.say(f"fault: {fault}")
            strike(fault, self, self._draw)
        buyers.keep_free = 0
        self.until(lambda: buyers.is_sold_out and not buyers.waiting)
        story.sale_to_s = monotonic()
        self.display.show(buyers, self.web, now=True)
        self.display.say("sold out")
        self.web.close()
        self.until(lambda: not self.web.is_open and not buyers.waiting)

    def open_web(self) -> None:
        """Start the pod beside the sale, and let buyers in who use it; raises PodFailed."""
        self.display.say("an API pod starts")
        self.pod.start()
        self.until_ready("the pod", self.pod)
        self.web.start()
        self.buyers.keep_free = int(KEPT * self.buyers.plan.seat_count)
        self.display.say(f"{BUYERS} buyers use it")

    def sell_to(self, share: float) -> None:
        """Sell until this share of the seats is sold."""
        seats = share * self.buyers.plan.seat_count
        self.until(lambda: self.buyers.sold >= seats)

    def kill(self, worker: Worker) -> None:
        """End a worker as a crash would, and start it again."""
        self.end(worker)
        self.for_seconds(1.0)
        self.display.say(f"{worker.name} starts again on the stores that it left behind")
        self.again(worker)

    # What faults are made of.

    def say(self, text: str) -> None:
        """Print one line about what happens."""
        self.display.say(text)

    def end(self, worker: Worker) -> None:
        """End a worker as a crash would."""
        self.display.say(f"kill -9 {worker.name}; its partitions go to another worker")
        worker.kill()
        self._away.add(worker.name)
        self.story.kills += 1

    def leave(self, worker: Worker) -> None:
        """Let a worker finish its transaction and leave."""
        self.display.say(f"{worker.name} is asked to leave")
        self._away.add(worker.name)
        worker.terminate()
        end = monotonic() + READY_TIMEOUT_S
        self.until(lambda: worker.exit_code() is not None or monotonic() > end)
        worker.finish()

    def again(self, worker: Worker) -> None:
        """Start a worker that has ended, and sell until it is ready."""
        worker.start()
        self._away.discard(worker.name)
        self.until_ready(worker.name, worker)

    def pause(self, worker: Worker) -> None:
        """Freeze a worker past its session, wake it, see that it ends itself; start it again."""
        self.display.say(
            f"{worker.name} is frozen for {PAUSE_S:.0f} s; its session ends after"
            f" {SESSION_TIMEOUT_S:.0f} s"
        )
        worker.pause()
        self.story.pauses += 1
        self.for_seconds(PAUSE_S)
        self.display.say(f"{worker.name} wakes up and must notice that it is too late")
        worker.wake()
        end = monotonic() + WAKE_TIMEOUT_S
        self.until(lambda: worker.exit_code() is not None or monotonic() > end, watched=False)
        code = worker.exit_code()
        if code is None:
            raise DemoFailed(f"{worker.name} went on after its session had ended")
        self.display.say(f"{worker.name} ended itself (exit code {code}) and starts again")
        worker.start()
        self.until_ready(worker.name, worker)

    def until_ready(self, name: str, process: Worker | ApiPod) -> None:
        """Sell until a process is ready; raises WorkerFailed."""
        end = monotonic() + READY_TIMEOUT_S
        asked = 0.0

        def is_ready() -> bool:
            nonlocal asked
            if monotonic() > end:
                raise WorkerFailed(f"{name} is not ready in time:\n{process.log()}")
            # Asking is an HTTP request: not at every step.
            if monotonic() - asked < 0.2:
                return False
            asked = monotonic()
            return process.is_ready()

        self.until(is_ready)
        self.display.say(f"{name} is ready")

    def for_seconds(self, seconds: float) -> None:
        """Sell for a while."""
        end = monotonic() + seconds
        self.until(lambda: monotonic() > end, watched=False)

    def until(self, condition: Callable[[], bool], *, watched: bool = True) -> None:
        """Let buyers buy until something is so.

        watched: a worker that ends is a failure.
        """
        while not condition():
            self.buyers.step()
            self.web.is_last_call = self.buyers.is_last_call
            self.display.show(self.buyers, self.web)
            if self.buyers.failed:
                raise DemoFailed(f"the broker did not take a command: {self.buyers.failed[0]}")
            if watched:
                self.revive()
            self.check_pod()
            self.check_progress()

    def revive(self) -> None:
        """Start workers again that ended themselves; raise WorkerFailed for any other end.

        A worker whose loop stood still for too long, as on a busy machine, must not go on; who
        runs workers starts it again, and so do we.
        """
        for worker in self.workers:
            if worker.name in self._away:
                continue
            again = self._restarts[worker.name] < RESTARTS_MAX
            if worker.exit_code() != ENDED_ITSELF_CODE or not again:
                check([worker])
                continue
            self._restarts[worker.name] += 1
            self.display.say(f"{worker.name} ended itself, for it was slow; it starts again")
            worker.start()

    def until_at_rest(self, where: Servers) -> Rest:
        """Wait until every command is decided, or nothing moves any more; return where all is."""
        before, since = None, monotonic()
        while True:
            now = rest(where, Settings().app_id)
            if not now.behind:
                return now
            if now != before:
                before, since = now, monotonic()
            elif monotonic() - since > STANDSTILL_S:
                self.display.say(f"not at rest, (committed, end) by partition: {now.behind}")
                return now
            self.revive()
            sleep(REST_EVERY_S)

    def last_view(self, where: Servers, token: str) -> bytes:
        """Return the pod's view of the end, end the pod, and see that the end was it.

        What the pod still had to append, such as a request that was sent twice, comes later than
        the view: then it is asked again.
        """
        while True:
            end = self.until_at_rest(where)
            view = self.pod.view_after(monotonic_ns(), EVENT_ID, token, STANDSTILL_S)
            self.pod.terminate()
            self.pod.finish()
            if self.until_at_rest(where) == end or end.behind:
                return view
            self.pod.start()

    def check_pod(self) -> None:
        """Raise PodFailed when it has ended; whatever ended the buyers before it."""
        if self.pod.exit_code() is not None:
            code = self.pod.exit_code()
            raise PodFailed(f"the pod ended with exit code {code}:\n{self.pod.log()}")
        if self.web.failure is not None:
            raise self.web.failure

    def check_progress(self) -> None:
        """Raise DemoFailed when nothing has moved for too long."""
        outcomes, sold, since = self._moved
        buyers = self.buyers
        if (buyers.outcomes + buyers.lapses, buyers.sold) != (outcomes, sold):
            self._moved = (buyers.outcomes + buyers.lapses, buyers.sold, monotonic())
        elif monotonic() - since > STANDSTILL_S:
            logs = "\n".join(f"{worker.name}:\n{worker.log()}" for worker in self.workers)
            raise DemoFailed(
                f"nothing moved for {STANDSTILL_S:.0f} s: {buyers.waiting} commands wait,"
                f" free {buyers.free}, held {buyers.held}\n{logs}"
            )


def check(workers: Sequence[Worker]) -> None:
    """Raise WorkerFailed when a worker has ended that nobody ended."""
    for worker in workers:
        if worker.exit_code() is not None:
            raise WorkerFailed(
                f"{worker.name} ended with exit code {worker.exit_code()}:\n{worker.log()}"
            )


def prepare_topics(brokers: str, display: Display) -> None:
    """Create the topics."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    steps = plan(TOPICS, {})
    carry_out(admin, steps)
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


@contextmanager
def announced(display: Display) -> Iterator[None]:
    """Say at once that we end: what follows takes seconds."""
    try:
        yield
    except Stopped:
        display.end_table()
        display.say("stopping: the workers finish what they have begun, the servers end")
        raise


def run(arguments: argparse.Namespace, display: Display) -> int:
    """Run the demo; return the exit code."""
    display.say("starting Kafka, the schema registry and Redis")
    with ExitStack() as opened, announced(display):
        home = opened.enter_context(ephemeral_directory("demo"))
        # The two that take long start at the same time, and we read the plan meanwhile.
        registry = opened.enter_context(registry_beside(home / "registry"))
        stack = Stack(home / "servers", parts={"kafka", "redis"}, fast_jit=True, throw_away=True)
        opened.enter_context(stack)
        seating = demo_plan(arguments.seats)
        rate = arguments.rate or max(100.0, seating.seat_count / 20)
        prepare_topics(stack.kafka_brokers, display)
        where = Servers(stack.kafka_brokers, registry.result())
        display.say(f"Kafka at {where.brokers}, registry at {where.registry_url}")
        settings = {"SEATSTREAM_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S)}
        workers = [
            Worker(f"worker-{number}", where, home, settings)
            for number in range(1, arguments.workers + 1)
        ]
        opened.enter_context(running(workers))
        display.say(
            f"{seating.name}: {seating.seat_count} seats in {len(seating.sections)} sections;"
            f" {rate:.0f} commands/s, seed {arguments.seed}"
        )
        # While the workers start: they find the first commands there.
        ids = schema_ids(where.registry_url, where.brokers)
        buyers = Buyers(seating, ids, where.brokers, rate=rate, seed=arguments.seed)
        opened.callback(buyers.close)
        history = History(EVENT_ID, STALE_AFTER_MS, sightings=buyers.sightings)
        keys = DevelopmentKeys(home / "keys")
        pod = ApiPod(where, stack.redis_url, keys.jwks, home / "pod", POD_SETTINGS)
        opened.callback(pod.finish)
        opened.callback(pod.terminate)
        web = WebBuyers(seating, pod.url, keys, history, buyers.pay, seed=arguments.seed)
        opening = open_event(
            where,
            seating,
            EVENT_ID,
            RULES,
            ids=ids,
            timeout_s=READY_TIMEOUT_S,
            progress=lambda _opened, _all: check(workers),
        )
        if opening.opened < len(seating.sections):
            raise DemoFailed(f"sections not open: {opening.refused or opening.missing}")
        for worker in workers:
            worker.wait_until_ready(READY_TIMEOUT_S)
        display.say(f"{len(workers)} workers ready")
        display.say(f"{opening.opened} sections open; the sale begins")
        display.begin_table()
        faults = draw_faults(random.Random(arguments.seed)) if arguments.faults else ()  # noqa: S311
        sale = Sale(buyers, web, workers, pod, display, faults, arguments.seed)
        sale.run()
        display.end_table()
        display.say("the workers decide what is left, and leave")
        history.final_view = sale.last_view(where, keys.token("auditor"))
        stop(workers)
        display.say("reading the whole log again, read committed")
        log = read_log(where)
        traces = Traces(reservation_ids(history, log.partitions))
        report = audit(log, traces=traces)
        http = audit_http(history, traces, log.partitions)
    return finish(arguments, display, sale, report, http)


def finish(
    arguments: argparse.Namespace,
    display: Display,
    sale: Sale,
    report: Report,
    http: HttpReport,
) -> int:
    """Print verdict and figures; return the exit code."""
    buyers, story = sale.buyers, sale.story
    latencies = sorted(buyers.latencies_ms)
    sale_s = story.sale_to_s - story.sale_from_s
    answers = report.outcomes - report.lapses
    summary: dict[str, Any] = {
        "commands": report.commands,
        "outcomes": answers,
        "duplicate_outcomes": report.repeated,
        "seats": report.seats,
        "sold": report.sold,
        "held": report.held,
        "free": report.free,
        "sold_twice": report.sold_twice,
        "lost": report.lost,
        "status_mismatches": report.status_mismatches,
        "kills": story.kills,
        "pauses": story.pauses,
        "wall_s": round(display.elapsed_s, 1),
        "decisions_per_s": round(report.outcomes / sale_s, 1),
        "p50_ms": round(percentile(latencies, 0.5), 1),
        "p99_ms": round(percentile(latencies, 0.99), 1),
        "http_requests": http.requests,
        "http_ok": http.ok,
        "http_refused": http.refused,
        "http_pending": http.pending,
        "http_disagreements": len(http.disagreements),
        "http_wrong_refusals": http.wrong_refusals,
        "http_stale_answers": http.stale_answers,
        "http_p50_ms": round(percentile(http.latencies_ms, 0.5), 1),
        "http_p99_ms": round(percentile(http.latencies_ms, 0.99), 1),
        "view_mismatches": http.view_mismatches,
    }
    if sale.faults:
        summary["faults"] = list(sale.faults)
    for line in (*as_text(report), *http_as_text(http)):
        display.say(line)
    display.say(
        f"{answers} answers to {report.commands} commands, and {report.lapses} holds lapsed;"
        f" {story.kills} kill, {story.pauses} pause"
    )
    display.say(
        f"{summary['decisions_per_s']:.0f} decisions/s over {sale_s:.1f} s; produce to committed"
        f" outcome p50 {summary['p50_ms']} ms, p99 {summary['p99_ms']} ms, outages included"
    )
    display.say(
        f"HTTP p50 {summary['http_p50_ms']} ms, p99 {summary['http_p99_ms']} ms, outages included"
    )
    if arguments.summary:
        arguments.summary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    if report.verdict == "not at rest":
        display.say("NOT AT REST: nothing is wrong so far, but commands wait to be decided")
        return 2
    sold_out = report.sold == report.seats == buyers.plan.seat_count
    exact = report.is_exact and http.is_exact and sold_out and answers == report.commands
    display.say(
        "EXACT: nothing lost, nothing doubled, nothing told that was not so"
        if exact
        else "NOT EXACT, see above"
    )
    return 0 if exact else 1


def arguments_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="demo",
        description="scripts/demo --help tells more.",
    )
    parser.add_argument("--seats", type=int, help="about how many; the whole arena by default")
    parser.add_argument("--rate", type=float, help="commands a second; by default a sale of 30 s")
    parser.add_argument("--seed", type=int, default=1, help="of the buyers and the faults")
    parser.add_argument("--workers", type=int, default=2, help="worker processes, default 2")
    parser.add_argument("--faults", action="store_true", help="two more, drawn by the seed")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the figures as JSON")
    arguments = parser.parse_args(argv)
    if arguments.seats is not None and not 1 <= arguments.seats <= 2_000_000:
        parser.error("--seats: 1 to 2,000,000")
    if arguments.rate is not None and not 1 <= arguments.rate <= 100_000:
        parser.error("--rate: 1 to 100,000")
    if not 1 <= arguments.workers <= 16:
        parser.error("--workers: 1 to 16")
    if arguments.summary and not arguments.summary.parent.is_dir():
        parser.error(f"--summary: there is no folder {arguments.summary.parent}")
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
            return run(arguments, display)
        except Stopped as stopped:
            display.end_table()
            display.say("stopped; nothing is left running")
            return 128 + stopped.number
        except (DemoFailed, CannotRead, OffsetsUnknown) as error:
            display.end_table()
            display.say(f"FAILED: {error}")
            return 1
        except (WorkerFailed, PodFailed) as error:
            display.end_table()
            display.say(f"FAILED: {error}")
            return 1
        except (StackError, NoBroker, RegistryUnavailableError, RegistryRefusedError) as error:
            display.end_table()
            display.say(f"FAILED: {error}")
            return 3


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # librdkafka's threads have nothing left to do; do not wait for them.
    os._exit(code)
