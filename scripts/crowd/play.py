"""The demo of a waiting room: a crowd of ten times the seats, while who lets it in dies.

Two pods and two workers; the hall's sale demands admission. On the way the pod that lets people in
is killed (kill -9) and comes back, and so is Redis, which is away for longer than anybody is
waited for.
"""

import argparse
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, Final

from redis import Redis

from infra.stack import Stack, ephemeral_directory
from infra.stack.loopback import OPENER
from infra.stack.redis_server import RedisServer
from scripts.auditing.checks import audit
from scripts.auditing.log import nothing_is_garbage, read_log
from scripts.auditing.report import Report, as_text
from scripts.auditing.waiting.reading import read_rooms
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import rest
from scripts.crowd.crowd import ENTER_WITHIN_S, SEATS_MAX, Crowd, Sale
from scripts.crowd.fairness import Fairness, judge
from scripts.processes.admission_key import write_with_new_key
from scripts.processes.keys import DevelopmentKeys
from scripts.processes.pods import ASK_EVERY_S, ApiPod
from scripts.processes.started import metric_at
from scripts.processes.workers import Supervisor, Worker
from scripts.sale.sale import (
    OF_WORKERS,
    OPEN_INTENTS,
    READY_TIMEOUT_S,
    DemoFailed,
)
from scripts.sale.setting_up import prepare_topics, registry_beside, running, stop
from scripts.sale.table import Display
from state.domain.waiting.admission import STALE_MS
from state.domain.waiting.line import Turn
from state.redis.keys import waiting_room
from streams.settings import Settings

EVENT_ID: Final = 7
SECTION: Final = "A"
SEATS: Final = 100
ROW: Final = 20
HALL_SEATS_MAX: Final = 1_000
CROWD: Final = 10
"""Users for each seat."""

SEATS_FOR_EACH: Final = 10
"""Of all seats, for each user that is in at once."""

PODS: Final = 2
PROMOTING: Final = "seatstream_api_promoting"
AWAY_S: Final = STALE_MS / 1_000 + 5
BOUND_S: Final = 600.0


