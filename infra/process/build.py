"""Which build this is, as pages and metrics tell it."""

from typing import Final

VERSION: Final = "0.1.0"
"""That of pyproject.toml: a checkout that nobody installed has no metadata to ask."""
