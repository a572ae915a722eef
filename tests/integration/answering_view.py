"""A process with a view that answers one line for each line that it reads.

    python -m integration.answering_view BROKERS TOPIC STALE_AFTER_MS

Reads `EVENT SECTION QUANTITY`; writes `VERSION FREE STALENESS_MS stale|fresh REASON|-`.
Writes `ready` first.
"""

import sys

from state.views.availability.view import AvailabilityView


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    brokers, topic, stale_after_ms = sys.argv[1:]
    with AvailabilityView(brokers, topic=topic, stale_after_ms=int(stale_after_ms)) as view:
        view.wait_ready(60)
        say("ready")
        for line in sys.stdin:
            event, section, quantity = line.split()
            answer = view.get(int(event), section)
            assert answer is not None
            reason = view.can_refuse(int(event), section, int(quantity))
            age = "stale" if answer.stale else "fresh"
            verdict = "-" if reason is None else reason.name
            say(f"{answer.version} {answer.free} {answer.staleness_ms} {age} {verdict}")


if __name__ == "__main__":
    main()
