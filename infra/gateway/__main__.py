"""`python -m infra.gateway --directory DIR`: the gateway as a process; ends on SIGTERM."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from infra.gateway.control import Control
from infra.gateway.faults import FaultPlan
from infra.gateway.ledger import CorruptLedger, Ledger
from infra.gateway.server import GatewayServer
from infra.gateway.webhooks import Webhooks
from infra.listening import LOOPBACK, leaving_by, listen

WEBHOOK_SECRET: Final = "MOCK_GATEWAY_WEBHOOK_SECRET"  # noqa: S105 (the variable's name)
API_KEY: Final = "MOCK_GATEWAY_API_KEY"
# A secret that everybody knows, for people who play with the gateway and set none.
PUBLIC_WEBHOOK_SECRET: Final = "the mock gateway's webhook secret"  # noqa: S105


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; exits with a usage message otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.gateway",
        description="A payment gateway to play with, on loopback only unless --host says "
        "otherwise. It keeps a ledger of what it decided in DIR/ledger, honours idempotency keys, "
        f"and fails as it is told to at its control address. {API_KEY} is what callers must show "
        f"(unset: nothing), {WEBHOOK_SECRET} what it signs events with.",
    )
    parser.add_argument("--directory", type=Path, required=True, metavar="DIR")
    parser.add_argument("--port", type=int, default=0, help="of the public side; 0: a free one")
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help="of the public side; the control side is on loopback always",
    )
    parser.add_argument("--control-port", type=int, default=0, help="of the control side")
    parser.add_argument("--delay-ms", type=int, default=0, help="before every answer")
    parser.add_argument("--late-ms", type=int, default=3_000, help="before one that is late")
    parser.add_argument("--seed", type=int, default=0, help="of whatever goes by a rate")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    secret = os.environ.get(WEBHOOK_SECRET) or PUBLIC_WEBHOOK_SECRET
    with Ledger(options.directory / "ledger") as ledger:
        if ledger.content.torn_bytes:
            print(f"gateway: cut off {ledger.content.torn_bytes} bytes of a line without end")
        webhooks = Webhooks(secret.encode(), options.seed)
        server = GatewayServer(
            ledger,
            webhooks,
            FaultPlan(options.seed),
            api_key=os.environ.get(API_KEY, ""),
            delay_ms=options.delay_ms,
            late_ms=options.late_ms,
        )
        leaving_by(server.leaving.set)
        async with AsyncExitStack() as opened:
            opened.push_async_callback(webhooks.close)
            public = await listen(opened, server.application(), options.port, options.host)
            control = await listen(opened, Control(server).application(), options.control_port)
            print(f"gateway: ready at {public}, control at {control}", flush=True)
            await server.leaving.wait()
    return 0


def main() -> int:
    """Do what the command line says."""
    options = parse(sys.argv[1:])
    try:
        return asyncio.run(run(options))
    except (CorruptLedger, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
