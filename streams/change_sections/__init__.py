"""Section commands in; outcomes and statuses out."""

from streams.change_sections.contradictions import contradiction
from streams.change_sections.handler import change_sections, progress, refuse_poison
from streams.change_sections.statuses import retold_statuses

__all__ = ["change_sections", "contradiction", "progress", "refuse_poison", "retold_statuses"]