class Play:
    """The demo, from its servers to its verdict; each step leaves what the next ones need."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        display: Display,
        worker_settings: Callable[[Stack, str], dict[str, str]],
        pod_settings: Mapping[str, str],
    ) -> None:
        self._display = display
        # Whole rows.
        self._seats = max(1, (arguments.seats or SEATS) // ROW) * ROW
        self._arguments = arguments
        self._worker_settings = worker_settings
        self._pod_settings = pod_settings

    def run(self) -> int:
        """Run it; return the exit code. Raises as the demo does."""
        say = self._display.say
        say("starting Kafka, the schema registry, Redis and a payment gateway")
        with ExitStack() as opened:
            home = opened.enter_context(ephemeral_directory("demo"))
            registry = opened.enter_context(registry_beside(home / "registry"))
            parts = {"kafka", "gateway"}
            stack = Stack(home / "servers", parts=parts, fast_jit=True, throw_away=True)
            opened.enter_context(stack)
            self._redis = RedisServer(home / "redis")
            opened.callback(self._redis.kill)
            self._redis.begin()
            self._redis.wait()
            prepare_topics(stack.kafka_brokers, self._display, self._arguments.partitions)
            where = Servers(stack.kafka_brokers, registry.result())
            say(str(where))
            settings = self._worker_settings(stack, self._redis.url)
            count = self._arguments.workers
            workers = [Worker(f"worker-{at}", where, home, settings) for at in range(1, count + 1)]
            opened.enter_context(running(workers))
            self._supervisor = Supervisor(workers, say)
            self._supervisor.wait_until_ready(READY_TIMEOUT_S)
            self._keys = DevelopmentKeys(home / "keys")
            self._start_pods(where, home, opened)
            self._open()
            crowd = self._let_in(opened)
            self._until_at_rest(where)
            for pod in self._pods:
                pod.terminate()
            for pod in self._pods:
                pod.finish()
            stop(workers)
            fairness = judge(crowd.stories, self._promoted(), self._waiting())
            say("reading the whole log again, read committed")
            with nothing_is_garbage():
                ledger = stack.gateway.ledger
                report = audit(read_log(where, ledger=ledger, redis_url=self._redis.url))
        return self._finish(crowd, fairness, report)

    # --- before ------------------------------------------------------------------------------

    def _start_pods(self, where: Servers, home: Path, opened: ExitStack) -> None:
        keys = home / "admission-keys.json"
        write_with_new_key(keys, 0)
        settings = {**self._pod_settings, "SEATSTREAM_API_ADMISSION_KEYS": str(keys)}
        self._pods = [
            ApiPod(where, self._redis.url, self._keys.jwks, home / f"pod-{at}", settings)
            for at in range(PODS)
        ]
        for pod in self._pods:
            opened.callback(pod.finish)
            opened.callback(pod.terminate)
            pod.start()
        self._until("the pods are ready", lambda: all(pod.is_ready() for pod in self._pods))

    def _open(self) -> None:
        """Open the hall, whose sale demands admission, and its waiting room."""
        section = {"section": SECTION, "rows": self._seats // ROW, "seats": ROW, "category": "all"}
        plan = {
            "event": "Hall",
            "sections": [section],
            "currency": "EUR",
            "prices": {"all": 4_500},
        }
        opening = {
            "event_id": EVENT_ID,
            "name": "A concert that many want",
            "starts_at_ms": int(time() * 1_000) + 86_400_000,
            "plan": plan,
            "admission_required": True,
        }
        self._until("the hall is open", lambda: self._tells("/v1/events", opening))
        cap = max(2, self._seats // SEATS_FOR_EACH)
        room = {"state": "open", "cap": cap}
        path = f"/v1/events/{EVENT_ID}/waiting-room/state"
        self._until("its waiting room is", lambda: self._tells(path, room))
        self._display.say(f"at most {cap} are in at once")

    def _tells(self, path: str, body: Mapping[str, Any]) -> bool:
        """Tell a pod something as an operator; say whether it is done."""
        token = self._keys.token("operator", ("operator",))
        request = urllib.request.Request(  # noqa: S310 - loopback HTTP
            self._pods[0].url + path,
            json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                "Idempotency-Key": "demo",
            },
        )
        try:
            with OPENER.open(request, timeout=30) as answer:
                return answer.status in {200, 201}
        except urllib.error.HTTPError as refused:
            refused.close()
            if refused.code not in {404, 429, 503}:
                raise DemoFailed(f"{path}: {refused}") from refused
            return False

    # --- the sale ----------------------------------------------------------------------------

    def _let_in(self, opened: ExitStack) -> Crowd:
        """Let the crowd come and buy, and end what lets it in; return it once all is sold."""
        say, pods = self._display.say, tuple(pod.url for pod in self._pods)
        users = [f"user-{at}" for at in range(CROWD * self._seats)]
        crowd = Crowd(Sale(EVENT_ID, SECTION, pods), users, self._keys, seed=self._arguments.seed)
        opened.callback(crowd.close)
        crowd.start()
        say(f"{len(users)} users come for {self._seats} seats, within {ENTER_WITHIN_S:.0f} s")

        def sold(share: float) -> bool:
            held = sum(story.is_served for story in crowd.stories.values())
            return held >= share * self._seats / SEATS_MAX or not crowd.is_open

        self._until("the first have bought", lambda: sold(0.1), crowd)
        promoter = self._promoter()
        say("kill -9 the pod that lets people in; another does, and it starts again")
        promoter.kill()
        promoter.start()
        self._until("it is ready again", promoter.is_ready, crowd)
        self._until("more have bought", lambda: sold(0.3), crowd)
        say(f"kill -9 Redis, which stays away for {AWAY_S:.0f} s: everybody holds the position")
        self._redis.kill()
        back_s = monotonic() + AWAY_S
        self._until("Redis starts again, with its file", lambda: monotonic() > back_s, crowd)
        self._redis.restart()
        self._redis.wait()
        self._until("the crowd knows how it has ended", lambda: not crowd.is_open, crowd)
        return crowd

    def _promoter(self) -> ApiPod:
        """Return the pod that lets people in."""
        found: list[ApiPod] = []

        def is_found() -> bool:
            found[:] = [pod for pod in self._pods if metric_at(pod.url, PROMOTING)]
            return bool(found)

        self._until("a pod lets people in", is_found)
        return found[0]

    def _until(self, what: str, condition: Callable[[], bool], crowd: Crowd | None = None) -> None:
        """Wait for something, and say so; raises DemoFailed where it does not come."""
        end_s = monotonic() + BOUND_S
        while not condition():
            self._supervisor.revive()
            if crowd is not None and crowd.failure is not None:
                raise crowd.failure
            if monotonic() > end_s:
                logs = "\n".join(pod.log() for pod in self._pods)
                raise DemoFailed(f"in {BOUND_S:.0f} s it was not so that {what}\n{logs}")
            sleep(ASK_EVERY_S)
        self._display.say(what)

    # --- after -------------------------------------------------------------------------------

    def _until_at_rest(self, where: Servers) -> None:
        def is_at_rest() -> bool:
            if rest(where, Settings().app_id, OF_WORKERS).behind:
                return False
            counts = [worker.metric(OPEN_INTENTS) for worker in self._supervisor.workers]
            return None not in counts and not any(counts)

        self._until("the workers have decided all", is_at_rest)

    def _promoted(self) -> list[Turn]:
        """Return who was let in, in the order in which they were."""
        with Redis.from_url(self._redis.url) as redis:
            entries: Any = redis.xrange(waiting_room(EVENT_ID)[6])
        return [Turn(entry[b"user"].decode(), int(entry[b"turn"])) for _, entry in entries]

    def _waiting(self) -> Mapping[str, int]:
        [room] = read_rooms(self._redis.url)
        return room.waiting

    def _finish(self, crowd: Crowd, fairness: Fairness, report: Report) -> int:
        """Print verdict and figures, write them to a file if asked; return the exit code."""
        say, summary = self._display.say, self._arguments.summary
        figures = {
            "seats": report.seats,
            "sold": report.sold,
            "sold_twice": report.sold_twice,
            "charged_twice": report.charged_twice,
            "buyers": sum(story.sold for story in crowd.stories.values()),
            "waiting": report.waiting,
            **fairness.figures,
            "violations": len(report.violations),
            "wall_s": round(self._display.elapsed_s, 1),
        }
        for line in (*as_text(report), *(f"{name} {value}" for name, value in figures.items())):
            say(line)
        if summary:
            summary.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        if report.verdict == "not at rest":
            say("NOT AT REST: nothing is wrong so far, but commands wait to be decided")
            return 2
        is_sold_out = report.sold == report.seats == self._seats
        is_exact = report.is_exact and fairness.is_fair and is_sold_out
        say(
            "EXACT AND FAIR: all sold, nobody let in twice, overtaken or lost in the line"
            if is_exact
            else "NOT EXACT OR NOT FAIR, see above"
        )
        return 0 if is_exact else 1
