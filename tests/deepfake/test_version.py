import tomllib

from deepfake.version import VERSION
from tests.conftest import ROOT


def test_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
