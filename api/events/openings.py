"""A request to open an event in; what the log is told, section by section, out; or what is wrong.

Decides only. Nothing here is sent, and a plan with a fault is refused whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import orjson

from api.events.bodies import NAME_BYTES_MAX, Opening
from api.web.problems import Problem, bad
from serdes.wire import HEADER_BYTES, VALUE_BYTES_MAX
from state.domain.carts.limits import Limits
from state.domain.event import Event, EventStatus, SectionDescription, time_fault
from state.domain.layout import OrphanRule, Rules, categories_of
from state.domain.price import UNPRICED
from state.domain.reasons import Reason
from state.plans.reading import read_document
from state.plans.seating import PlanFault, SeatingPlan, SectionPlan, without_sale
from state.records.commands import CommandEncoders

LAYOUT_VERSION: Final = 1

_DEFAULTS: Final = Rules()


@dataclass(frozen=True, slots=True)
class Prepared:
    """An opening that fits.

    event:    its first revision, still OPENING.
    sections: the plan of each.
    """

    event: Event
    sections: tuple[SectionPlan, ...]
    rules: Rules


def prepared(opening: Opening, user_id: str, encoders: CommandEncoders) -> Prepared:
    """Return what opens an event; raises Problem (400) for the first fault.

    Takes half a second for the largest plans: not for the event loop.
    """
    _check_text("body.name", opening.name)
    _check_text("body.venue", opening.venue)
    if opening.max_hold_ms < opening.hold_ms:
        bad("body.max_hold_ms", "at least hold_ms")
    sale_ends_ms = opening.starts_at_ms if opening.sale_ends_ms is None else opening.sale_ends_ms
    rules = Rules(
        orphan_rule=OrphanRule[opening.orphan_rule.upper()],
        max_seats_per_hold=opening.max_seats_per_hold,
        hold_ms=opening.hold_ms,
        max_hold_ms=opening.max_hold_ms,
        sale_starts_ms=opening.sale_starts_ms,
        sale_ends_ms=sale_ends_ms,
        payment_ms=opening.payment_ms,
    )
    try:
        plan = without_sale(read_document(opening.plan), opening.not_for_sale)
        sections = tuple(_descriptions(plan))
        digest = _digest(opening, plan, rules, encoders)
    except PlanFault as fault:
        where = f"body.plan.{fault.path}" if fault.path else "body.plan"
        raise Problem.of(
            Reason.BAD_LAYOUT,
            "Correct the place in the plan that `errors` names; nothing was opened.",
            errors=[{"where": where, "why": fault.fault, "remedy": fault.remedy}],
        ) from fault
    event = Event(
        event_id=opening.event_id,
        name=opening.name,
        venue=opening.venue,
        starts_at_ms=opening.starts_at_ms,
        sale_starts_ms=opening.sale_starts_ms,
        sale_ends_ms=sale_ends_ms,
        status=EventStatus.OPENING,
        revision=1,
        sections=sections,
        opening_digest=digest,
        opened_by=user_id,
        changed_at_ms=0,
        currency=plan.prices.currency,
        limits=Limits(opening.max_seats_per_user, opening.max_open_holds_per_user),
        admission_required=opening.admission_required,
    )
    return Prepared(event, plan.sections, rules)


def check_times(event: Event, now_ms: int) -> None:
    """Raise Problem (400) for an event that is past, or whose sale has no time."""
    fault = time_fault(event.starts_at_ms, event.sale_starts_ms, event.sale_ends_ms, now_ms)
    if fault is not None:
        bad(f"body.{fault.field}", f"a time that is {fault.needed}")


def _check_text(where: str, text: str) -> None:
    # What no list and no log line can show is no name.
    if len(text.encode()) > NAME_BYTES_MAX or not text.isprintable() or text != text.strip():
        bad(where, f"at most {NAME_BYTES_MAX} bytes of printable text, without spaces around it")


def _descriptions(plan: SeatingPlan) -> Iterator[SectionDescription]:
    for section in plan.sections:
        name = section.name.strip() or section.section
        if len(name.encode()) > NAME_BYTES_MAX or not name.isprintable():
            raise PlanFault(
                f"{section.path}.name",
                f"not printable text of at most {NAME_BYTES_MAX} bytes",
                "Shorten the name of the section",
            )
        yield SectionDescription(
            section.section,
            name,
            section.seat_count,
            LAYOUT_VERSION,
            tuple(category for category in categories_of(section.rows) if category),
            # With prices, every seat has a category, and every category one of them.
            tuple(amount for _, amount in section.prices.amounts),
        )


def _digest(opening: Opening, plan: SeatingPlan, rules: Rules, encoders: CommandEncoders) -> str:
    """Return the digest of everything that the event is opened with, but for who asks."""
    digest = sha256(
        orjson.dumps([opening.event_id, opening.name, opening.venue, opening.starts_at_ms])
    )
    limits = opening.max_seats_per_user, opening.max_open_holds_per_user
    if any(limits):
        digest.update(orjson.dumps(limits))
    if opening.admission_required:
        digest.update(b"admission")
    for section in plan.sections:
        value = encoders.open_section(b"", section, rules)
        if len(value) + _IDENTITY_BYTES_MAX > VALUE_BYTES_MAX:
            raise PlanFault(
                section.path,
                f"its layout takes {len(value)} bytes of a record of {VALUE_BYTES_MAX}",
                "Split the section in two",
            )
        # What is as it was before one could ask for it leaves the digest as it was then.
        if rules.payment_ms == _DEFAULTS.payment_ms:
            value = value[:-_PAYMENT_BYTES]
            if section.prices == UNPRICED:
                value = value[:-_UNPRICED_BYTES]
        described = f"{section.section}\0{section.name}\0{len(value)}\0"
        # The header names the schema, and another registry gives another id.
        digest.update(described.encode() + value[HEADER_BYTES:])
    return digest.hexdigest()


# Three texts of at most 64 bytes, a section of 32, an event id: with the length of each.
_IDENTITY_BYTES_MAX: Final = 256
# At the end of OpenSection: of an empty currency and no prices; of the usual time to pay.
_UNPRICED_BYTES: Final = 2
_PAYMENT_BYTES: Final = 3


def opened(event: Event, now_ms: int, *, is_complete: bool) -> Event:
    """Return the first revision that is written, on sale where every section has answered."""
    status = EventStatus.ON_SALE if is_complete else EventStatus.OPENING
    return replace(event, status=status, changed_at_ms=now_ms)
