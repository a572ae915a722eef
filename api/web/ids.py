"""Ids as they stand in paths, queries and bodies; the domain says what they look like."""

from typing import Annotated, Final

from fastapi import Path
from pydantic import Field, StringConstraints

from api.web.whole_numbers import INT64_MAX, Int64
from state.domain.keys import RESERVATION_ID, SECTION_ID

SECTION: Final = SECTION_ID.pattern.decode()
# The same for the document.
SECTION_FORM: Final = f"^{SECTION}$"

EventIdInPath = Annotated[Int64, Path(description="Id of the event.")]
EventId = Annotated[int, Field(ge=0, le=INT64_MAX)]
SectionIdInPath = Annotated[str, Path(pattern=SECTION_FORM, description="Id of the section.")]
SectionId = Annotated[str, StringConstraints(pattern=SECTION_FORM)]
ReservationIdInPath = Annotated[str, Path(pattern=f"^{RESERVATION_ID.pattern.decode()}$")]
