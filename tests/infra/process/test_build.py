import tomllib

from infra.paths import ROOT
from infra.process.build import VERSION


def test_the_version_that_is_shown_is_the_one_that_is_released() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
