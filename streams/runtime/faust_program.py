"""What of Faust's own program a worker leaves out or sets: web server, spinner, loops, options."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from typing import Any

import faust
import uvloop
from faust.app.base import BootStrategy

from infra.process.log_lines import configuration
from streams.runtime.transport import credentials_of
from streams.settings import Settings


class WithoutWeb(BootStrategy):
    """Starts Faust's services except its web server and its producer.

    `faust worker` turns the web server on by default; the server would listen on every interface,
    and on the same port in all workers of a machine. Nothing is produced through Faust's producer,
    and its start waits for 20 minutes where the first broker that it asks is frozen.
    """

    enable_web = False
    enable_kafka_producer = False


class PlainWorker(faust.Worker):
    """Faust's program around an app, without the spinner in its terminal; and it ends at once.

    The spinner turns with every debug log record, so all of them have to be made: that takes a
    twentieth of a worker's time under load. It would also write between the lines of the log.
    """

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:  # noqa: ARG002
        self.spinner = None

    async def _sentinel_task(self) -> None:
        """Wait for tasks that were cancelled, a second at most; stock Faust always waits for it.

        All services have stopped by now: a rolling restart takes a second less for each worker.
        """
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=1.0)


def use_uvloop() -> None:
    """Have Faust make uvloop's event loops: they are faster at a transaction's small messages."""
    with warnings.catch_warnings():
        # Python 3.14 warns of every event loop policy, but Faust makes its loops by a policy.
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def faust_settings(settings: Settings) -> dict[str, Any]:
    """Return the options of a Faust app that follow from a worker's settings."""
    session_s = settings.session_timeout_s
    return {
        "broker": ";".join(f"kafka://{address}" for address in settings.brokers.split(",")),
        # For Faust's own producer, and for the consumer that our transport builds.
        "broker_credentials": credentials_of(settings.kafka),
        "store": "memory://",
        "datadir": str(settings.data_dir / "faust"),
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        # Instead of the level and the file that `faust worker` may be given.
        "logging_config": configuration(settings.log_format, settings.log_level),
        "stream_wait_empty": False,
        "table_standby_replicas": 0,
        "consumer_max_fetch_size": 2 << 20,
        "broker_session_timeout": session_s,
        # Frequent, because a worker hears of another's death with its next heartbeat.
        "broker_heartbeat_interval": max(0.3, session_s / 12),
        "broker_request_timeout": max(20.0, session_s),
        "broker_rebalance_timeout": max(20.0, session_s),
        "consumer_group_instance_id": settings.instance if settings.static_membership else None,
    }


def calm_collector() -> None:
    """Have the garbage collector leave out what lives as long as the process, and run rarely.

    By default it runs after each thousand or so of new objects; a batch makes tens of thousands of
    short-lived tuples, and no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
