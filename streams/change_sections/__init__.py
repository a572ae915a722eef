"""Section commands in; outcomes and statuses out."""

from streams.change_sections.handler import change_sections, progress_of, refuse_poison

__all__ = ["change_sections", "progress_of", "refuse_poison"]
