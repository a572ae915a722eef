"""Where things live in a checkout; everything we write is below `.run/` and `.venv/`."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
RUN: Final = ROOT / ".run"
KAFKA_LIB: Final = RUN / "lib" / "kafka"
APICURIO_HOME: Final = RUN / "lib" / "apicurio"
# What Java has read of their jars, as it wants it at a start; made by infra.archives.
ARCHIVES: Final = RUN / "lib" / "archives"
# What set-up has fetched and not yet installed; gone when it has finished.
FETCH: Final = RUN / "fetch"
STACK_HOME: Final = RUN / "stack"
EPHEMERAL_HOME: Final = RUN / "tmp"
