"""One API pod: `python -m api`."""

import argparse
import gc
import os
import sys
from typing import Final

import uvloop

from api.building import whole_pod
from api.serving import PortTaken, serve
from api.settings import ApiSettings, BadSetting
from api.web.logs import log
from infra.process import spans
from infra.process.log_lines import configure
from serdes.registry.known_ids import SchemaIdsError
from streams.gateways.registry import BadGateway

DONE: Final = 0
CANNOT_START: Final = 1
BAD_SETTING: Final = 2

HELP: Final = """\
Answers availability from memory and takes reservations over HTTP, for browsers and shops.
Settings come from the environment; docs/http-api.md lists them.

Exit codes: 0 ended by a signal, 1 cannot start, 2 a setting cannot be used.

Example:
  TOKEN=$(python -m scripts.issue_token --user alice)
  SEATSTREAM_API_JWKS=.run/dev-keys/jwks.json KAFKA_BROKERS=localhost:9092 python -m api
"""


def main() -> int:
    """Run a pod until a signal ends it; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m api",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--settings", action="store_true", help="print the settings, without secrets, and end"
    )
    arguments = parser.parse_args()
    try:
        settings = ApiSettings.from_env(os.environ)
    except BadSetting as error:
        print(f"api: {error}", file=sys.stderr)
        return BAD_SETTING
    if arguments.settings:
        sys.stdout.writelines(f"{name}: {value}\n" for name, value in settings.shown().items())
        return DONE
    configure(settings.log_format, settings.log_level)
    told_as = settings.service_name or "seatstream-pod"
    spans.configure(settings.spans_url, settings.span_headers, told_as)
    log.info("settings", extra={"fields": settings.shown()})
    if not settings.jwks:
        log.warning("SEATSTREAM_API_JWKS is not set: every token will be refused")
    # Whoever asks waits for a full collection: 60 ms, all but all for what was imported to stay.
    gc.collect()
    gc.freeze()
    try:
        has_started = uvloop.run(serve(settings, whole_pod(settings)))
    except (BadSetting, BadGateway) as error:
        # A gateway's own settings are read when it is opened.
        log.error("cannot start: %s", error)
        return BAD_SETTING
    except (PortTaken, OSError, SchemaIdsError) as error:
        log.error("cannot start: %s: %s", type(error).__name__, error)
        return CANNOT_START
    return DONE if has_started else CANNOT_START


if __name__ == "__main__":
    sys.exit(main())
