"""The former path of the availability view."""

import importlib

import pytest

from state.views.availability.view import AvailabilityView


def test_the_former_path_gives_the_same_view_and_says_where_it_is_now() -> None:
    with pytest.warns(DeprecationWarning, match="state.views.availability.view"):
        former = importlib.import_module("state.stores.availability_view")
    assert former.AvailabilityView is AvailabilityView
