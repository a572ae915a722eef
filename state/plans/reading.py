"""A plan file in, whichever of the two formats it has; sections, rows and seats out."""

import json
from pathlib import Path
from typing import Any, NoReturn

from state.plans.fields import Json, typed
from state.plans.pretix import read_pretix
from state.plans.prices import priced
from state.plans.seating import PlanFault, SeatingPlan, shown
from state.plans.short_form import read_short_form

PLAN_BYTES_MAX = 64 * 1024 * 1024
DIGITS_MAX = 1000


def read_plan(path: Path) -> SeatingPlan:
    """Read a plan file; raises PlanFault, or OSError when there is no such file."""
    with path.open("rb") as file:
        content = file.read(PLAN_BYTES_MAX + 1)
    if len(content) > PLAN_BYTES_MAX:
        raise PlanFault("", f"the file has more than {PLAN_BYTES_MAX} bytes", "Split the plan")
    return parse_plan(content)


def parse_plan(content: bytes) -> SeatingPlan:
    """Read a plan; `zones` marks the pretix format, `sections` the short form."""
    try:
        # Editors on Windows put a byte order mark in front.
        document = json.loads(
            content.decode("utf-8-sig"),
            parse_constant=refuse_constant,
            parse_int=whole_number,
            object_pairs_hook=refuse_repeated,
        )
    except UnicodeDecodeError as error:
        raise PlanFault("", f"not UTF-8 at byte {error.start}", "Save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise PlanFault(
            f"line {error.lineno}, column {error.colno}", f"not JSON: {error.msg}", "Correct it"
        ) from None
    except RecursionError:
        raise PlanFault("", "nested too deeply", "Is this a seating plan?") from None
    return read_document(typed(document, dict, ""))


def read_document(plan: Json) -> SeatingPlan:
    """Read a plan that was parsed already; raises PlanFault."""
    if "zones" in plan:
        return priced(read_pretix(plan), plan)
    if "sections" in plan:
        return priced(read_short_form(plan), plan)
    raise PlanFault(
        "",
        "neither 'zones' (pretix format) nor 'sections' (short form) is there",
        "Export the plan again, or write the short form that docs/http-api.md shows",
    )


def whole_number(digits: str) -> int:
    """Return the number; Python itself gives up at some thousand digits, with an error."""
    if len(digits) > DIGITS_MAX:
        fault = f"a number of {len(digits)} digits"
        raise PlanFault("", fault, f"No number of a plan has more than {DIGITS_MAX}")
    return int(digits)


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise PlanFault("", f"{name} is not a JSON number", "Write a number")


def refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that gives one field twice: which one counts would be a guess."""
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise PlanFault("", f"field {shown(key)} is given twice", "Keep one of them")
            seen.add(key)
    return document
