"""The former path of the availability view, for one release; see `state.views.availability`."""

import warnings

from state.views.availability.view import AvailabilityView

__all__ = ["AvailabilityView"]

warnings.warn(
    "import AvailabilityView from state.views.availability.view: this path will go",
    DeprecationWarning,
    stacklevel=2,
)
