"""Where results go, and how they are written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring.figures import Scenario
from infra.paths import ROOT

RESULTS = ROOT / "benchmarks" / "results"
EXIT_INTERRUPTED = 130


def write(out: Path, document: Mapping[str, Any], scenarios: Mapping[str, Scenario]) -> None:
    """Write the result file, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    written = out.with_suffix(".new")
    measured = {name: scenario.document() for name, scenario in scenarios.items()}
    text = json.dumps({**document, "scenarios": measured}, indent=2)
    written.write_text(text + "\n", encoding="utf-8")
    written.replace(out)
