"""Prints what is free in a section, and whether a request for that many seats can be refused.

    python -m docs.examples.availability 7 BLOCK-12 4

Environment: KAFKA_BROKERS, else localhost:9092; SECTION_STATUS_TOPIC, else section-status.
"""

import argparse
import os
import sys

from state.views.availability.view import AvailabilityView

parser = argparse.ArgumentParser(description="Say what is free in a section.")
parser.add_argument("event_id", type=int)
parser.add_argument("section")
parser.add_argument("quantity", type=int)
given = parser.parse_args()
event_id, section, quantity = given.event_id, given.section, given.quantity
brokers = os.environ.get("KAFKA_BROKERS", "localhost:9092")
topic = os.environ.get("SECTION_STATUS_TOPIC", "section-status")

with AvailabilityView(brokers, topic=topic) as view:
    view.wait_ready(timeout_s=30)
    answer = view.get(event_id, section)
    if answer is None:
        sys.exit(f"section {event_id}-{section} is unknown")
    print(f"{answer.free} free, {answer.largest_block} side by side, version {answer.version}")
    print(f"{answer.staleness_ms} ms old{', too old to trust' if answer.stale else ''}")
    reason = view.can_refuse(event_id, section, quantity)
    print("worth a try" if reason is None else f"refused: {reason.name}")
