"""The sale of the demo, step by step: buyers buy while things happen to the workers."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, monotonic_ns, sleep

from schemas.topics import (
    CART_COMMANDS,
    PAYMENT_COMMANDS,
    SEAT_UNLOCK,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.auditing.locks.reading import read_locks
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import Place, ends_of, rest
from scripts.processes.pods import ApiPod, PodFailed
from scripts.processes.workers import Supervisor, Worker, WorkerFailed
from scripts.sale.buyers import EVENT_ID, Buyers
from scripts.sale.faults import strike
from scripts.sale.gateway import OUTAGE_S, GatewayControl
from scripts.sale.issuing import Issuing
from scripts.sale.pages import Pages
from scripts.sale.payments import Payments
from scripts.sale.rebuild import Rebuild
from scripts.sale.table import Display
from scripts.sale.web.buyers import BUYERS, WebBuyers
from streams.settings import Settings

SESSION_TIMEOUT_S = 6.0
PAUSE_S = SESSION_TIMEOUT_S + 2
READY_TIMEOUT_S = 60.0
WAKE_TIMEOUT_S = 20.0
# When the chaos comes, as shares of the seats sold. Whoever asks the gateway is killed while it is
# away, with its questions open.
OUTAGE_AT, KILL_AT, PAUSE_AT = 0.2, 0.3, 0.45
GROUP_FAULT_AT, STORE_FAULT_AT = 0.6, 0.7
# Seats that the command load leaves to HTTP until that is open, and then until the chaos is over.
KEPT_AT_FIRST, KEPT = 0.5, 0.1
# The sale ends by itself when nothing moved for so long; a refund may rest for 60 s between tries.
STANDSTILL_S = 120.0
REST_EVERY_S = 0.2
# By then a lock is gone whose word was lost: it lasts half a minute longer than its hold.
UNLOCKED_S = 60.0
# What workers read, and do something about.
OF_WORKERS = (SECTION_COMMANDS, PAYMENT_COMMANDS, CART_COMMANDS, SEAT_UNLOCK)
OPEN_INTENTS = "seatstream_open_intents"


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


@dataclass(eq=False)
class Sale:
    """The sale, step by step: buyers buy while things happen to the workers."""

    buyers: Buyers
    web: WebBuyers
    supervisor: Supervisor
    pod: ApiPod
    payments: Payments
    gateway: GatewayControl
    display: Display
    issuing: Issuing
    pages: Pages
    faults: Sequence[str] = ()
    seed: int = 0
    rebuild: Rebuild | None = None

    def __post_init__(self) -> None:
        self.workers = self.supervisor.workers
        self.story = Story()
        self._draw = random.Random(self.seed)  # noqa: S311 - seeded
        self._moved: tuple[tuple[int, ...], float] = ((), monotonic())
        self._outage_to_s: float | None = None

    def run(self) -> None:
        """Sell everything; raises DemoFailed, WorkerFailed, PodFailed."""
        buyers, story = self.buyers, self.story
        story.sale_from_s = monotonic()
        self.gateway.misbehave()
        buyers.keep_free = int(KEPT_AT_FIRST * buyers.plan.seat_count)
        buyers.start()
        self.until(lambda: buyers.holds > 0 or buyers.sold > 0)
        story.first_hold_s = self.display.elapsed_s
        self.display.say(f"first reservation held {story.first_hold_s:.1f} s after the start")
        self.open_web()
        self.sell_to(OUTAGE_AT)
        self.break_down()
        self.sell_to(KILL_AT)
        if self.rebuild is not None:
            self.say("section-status is written anew beside all that comes next")
            self.rebuild.start()
        self.kill(self.payer())
        if self.rebuild is not None:
            self.say("kill -9 the rebuild, which goes on when it starts again")
            self.rebuild.kill()
            self.rebuild.start()
        self.sell_to(PAUSE_AT)
        self.issuing.kill()
        story.kills += 1
        self.pause(self.workers[-1])
        if not self.faults:
            # Nothing more comes, and what was kept for HTTP is for everybody.
            buyers.keep_free = 0
        self.until_ready(self.workers[-1].name, self.workers[-1])
        for share, fault in zip((GROUP_FAULT_AT, STORE_FAULT_AT), self.faults, strict=False):
            self.sell_to(share)
            self.say(f"fault: {fault}")
            strike(fault, self, self._draw)
        buyers.keep_free = 0
        self.until(lambda: buyers.is_sold_out and not buyers.waiting)
        story.sale_to_s = monotonic()
        self.display.show(buyers, self.web, now=True)
        self.display.say("sold out")
        if self.rebuild is not None:
            self.until(self.rebuild.has_ended)
            self.say(f"section-status is written anew: {self.rebuild.figures}")
        self.web.close()
        self.until(
            lambda: (
                not self.web.is_open
                and not buyers.waiting
                # What was given back is sold again.
                and buyers.refunds >= self.payments.returned
                and buyers.is_sold_out
                and not self.payments.under_way
            )
        )

    def open_web(self) -> None:
        """Let buyers in who use the pod, once it is ready; raises PodFailed."""
        self.until_ready("the pod", self.pod)
        self.gateway.tell_of_decisions(self.pod.url)
        self.issuing.start()
        self.web.start()
        self.buyers.keep_free = int(KEPT * self.buyers.plan.seat_count)
        self.display.say(f"{BUYERS} buyers use it")

    def sell_to(self, share: float) -> None:
        """Sell until this share of the seats is sold."""
        seats = share * self.buyers.plan.seat_count
        self.until(lambda: self.buyers.sold >= seats)

    def break_down(self) -> None:
        """Let the gateway be away for a while, beside all that comes next."""
        self.say(f"the payment gateway is away for {OUTAGE_S:.0f} s")
        self.gateway.break_down()
        self._outage_to_s = monotonic() + OUTAGE_S

    def payer(self) -> Worker:
        """Return the worker that has the most to ask the gateway now."""
        return max(self.workers, key=lambda one: one.metric(OPEN_INTENTS) or 0)

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
        self.supervisor.away.add(worker.name)
        self.story.kills += 1

    def leave(self, worker: Worker) -> None:
        """Let a worker finish its transaction and leave."""
        self.display.say(f"{worker.name} is asked to leave")
        self.supervisor.away.add(worker.name)
        worker.terminate()
        end = monotonic() + READY_TIMEOUT_S
        self.until(lambda: worker.exit_code() is not None or monotonic() > end)
        worker.finish()

    def again(self, worker: Worker) -> None:
        """Start a worker that has ended, and sell until it is ready."""
        worker.start()
        self.supervisor.away.discard(worker.name)
        self.until_ready(worker.name, worker)

    def pause(self, worker: Worker) -> None:
        """Freeze a worker past its session, wake it, see that it ends itself; start it again.

        It is not ready then.
        """
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
            self.payments.read()
            self.web.shop.is_last_call = self.buyers.is_last_call
            # Later than the outage: a refund that fails rests for half a minute at the least.
            self.web.shop.may_return = (
                self._outage_to_s is not None and monotonic() > self._outage_to_s
            )
            self.display.show(self.buyers, self.web)
            if self.buyers.failed:
                raise DemoFailed(f"the broker did not take a command: {self.buyers.failed[0]}")
            if watched:
                self.supervisor.revive()
                self.issuing.revive()
            self.check_pod()
            self.check_progress()

    def until_at_rest(self, where: Servers) -> bool:
        """Wait until all is decided; return False where a partition does not move any more."""
        since: dict[tuple[Place, int], float] = {}
        while True:
            behind = rest(where, Settings().app_id, OF_WORKERS).behind
            if not behind:
                return True
            # Each by itself: ticks move the others for ever.
            now_s = monotonic()
            places = [(place, committed) for place, (committed, _) in behind.items()]
            since = {place: since.get(place, now_s) for place in places}
            if now_s - min(since.values()) > STANDSTILL_S:
                self.display.say(f"not at rest, (committed, end) by partition: {behind}")
                return False
            self.supervisor.revive()
            sleep(REST_EVERY_S)

    def until_over(self, where: Servers, redis_url: str) -> None:
        """Wait until nothing is left to decide, ask, issue, forget or unlock; not for ever."""
        self.until_settled(where)
        self.issuing.until_done()
        self.pages.keep()
        self.issuing.leave()
        self.until_unlocked(redis_url)
        self.pages.until_forgotten()

    def until_settled(self, where: Servers) -> None:
        """Wait until nobody has anything to decide, nor to ask a gateway; but not for ever."""
        end_s = monotonic() + STANDSTILL_S
        left = self.open_intents()
        while self.until_at_rest(where) and monotonic() < end_s:
            # What was decided last may have led to a question.
            before, left = left, self.open_intents()
            if before == left == 0:
                return
            self.supervisor.revive()
            sleep(REST_EVERY_S)
        self.display.say(f"not settled, open intents: {left}")

    def until_unlocked(self, redis_url: str) -> None:
        """Wait until no seat is locked any more; but not for ever."""
        end_s = monotonic() + UNLOCKED_S
        while (locks := len(read_locks(redis_url))) and monotonic() < end_s:
            self.supervisor.revive()
            sleep(REST_EVERY_S)
        if locks:
            self.display.say(f"{locks} seats are locked still")

    def open_intents(self) -> int | None:
        """Return how many questions to gateways are open; None where a worker does not tell."""
        counts = [one.metric(OPEN_INTENTS) for one in self.workers]
        return None if None in counts else int(sum(count or 0 for count in counts))

    def last_view(self, where: Servers, token: str) -> bytes:
        """Return the pod's view of the end, end the pod, and see that the end was it.

        What the pod still had to append, such as a request that was sent twice, may come later
        than the view. If it has changed a section, the view is asked for again; from then on
        nobody asks the pod for anything.
        """
        while True:
            is_at_rest = self.until_at_rest(where)
            before = ends_of(where, SECTION_STATUS)
            view = self.pod.view_after(monotonic_ns(), EVENT_ID, token, STANDSTILL_S)
            self.pod.terminate()
            self.pod.finish()
            is_at_rest = self.until_at_rest(where) and is_at_rest
            if not is_at_rest or ends_of(where, SECTION_STATUS) == before:
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
        before, since = self._moved
        buyers = self.buyers
        now = buyers.outcomes + buyers.lapses, buyers.sold, self.payments.under_way
        is_rebuilding = self.rebuild is not None and not self.rebuild.has_ended()
        # A rebuild ends by itself, and on a slow machine long after the last seat is sold.
        if now != before or is_rebuilding:
            self._moved = now, monotonic()
        elif monotonic() - since > STANDSTILL_S:
            logs = "\n".join(f"{worker.name}:\n{worker.log()}" for worker in self.workers)
            raise DemoFailed(
                f"nothing moved for {STANDSTILL_S:.0f} s: {buyers.waiting} commands wait,"
                f" free {buyers.free}, held {buyers.held},"
                f" payments under way {self.payments.under_way}\n{logs}"
            )
