"""`seatstream lookup`: availability, pods."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import click

from infra.process.environment import BadSetting
from scripts.brokers.addresses import NotUp
from scripts.brokers.answering import servers
from scripts.lookups.comparing import differences
from scripts.lookups.pod import NoAnswer, sections_of
from scripts.program.catalogue import DONE, FOUND
from scripts.program.options import command, failing, json_option, say
from serdes.registry.known_ids import SchemaIdsError
from serdes.schema_source import SchemaSource
from state.views.availability.answers import Availability
from state.views.availability.view import AvailabilityView
from state.views.following.heartbeat import TopicMissing
from state.views.following.live import NotReady

TOKEN: Final = "SEATSTREAM_TOKEN"  # noqa: S105 (the name of a setting)
_ASK_EVERY_S: Final = 0.2
FAILURES = (BadSetting, NotUp, NotReady, SchemaIdsError, TopicMissing)

event_argument = click.argument("event_id", type=click.IntRange(0))
wait_option = click.option(
    "--wait", "wait_s", type=click.FloatRange(0), default=30.0, show_default=True,
    help="Seconds for the topic to be read.",
)  # fmt: skip


def known_of(event_id: int, wait_s: float) -> dict[str, Availability]:
    """Read all statuses, as a pod does at its start; return those of an event, by section."""
    where = servers()
    schemas = SchemaSource(where.registry_url, Path())
    view = AvailabilityView(
        where.brokers, topic=where.status.name, schemas=schemas, kafka=where.kafka
    )
    with view:
        view.wait_ready(wait_s)
        return view.sections(event_id)


@command("availability")
@event_argument
@click.argument("section", required=False)
@wait_option
@json_option
@failing(*FAILURES)
def availability(*, event_id: int, section: str | None, wait_s: float, as_json: bool) -> int:
    """Say what is free in an event, or in one section, as every pod reads it from the log.

    Ends with 1 where nobody opened it.
    Example: seatstream lookup availability 9 A
    """
    known = known_of(event_id, wait_s)
    if section is not None:
        known = {name: status for name, status in known.items() if name == section}
    if as_json:
        told = {name: status._asdict() for name, status in sorted(known.items())}
        click.echo(json.dumps({"event_id": event_id, "sections": told}, indent=2))
    for name, status in sorted(known.items()) if not as_json else ():
        say(
            f"{name}  free {status.free}  held {status.held}"
            f"  side by side {status.largest_block}  version {status.version}"
        )
    if not known and not as_json:
        say(f"nobody opened {'event' if section is None else section + ' of event'} {event_id}")
    return DONE if known else FOUND


@command("pods")
@event_argument
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option(
    "--within", "within_s", type=click.FloatRange(0), default=5.0, show_default=True,
    help="Seconds that each pod has to come up to the log.",
)  # fmt: skip
@wait_option
@json_option
@failing(*FAILURES)
def pods(
    *, event_id: int, urls: tuple[str, ...], within_s: float, wait_s: float, as_json: bool
) -> int:
    """Compare what each pod answers about an event with what the log says.

    Each URL is a pod, not a balancer. SEATSTREAM_TOKEN: any token that the pods accept.
    Ends with 1 where a pod does not answer, is behind, or tells other counts of the same version.
    Example: seatstream lookup pods 9 http://10.0.0.4:8000 http://10.0.0.5:8000
    """
    known = known_of(event_id, wait_s)
    token = os.environ.get(TOKEN, "")
    found = {url: wrong_at(url, event_id, token, known, within_s) for url in urls}
    if as_json:
        told: dict[str, Any] = {"event_id": event_id, "sections": len(known), "pods": found}
        click.echo(json.dumps(told, indent=2))
    for url, wrong in found.items() if not as_json else ():
        say(f"{url}  {'as the log: ' + str(len(known)) + ' sections' if not wrong else 'WRONG'}")
        for line in wrong:
            say(f"  {line}")
    return FOUND if any(found.values()) else DONE


def wrong_at(
    url: str, event_id: int, token: str, known: Mapping[str, Availability], within_s: float
) -> list[str]:
    """Ask a pod until it is up to the log; return what is wrong with its last answer."""
    until_s = monotonic() + within_s
    while True:
        try:
            wrong = [str(one) for one in differences(known, sections_of(url, event_id, token))]
        except NoAnswer as error:
            wrong = [str(error)]
        if not wrong or monotonic() >= until_s:
            return wrong
        sleep(_ASK_EVERY_S)
